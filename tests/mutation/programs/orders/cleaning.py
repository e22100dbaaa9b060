SEPARATOR = ","
NAMES = {"aple": "apple", "pera": "pear"}


def unrelated(x):
    total = x * 2
    return [total, 1]


def parse(line, names=("name", "price", "count")):
    parts = line.split(SEPARATOR)
    row = dict(zip(names, parts))
    return {"name": spelled(row["name"]), "price": float(row["price"]), "count": int(row["count"])}


def spelled(name):
    return NAMES.get(name.strip(), name.strip())


def clean(rows, *, lowest=0):
    kept = []
    for row in rows:
        if row["count"] >= lowest and row["price"] > 0:
            kept.append(row)
    return sorted(kept, key=lambda r: (r["name"], -r["price"]))
