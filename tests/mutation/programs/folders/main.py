import csv
from pathlib import Path

from readers import load_all, numbers

from blockcache import cached_block

FOLDER = Path("data")
ENCODING = "utf-8"


def unrelated(x):
    total = x + 1
    return [total, 2]


def header(path):
    with path.open(encoding=ENCODING, newline="") as file:
        return next(csv.reader(file))


with cached_block(name="tables"):
    tables = load_all(FOLDER, "*.csv")
    names = sorted(tables)
    first = header(FOLDER / "a.csv")

with cached_block(name="values"):
    values = numbers((FOLDER / "notes.txt").read_text())
    total = sum(values) + sum(len(t) for t in tables.values())

print(names, first, total, tables["b"][0])
