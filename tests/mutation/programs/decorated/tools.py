import functools

_TABLE = {}


def register(name, *, bonus=0):
    def wrap(function):
        _TABLE[name] = functools.partial(with_bonus, function, bonus)
        return function

    return wrap


def with_bonus(function, bonus, x):
    return function(x) + bonus


@register("double", bonus=1)
def double(x):
    return x * 2


@register("square")
def square(x):
    return x * x


def registered():
    return dict(sorted(_TABLE.items()))


def repeat(times=1):
    def wrap(function):
        @functools.wraps(function)
        def inner(*args, **options):
            return function(*args, **options) * times

        return inner

    return wrap


def scaled(factor):
    def wrap(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args) * factor

        return inner

    return wrap


def unrelated(x):
    total = x * 2
    return [total, 1]
