from functools import lru_cache, partial, reduce

from blockcache import cached_block

SCALE = 4


def unrelated(x):
    total = x + 1
    return [total, 2]


def adder(n, *, times=2):
    offset = n * 3

    def add(x):
        return (x + offset) * times

    return add


def counter(start=10):
    state = {"n": start}

    def step(by=1):
        return state["n"] + by * SCALE

    return step


@lru_cache(maxsize=16)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def power(base, exponent):
    return base**exponent


add5 = adder(5, times=3)
square = partial(power, exponent=2)
step = counter(7)
table = {"add": add5, "square": square, "neg": lambda v: -v}

with cached_block(name="applied"):
    applied = [add5(i) for i in range(4)] + [square(i) for i in range(3, 6)]
    composed = reduce(lambda v, name: table[name](v), ["add", "square", "neg"], 2)

with cached_block(name="steps"):
    steps = [step(k) for k in range(3)]
    fibs = [fib(k) for k in range(12)]
    chosen = [v for v in fibs if v % 2 == 0 or v > 30]

print(applied, composed)
print(steps, chosen)
