import shapes

from blockcache import cached_block

factor = 2
sizes = [1, 2, 3]


def unrelated(x):
    total = x + 1
    return [total, 2]


class Scaled(shapes.Square):
    bonus = 5

    def area(self):
        return super().area() * factor + self.bonus

    def __repr__(self):
        return f"Scaled({self.side})"


with cached_block(name="areas"):
    items = [shapes.Circle(r) for r in sizes] + [Scaled(s) for s in sizes]
    areas = [item.area() for item in items]
    kinds = sorted({type(item).__name__ for item in items})

with cached_block(name="summary"):
    largest = max(range(len(areas)), key=lambda k: areas[k])
    summary = {"largest": largest, "sum": round(sum(areas), 6), "text": shapes.describe(items[0])}

print(kinds, summary)
