from collections import Counter

from . import text


class Index:
    minimum = 1

    def __init__(self, tokens, stop=()):
        self.stop = set(stop) | text.STOP
        self.tokens = [t for t in tokens if t not in self.stop]

    def counts(self):
        found = Counter(self.tokens)
        return {t: n for t, n in found.items() if n >= self.minimum}


def unrelated(x):
    total = x * 2
    return [total, 1]
