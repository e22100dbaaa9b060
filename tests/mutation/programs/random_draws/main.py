import random

import numpy as np
from draws import Sampler, shuffle

from blockcache import cached_block

SEED = 11
random.seed(SEED)
np.random.seed(SEED + 1)
generator = random.Random(5)


def unrelated(x):
    total = x + 1
    return [total, 2]


def walk(steps, p=0.5):
    position = 0
    for _ in range(steps):
        position += 1 if random.random() < p else -1
    return position


with cached_block(name="walks"):
    random.seed(SEED)
    walks = [walk(20) for _ in range(5)]
    mean = sum(walks) / len(walks)

with cached_block(name="samples"):
    sampler = Sampler(seed=4)
    samples = sampler.take(6)
    deck = shuffle(list(range(8)), seed=2)

with cached_block(name="array"):
    state = np.random.RandomState(SEED)
    array = state.normal(size=(3, 2)).round(4)
    column = array[:, 1].tolist()

random.seed(SEED)
print(mean, samples, deck, column, random.random())
