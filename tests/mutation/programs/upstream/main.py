from collections import OrderedDict, deque, namedtuple
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from blockcache import cached_block

Point = namedtuple("Point", "x y")
start = date(2024, 2, 28)
prices = {"a": Decimal("1.10"), "b": Decimal("2.25")}
queue = deque([1, 2, 3], maxlen=3)
points = [Point(1, 2), Point(y=3, x=4)]
ratio = Fraction(1, 3)
flags = {True: "yes", 2: "two", "1": "text"}
pairs = [("ab", "c"), ("a", "bc")]
ordered = OrderedDict(b=1, a=2)
shared = [1, 2]
nested = {"left": shared, "right": shared}


def unrelated(x):
    total = x + 1
    return [total, 2]


def distance(p, q):
    return abs(p.x - q.x) + abs(p.y - q.y)


with cached_block(name="dates"):
    days = [start + timedelta(days=k) for k in range(3)]
    text = ", ".join(d.isoformat() for d in days)

with cached_block(name="exact"):
    total = sum(prices.values()) * 3
    share = ratio + Fraction(1, 6)
    spread = distance(*points)
    last = list(queue)[-1]

with cached_block(name="orders"):
    keys = list(ordered) + list(prices)
    joined = ["/".join(p) for p in pairs]
    kinds = [f"{type(k).__name__}={v}" for k, v in flags.items()]
    copied = {k: [*v, 9] for k, v in nested.items()}

print(text, total, share, spread, last)
print(keys, joined, kinds, copied)
