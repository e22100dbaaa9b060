from tools import registered, repeat, scaled

from blockcache import cached_block

LIMIT = 3


def unrelated(x):
    total = x + 1
    return [total, 2]


@repeat(times=2)
def shout(text, mark="!"):
    return text.upper() + mark


@scaled(1.5)
@scaled(2.0)
def area(w, h):
    return w * h


with cached_block(name="texts"):
    texts = [shout(t) for t in ("ab", "cd", "ef")][:LIMIT]
    joined = "-".join(texts)

with cached_block(name="areas"):
    areas = {(w, h): area(w, h) for w in range(1, 3) for h in range(2, 4)}
    best = max(areas.items(), key=lambda item: (item[1], item[0]))

with cached_block(name="registry"):
    results = {name: function(4) for name, function in registered().items()}

print(joined, best, results)
