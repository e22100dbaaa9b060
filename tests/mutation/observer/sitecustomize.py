"""First on the path, so that every interpreter imports it before its program; does nothing unless `faithful.py` asks."""

import os

if "FAITHFUL" in os.environ:
    _path = os.path.join(os.path.dirname(__file__), "watch.py")
    with open(_path) as _file:
        # Its functions stand on lists of the interpreter: they must not pass for the program's.
        _space = {"__name__": "watch"}
        exec(compile(_file.read(), "<frozen watch>", "exec"), _space)
    _space["watch"](os.environ.pop("FAITHFUL"))
