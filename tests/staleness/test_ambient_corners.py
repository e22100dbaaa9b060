"""Corners of ambient state: what earlier statements, or helpers that they call, set in libraries and in the interpreter.

``programs.py`` tells the notation.
"""

from __future__ import annotations

import pytest
from programs import check, parameters

#: What is known to fail now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {}

PROGRAMS = r"""
=== miss | precision of the decimal context
import decimal
decimal.getcontext().prec = «5→9»
x = decimal.Decimal(1)
with cached_block("w"):
    r = x / 3
=== miss | rounding of a decimal context that a helper sets
from h import exact
from decimal import Decimal
exact()
with cached_block("w"):
    r = round(Decimal("2.675"), 2)
--- h.py
import decimal
def exact():
    decimal.setcontext(decimal.Context(rounding=decimal.«ROUND_UP→ROUND_DOWN»))
=== hit | the decimal context when nothing reaches decimal
import decimal
decimal.getcontext().prec = «5→9»
x = [1, 2]
with cached_block("w"):
    r = sum(x)
=== miss | a block inside a local decimal context
import decimal
x = decimal.Decimal(1)
with decimal.localcontext() as c:
    c.prec = «4→6»
    with cached_block("w"):
        r = x / 3
=== runs | numpy error state that raises
import numpy as np
np.seterr(divide="«ignore→raise»")
a = np.zeros(1)
with cached_block("w"):
    try:
        r = str(1 / a)
    except FloatingPointError:
        r = "error"
=== runs | a function that numpy calls on floating-point errors
import numpy as np
seen = []
np.seterr(all="call")
np.seterrcall(lambda kind, flag: seen.append(«1→2»))
a = np.zeros(1)
with cached_block("w"):
    before = len(seen)
    b = 1 / a
    r = sum(seen[before:])
=== miss | print options of numpy where a text is made
import numpy as np
np.set_printoptions(precision=«2→4»)
a = np.array([1 / 3])
with cached_block("w"):
    r = str(a)
=== hit | print options of numpy where no text is made
import numpy as np
np.set_printoptions(precision=«2→4»)
a = np.array([1 / 3])
with cached_block("w"):
    r = float(a.sum())
=== miss | a pandas option
import pandas as pd
pd.set_option("mode.string_storage", "«python→pyarrow»")
with cached_block("w"):
    r = pd.StringDtype().storage
=== miss | pandas display options where a text is made by a helper
import pandas as pd
from h import show
pd.options.display.precision = «2→4»
df = pd.DataFrame({"a": [1 / 3]})
with cached_block("w"):
    r = show(df)
--- h.py
def show(df):
    return df.to_string()
=== hit | pandas display options where no text is made
import pandas as pd
pd.options.display.max_columns = «2→4»
df = pd.DataFrame({"a": [1 / 3]})
with cached_block("w"):
    r = float(df["a"].sum())
=== miss | warnings turned into errors
import warnings
from h import f
warnings.simplefilter("«ignore→error»")
with cached_block("w"):
    r = f()
--- h.py
import warnings
def f():
    try:
        warnings.warn("old", DeprecationWarning)
    except DeprecationWarning:
        return "raised"
    return "quiet"
=== miss | warnings recorded in the body
import warnings
warnings.simplefilter("«ignore→always»")
with cached_block("w"):
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn("old", UserWarning)
    r = len(seen)
=== hit | warnings that are only silenced
import warnings
«→warnings.filterwarnings("ignore", category=FutureWarning)»
x = [3, 1]
with cached_block("w"):
    r = sorted(x)
=== miss | arguments of the program
import sys
sys.argv = ["main.py", "«1→2»"]
with cached_block("w"):
    r = sys.argv[1]
=== miss | arguments read by a parser that was made before
import sys, argparse
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int)
sys.argv[1:] = ["--n", "«1→2»"]
with cached_block("w"):
    r = parser.parse_args().n
=== miss | the working directory
import os
from h import where
os.makedirs("a", exist_ok=True); os.makedirs("b", exist_ok=True)
os.chdir("«a→b»")
with cached_block("w", store="../store"):
    r = where()
--- h.py
import os
def where():
    return os.path.basename(os.getcwd())
=== miss | the time zone
import os, time, datetime
os.environ["TZ"] = "«UTC→EST5»"
time.tzset()
with cached_block("w"):
    r = datetime.datetime.fromtimestamp(0).hour
=== miss | level of a logger, asked by a helper
import logging
from h import detail
logging.getLogger("app").setLevel(logging.«INFO→DEBUG»)
with cached_block("w"):
    r = detail()
--- h.py
import logging
log = logging.getLogger("app")
def detail():
    return 2 if log.isEnabledFor(logging.DEBUG) else 1
=== hit | level of a logger that only speaks
import logging
log = logging.getLogger("app")
log.setLevel(logging.«INFO→WARNING»)
with cached_block("w"):
    log.debug("working")
    r = 1
=== miss | logging switched off, asked of a logger
import logging
log = logging.getLogger("app")
log.setLevel(logging.INFO)
«→logging.disable(logging.CRITICAL)»
with cached_block("w"):
    r = log.isEnabledFor(logging.INFO)
=== miss | the recursion limit
import sys
sys.setrecursionlimit(«2000→3000»)
with cached_block("w"):
    r = sys.getrecursionlimit()
=== miss | a function of a standard module replaced by another of the same library
import math
math.sin = math.«cos→tan»
with cached_block("w"):
    r = math.sin(1)
=== miss | a function of a standard module replaced in a module that is only imported
import html
import patches
with cached_block("w"):
    r = html.escape("a")
--- patches.py
import html
def escape(x):
    return «1→2»
html.escape = escape
=== miss | what a library calls inside is replaced
import shlex
import h
shlex.quote = h.quote
with cached_block("w"):
    r = shlex.join(["a"])
--- h.py
def quote(s):
    return "'" + s + "«1→2»'"
=== miss | what a library calls inside is replaced by a helper
import h
from shlex import join
h.setup()
with cached_block("w"):
    r = join(["a"])
--- h.py
import shlex
def quote(s):
    return "'" + s + "«1→2»'"
def setup():
    shlex.quote = quote
=== miss | replaced by setattr
import math
setattr(math, "tau", «1→2»)
from h import f
with cached_block("w"):
    r = f()
--- h.py
import math
def f():
    return math.tau
=== miss | a class of a library replaced by a subclass
import collections
from h import build
class Mine(collections.OrderedDict):
    def go(self):
        return «1→2»
collections.OrderedDict = Mine
with cached_block("w"):
    r = build().go()
--- h.py
import collections
def build():
    return collections.OrderedDict()
=== miss | an attribute of a library's class
import csv
csv.excel.delimiter = "«;→,»"
with cached_block("w"):
    r = next(csv.reader(["a;b"], csv.excel))
=== miss | a method of a library's class, put there by a loop
import fractions
from h import twice, thrice
for name, f in {"go": «twice→thrice»}.items():
    setattr(fractions.Fraction, name, f)
x = fractions.Fraction(1, 3)
with cached_block("w"):
    r = str(x.go())
--- h.py
def twice(self):
    return self * 2
def thrice(self):
    return self * 3
=== miss | a builtin replaced and used by a helper
import builtins
from h import f
builtins.oct = lambda x: «1→2»
with cached_block("w"):
    r = f(8)
--- h.py
def f(x):
    return oct(x)
=== miss | a builtin replaced by another builtin
import builtins
builtins.oct = «hex→bin»
with cached_block("w"):
    r = oct(8)
=== miss | a builtin replaced, and bound by the body itself
import builtins
builtins.oct = lambda x: «1→2»
with cached_block("w"):
    oct = oct(8)
r = oct
=== hit | names that a notebook or site put into builtins
import builtins
builtins.unrelated = «1→2»
with cached_block("w"):
    r = len([1])
=== miss | gettext installs a translation
import gettext
class T(gettext.NullTranslations):
    def gettext(self, message):
        return message + "«1→2»"
T().install()
with cached_block("w"):
    r = _("a")
=== miss | a dialect of csv
import csv
csv.register_dialect("mine", delimiter="«;→,»")
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
=== miss | a dialect of csv, its delimiter a variable that is rebound after
import csv
d = "«;→,»"
csv.register_dialect("mine", delimiter=d)
d = None
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
=== miss | a registration that depends on a condition
import csv
FLAG = «True→False»
csv.register_dialect("mine", delimiter=",")
if FLAG:
    csv.register_dialect("mine", delimiter=";")
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
=== miss | a registration in a function whose result is kept
import csv, h
done = h.setup()
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
--- h.py
import csv
def setup():
    csv.register_dialect("mine", delimiter="«;→,»")
    return True
=== miss | a registration two calls down
import csv, h
h.outer()
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
--- h.py
from low import inner
def outer():
    inner()
--- low.py
import csv
def inner():
    csv.register_dialect("mine", delimiter="«;→,»")
=== miss | a registration by a method of a local object
import csv, h
app = h.App()
app.setup()
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
--- h.py
import csv
class App:
    def setup(self):
        csv.register_dialect("mine", delimiter="«;→,»")
=== miss | a registration by the constructor of a local class
import csv, h
h.App()
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
--- h.py
import csv
class App:
    def __init__(self):
        csv.register_dialect("mine", delimiter="«;→,»")
=== miss | a registration before a call of the function that holds the block
import csv
def go():
    with cached_block("w"):
        x = next(csv.reader(["a;b"], "mine"))
    return x
def main():
    csv.register_dialect("mine", delimiter="«;→,»")
    return go()
r = main()
=== hit | a registration after the block
import csv
csv.register_dialect("mine", delimiter=";")
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
csv.register_dialect("mine", delimiter="«;→,»")
=== hit | a registration with a library that nothing reaches
import csv
csv.register_dialect("mine", delimiter="«;→,»")
x = 2
with cached_block("w"):
    r = x * x
=== miss | an error handler of codecs
import codecs, h
codecs.register_error("mine", h.handle)
with cached_block("w"):
    r = "é".encode("ascii", "mine")
--- h.py
def handle(e):
    return ("«1→2»", e.end)
=== miss | a text that is executed before the block
import csv
exec("csv.register_dialect('mine', delimiter='«;→,»')")
with cached_block("w"):
    r = next(csv.reader(["a;b"], "mine"))
=== miss | a table of a library, filled through its own name
import mimetypes
mimetypes.init()
from mimetypes import types_map
types_map[".zz9"] = "«a→b»/c"
with cached_block("w"):
    r = mimetypes.types_map[".zz9"]
=== miss | a table of a library, filled by a method
import html, html.entities
html.entities.html5.update({"zz9;": "«1→2»"})
with cached_block("w"):
    r = html.unescape("&zz9;")
=== miss | a table of a library, filled by another name
import html
from html import entities
table = entities.html5
table["zz9;"] = "«1→2»"
with cached_block("w"):
    r = html.unescape("&zz9;")
=== miss | a module's namespace as a dictionary
import html
def escape(x):
    return «1→2»
vars(html)["escape"] = escape
from h import f
with cached_block("w"):
    r = f()
--- h.py
import html
def f():
    return html.escape("a")
=== miss | a module's namespace, updated
import shlex
shlex.__dict__.update(quote=lambda s: "«1→2»")
with cached_block("w"):
    r = shlex.join(["a"])
=== miss | a patch by a function handed to a thread
import shlex, threading, h
t = threading.Thread(target=h.setup)
t.start(); t.join()
with cached_block("w"):
    r = shlex.join(["a"])
--- h.py
import shlex
def setup():
    shlex.quote = lambda s: "«1→2»"
=== miss | a patch in a lambda that is called at once
import shlex
(lambda: setattr(shlex, "quote", lambda s: "«1→2»"))()
with cached_block("w"):
    r = shlex.join(["a"])
=== miss | a patch in the package's own file
import pack.part
import shlex
with cached_block("w"):
    r = shlex.join(["a"])
--- pack/__init__.py
import shlex
shlex.quote = lambda s: "«1→2»"
--- pack/part.py
=== miss | a patch by a context manager of a helper around the block
import shlex
from h import patched
with patched():
    with cached_block("w"):
        r = shlex.join(["a"])
--- h.py
import contextlib, shlex
@contextlib.contextmanager
def patched():
    old = shlex.quote
    shlex.quote = lambda s: "«1→2»"
    yield
    shlex.quote = old
=== miss | a patch by a decorator of a helper
import shlex
from h import patches
@patches
def unrelated():
    pass
with cached_block("w"):
    r = shlex.join(["a"])
--- h.py
import shlex
def patches(f):
    shlex.quote = lambda s: "«1→2»"
    return f
=== miss | a patch in a class body
import shlex
class Setup:
    shlex.quote = lambda s: "«1→2»"
with cached_block("w"):
    r = shlex.join(["a"])
=== miss | a patch in the else of a try
import shlex
try:
    import nothing_like_this
except ImportError:
    shlex.quote = lambda s: "«1→2»"
with cached_block("w"):
    r = shlex.join(["a"])
=== miss | a patch by the first of two blocks' neighbours, after a block that hits
import shlex
with cached_block("other"):
    k = 1
shlex.quote = lambda s: "«1→2»"
with cached_block("w"):
    r = shlex.join(["a"])
=== runs | a patch later in a loop around the block
import shlex
r = []
for i in range(2):
    with cached_block("w"):
        part = shlex.join(["a"])
    r = r + [part]
    shlex.quote = lambda s: "«1→2»"
=== miss | a patch by functools.partial of a helper
import shlex
from functools import partial
from h import setup
go = partial(setup, "«1→2»")
go()
with cached_block("w"):
    r = shlex.join(["a"])
--- h.py
import shlex
def setup(text):
    shlex.quote = lambda s: text
=== hit | a value that is printed by a method of a table
import shlex
names = {"a": 1}
names.update(b=«2→3»)
with cached_block("w"):
    r = shlex.join(["a"])
=== miss | how a class is pickled and copied
import copyreg, copy, h
x = h.A()
def reduce(a):
    return int, («1→2»,)
copyreg.pickle(h.A, reduce)
with cached_block("w"):
    r = copy.copy(x)
--- h.py
class A:
    pass
=== miss | an adapter of sqlite
import sqlite3
from h import P
p = P()
sqlite3.register_adapter(P, lambda p: «1→2»)
with cached_block("w"):
    c = sqlite3.connect(":memory:")
    r = c.execute("select ?", (p,)).fetchone()
    del c
--- h.py
class P:
    pass
=== miss | the first day of the week
import calendar
calendar.setfirstweekday(«0→6»)
with cached_block("w"):
    r = calendar.weekheader(2)
=== miss | a class registered with an abstract base of a library
import numbers
class A: pass
«→numbers.Number.register(A)»
with cached_block("w"):
    r = isinstance(A(), numbers.Number)
=== miss | a class registered with a local abstract base in a third module
import h, reg
with cached_block("w"):
    r = isinstance(h.B(), h.A)
--- h.py
from abc import ABC
class A(ABC): pass
class B: pass
--- reg.py
import h
«→h.A.register(h.B)»
=== miss | a registry of a third module, filled by a decorator
import plugins
from registry import table
with cached_block("w"):
    r = table["a"]()
--- registry.py
table = {}
def add(name):
    def deco(f):
        table[name] = f
        return f
    return deco
--- plugins.py
from registry import add
@add("a")
def f():
    return «1→2»
=== miss | a library's registry filled by __init_subclass__ of an unused class
import h
import json
from lib import Base
with cached_block("w"):
    r = Base.make("x")
--- lib.py
class Base:
    known = {}
    def __init_subclass__(cls, **kw):
        Base.known[cls.__name__.lower()] = cls
    @classmethod
    def make(cls, name):
        return cls.known[name]().go()
--- h.py
from lib import Base
class X(Base):
    def go(self):
        return «1→2»
=== miss | a module in place of another
import sys, types
fake = types.ModuleType("colours")
fake.red = «1→2»
sys.modules["colours"] = fake
with cached_block("w"):
    import colours
    r = colours.red
=== miss | a call's argument that came from a name which one statement rebinds together with it
import mimetypes
y = "text/«a→b»"
x = y
mimetypes.add_type(x, ".foo")
x, y = "ignore", "ignore"
with cached_block("b"):
    r = mimetypes.guess_type("a.foo")
print(r)
=== miss | a patch that is undone before the block
import math
from h import f
old = math.tau
math.tau = 1
«math.tau = old→»
with cached_block("w"):
    r = f()
--- h.py
import math
def f():
    return math.tau
=== miss | a patch by unittest.mock around the block
from unittest import mock
import html, h
with mock.patch("html.escape", h.fake):
    with cached_block("w"):
        r = html.escape("a")
--- h.py
def fake(x):
    return «1→2»
=== miss | an attribute of a library's module deleted
import html
«→del html.unescape»
with cached_block("w"):
    r = hasattr(html, "unescape")
=== miss | a name imported with a star over a builtin
from h import *
with cached_block("w"):
    r = abs(-3)
--- h.py
def abs(x):
    return «1→2»
=== miss | a context variable
import contextvars
v = contextvars.ContextVar("v", default=0)
v.set(«1→2»)
with cached_block("w"):
    r = v.get()
=== miss | state of a thread-local object of a helper
import h
h.local.k = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
import threading
local = threading.local()
def f():
    return local.k
=== miss | sklearn's output setting
import sklearn
from sklearn.preprocessing import StandardScaler
import pandas as pd
sklearn.set_config(transform_output="«default→pandas»")
df = pd.DataFrame({"a": [1.0, 2.0]})
with cached_block("w"):
    r = type(StandardScaler().fit_transform(df)).__name__
=== miss | a style of matplotlib
import matplotlib
matplotlib.rcParams["lines.linewidth"] = «1.0→2.0»
from h import width
with cached_block("w"):
    r = width()
--- h.py
from matplotlib.lines import Line2D
def width():
    return Line2D([0], [0]).get_linewidth()
=== hit | titles of a plot when nothing reaches matplotlib
import numpy as np
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.title("«a→b»")
plt.rcParams["font.size"] = «8→9»
a = np.arange(3)
with cached_block("w"):
    r = int(a.sum())
=== miss | a private attribute read in another class's method
from h import B
with cached_block("w"):
    r = B().go()
--- h.py
class A:
    _A__k = 1
    def go(self):
        return 1
class B(A):
    __k = «1→2»
    def go(self):
        return super().go() + self.__k
=== miss | a private function of a module, called in a method
from h import _A
with cached_block("w"):
    r = _A().go()
--- h.py
def _A__f():
    return «1→2»
class _A:
    def go(self):
        return __f()
=== miss | a private name bound by setattr from outside
from h import A
a = A()
setattr(a, "_A__k", «1→2»)
with cached_block("w"):
    r = a.go()
--- h.py
class A:
    def go(self):
        return self.__k
=== miss | a block in a method that reads a private global
_A__k = «1→2»
class A:
    def go(self):
        with cached_block("w"):
            y = __k
        return y
r = A().go()
=== miss | private names of classes with leading underscores
from h import __A
with cached_block("w"):
    r = __A().go()
--- h.py
class __A:
    __k = «1→2»
    def go(self):
        return self.__k
__all__ = ["__A"]
=== hit | printing and saving before the block
import json
with open("out.json", "w") as file:
    json.dump({"a": «1→2»}, file)
print("started «a→b»", file=open("log.txt", "w"))
with cached_block("w"):
    r = json.dumps([1])
print(r)
=== hit | an unrelated helper called before the block
import json
from h import report
report("«a→b»")
with cached_block("w"):
    r = json.dumps([1])
--- h.py
import json
seen = []
def report(text):
    seen.append(json.dumps(text))
=== hit | an import and a constant added to a module that registers nothing
import h
x = [1]
with cached_block("w"):
    r = h.f(x)
--- h.py
import json
«→import string
LETTERS = string.ascii_letters»
def f(x):
    return json.dumps(x)
"""


@pytest.mark.parametrize(("kind", "text"), list(parameters(PROGRAMS, FAILING)))
def test_corner(project, plain_path, kind, text):
    check(project, plain_path, kind, text)
