import csv
import re

SKIP = 1


def load_all(folder, pattern):
    found = {}
    for path in sorted(folder.glob(pattern)):
        with open(path, newline="") as file:
            found[path.stem] = [[cell.strip() for cell in row] for row in csv.reader(file)][SKIP:]
    return found


def numbers(text, lowest=0):
    return [int(n) for n in re.findall(r"\d+", text) if int(n) >= lowest]


def unrelated(x):
    total = x * 2
    return [total, 1]
