import random


class Sampler:
    low = 1
    high = 6

    def __init__(self, seed):
        self.random = random.Random(seed)

    def take(self, n):
        return [self.random.randint(self.low, self.high) for _ in range(n)]


def shuffle(items, seed=0):
    random.Random(seed).shuffle(items)
    return items


def unrelated(x):
    total = x * 2
    return [total, 1]
