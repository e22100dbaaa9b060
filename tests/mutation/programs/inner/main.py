from steps import Pipeline, cached_mean

from blockcache import cached_block

BASE = 3


def unrelated(x):
    total = x + 1
    return [total, 2]


def prepare(n, shift=1):
    values = [k * BASE + shift for k in range(n)]
    with cached_block(name="prepare"):
        doubled = [v * 2 for v in values]
        odd = [v for v in doubled if v % 3 != 0]
    return doubled, odd


def main():
    doubled, odd = prepare(6)
    pipeline = Pipeline([abs, lambda v: v - 4], name="p")
    with cached_block(name="pipeline"):
        out = [pipeline(v) for v in odd]
        low = min(out)
    means = []
    for part in (doubled, odd, out):
        means.append(cached_mean(part, digits=2))
    return {"out": out, "low": low, "means": means}


result = main()
print(result)
