class Tool:
    default = 3

    def __init__(self, n):
        self.__n = n

    def run(self, x, times=2):
        return self.__scale(x) * times

    def __scale(self, x):
        return x * self.__n + self.default


def on_up(x):
    return x + 10


def on_down(x):
    return x - 10


HANDLERS = {"up": on_up, "down": on_down}


def handle(kind, x, fallback=lambda v: v * 100):
    return HANDLERS.get(kind, fallback)(x)


def unrelated(x):
    total = x * 2
    return [total, 1]
