from cleaning import clean, parse
from pricing import Basket, total

from blockcache import cached_block

RATE = 0.19
PATH = "orders.csv"


def unrelated(x):
    total = x + 1
    return [total, 2]


def weight(row, factor=3):
    if row["count"] > 2:
        return row["count"] * factor
    return row["count"]


with cached_block(name="load") as block:
    with open(PATH) as file:
        rows = [parse(line) for line in file.read().splitlines()[1:]]
    rows = clean(rows, lowest=1)

print("after cell 0")
with cached_block(name="weights"):
    weights = {row["name"]: weight(row) for row in rows}
    heaviest = max(weights, key=weights.get)

with cached_block(name="sums"):
    baskets = [Basket(row["name"], row["price"], row["count"]) for row in rows]
    net = total(baskets)
    gross = round(net * (1 + RATE), 2)

print(len(rows), heaviest, net, gross)
