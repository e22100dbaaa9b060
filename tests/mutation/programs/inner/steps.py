from blockcache import cached_block

OFFSET = 0.125


class Pipeline:
    def __init__(self, functions, name=""):
        self.functions = functions
        self.name = name

    def __call__(self, value):
        for function in self.functions:
            value = function(value)
        return value + len(self.name)


def cached_mean(values, digits=3):
    with cached_block(name="mean"):
        mean = round(sum(values) / len(values) + OFFSET, digits)
    return mean, len(values)


def unrelated(x):
    total = x * 2
    return [total, 1]
