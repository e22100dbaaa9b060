LEVELS = {"log": 1}
_active = []
_settings = {"factor": 1.5}


def enable(name, *, first=True):
    if first:
        _active.insert(0, name)
    else:
        _active.append(name)


def active():
    return ["base", *_active]


def factor():
    return _settings["factor"] * len(_active)


def unrelated(x):
    total = x * 2
    return [total, 1]


enable("core", first=False)
_settings["factor"] += 0.25
