# ruff: noqa: F401  (the expressions of the table use the modules)
"""A table of values for the tests of fingerprints, as expressions, so that each can be made anew in any process.

Run as a program it is the other process: ``fingerprint_values.py print`` writes the fingerprints of all values,
``save FILE`` their pickles, and ``load FILE`` the fingerprints of what comes back from the pickles.
"""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import json
import logging
import math
import operator
import pathlib
import pickle
import random
import re
import statistics
import string
import sys
import types
import typing
import uuid
import zoneinfo

import cloudpickle
import networkx as nx
import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

from blockcache.errors import FingerprintError
from blockcache.fingerprint.values import fingerprint


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self):
        return 1


class OtherPlain(Plain):
    pass


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b=None):
        self.a = a
        if b is not None:
            self.b = b


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenPoint:
    x: int
    y: float = 0.0


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Mode(enum.Flag):
    R = 1
    W = 2


class Named(typing.NamedTuple):
    a: int
    b: int


class MyList(list):
    pass


class MyDict(dict):
    pass


class MySet(set):
    pass


class MyInt(int):
    pass


class MyStr(str):
    pass


class MyArray(np.ndarray):
    pass


class MyFrame(pd.DataFrame):
    _metadata = ["unit"]

    @property
    def _constructor(self):
        return MyFrame


class MyError(ValueError):
    pass


class Account:
    """Says itself what stands for it; the rest is noise."""

    def __init__(self, owner):
        self.owner = owner
        self.noise = object(), id(self), random.random()

    def __fingerprint__(self):
        return {"owner": self.owner}


class DropsState:
    def __init__(self, url):
        self.url = url
        self.socket = (x for x in ())

    def __getstate__(self):
        return {"url": self.url}


def double(x):
    return 2 * x


@functools.lru_cache(maxsize=7)
def cached(x):
    return x


def with_attributes(value, **attributes):
    value.__dict__.update(attributes)
    return value


def my_array(data, **attributes):
    return with_attributes(np.array(data).view(MyArray), **attributes)


def frame_attrs(frame, **attrs):
    frame.attrs.update(attrs)
    return frame


def cyclic_list(*items):
    result = list(items)
    result.append(result)
    return result


def cyclic_node(n):
    nodes = [Plain(number=i) for i in range(n)]
    for i, node in enumerate(nodes):
        node.next, node.previous = nodes[(i + 1) % n], nodes[i - 1]
    return nodes[0]


def deep(n, leaf=None):
    result = [leaf]
    for _ in range(n):
        result = [result]
    return result


def diamond(n, leaf=0):
    result = [leaf]
    for _ in range(n):
        result = [result, result]
    return result


def seeded(seed, drawn=0):
    generator = random.Random(seed)
    for _ in range(drawn):
        generator.gauss(0, 1)
    return generator


def drawn(generator, n=1):
    generator.random(n)
    return generator


def fitted(name, **options):
    import sklearn.cluster
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.neighbors
    import sklearn.pipeline
    import sklearn.preprocessing
    import sklearn.svm
    import sklearn.tree

    X = np.random.default_rng(0).normal(size=(60, 4))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    kinds = {
        "scaler": sklearn.preprocessing.StandardScaler,
        "linear": sklearn.linear_model.LinearRegression,
        "logistic": sklearn.linear_model.LogisticRegression,
        "tree": sklearn.tree.DecisionTreeClassifier,
        "forest": sklearn.ensemble.RandomForestClassifier,
        "boosting": sklearn.ensemble.GradientBoostingClassifier,
        "hist": sklearn.ensemble.HistGradientBoostingClassifier,
        "kmeans": sklearn.cluster.KMeans,
        "knn": sklearn.neighbors.KNeighborsClassifier,
        "svc": sklearn.svm.SVC,
    }
    fit = options.pop("fit", True)
    model = kinds[name](**options)
    return model.fit(X, y) if fit else model


def pipeline():
    from sklearn.pipeline import make_pipeline

    return make_pipeline(fitted("scaler"), fitted("logistic", C=2.0))


def image(mode="RGB", size=(4, 3), color=7):
    return PIL.Image.new(mode, size, color)


def graph(cls=nx.Graph, edges=((1, 2), (2, 3)), **attributes):
    result = cls(**attributes)
    result.add_edges_from(edges)
    return result


F = np.arange(6.0).reshape(2, 3)
PADDED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
PACKED = np.dtype([("a", "i1"), ("b", "f8")])
DF = "pd.DataFrame({'a': [1, 2, 3], 'b': ['x', 'y', None]})"

#: Every value differs from every other one.
EXPRESSIONS = [
    # plain
    "None", "True", "False", "0", "1", "-1", "2**70", "-(2**70)", "1.0", "0.0", "-0.0", "math.inf", "-math.inf", "math.nan",
    "1j", "complex(1, 0)", "complex(0.0, -0.0)", "complex(0.0, 0.0)", "'1'", "b'1'", "''", "b''", "'\\ud800'", "'é'", "'e\\u0301'",
    "'x' * 100_000", "b'x' * 100_000", "bytearray(b'1')", "bytearray(b'x' * 100_000)", "memoryview(b'1')",
    "memoryview(b'12345678').cast('i')", "Ellipsis", "NotImplemented", "range(3)", "range(0, 3, 2)", "slice(1)", "slice(1, None)",
    # containers
    "[]", "()", "{}", "set()", "frozenset()", "[1]", "(1,)", "{1}", "frozenset({1})", "{1: None}", "[1.0]", "[True]", "[[1]]",
    "[1, 2]", "[2, 1]", "[[1], 2]", "[[1, 2]]", "[1, [2]]", "('ab', 'c')", "('a', 'bc')", "{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}",
    "{'a', 'b', 'c', 1, None}", "{'a', 'b', 'c', 'd', 'e'}", "frozenset({'a', 'b', 'c', 'd', 'e'})", "{1.5, 2.5, 'x', (1, 'y')}",
    "{frozenset({'a', 'b'}), frozenset({'c', frozenset({'d', 'e'})})}", "{b'a', b'b'}", "{1: {'a', 'b'}, 2: {'a', 'b'}}", "{1: {'a', 'b'}, 2: {'a', 'c'}}",
    "collections.OrderedDict(a=1, b=2)", "collections.OrderedDict(b=2, a=1)", "collections.defaultdict(list, a=1)",
    "collections.defaultdict(dict, a=1)", "collections.defaultdict(None, a=1)", "collections.Counter('aab')", "collections.ChainMap({'a': 1}, {'b': 2})",
    "collections.deque([1, 2])", "collections.deque([1, 2], 5)", "collections.deque([1, 2], 6)", "collections.UserDict(a=1)",
    "types.MappingProxyType({'a': 1})", "types.SimpleNamespace(a=1)", "types.SimpleNamespace(a=1, b=2)", "{'a': 1}.keys()", "{'a': 1}.values()",
    "array.array('i', [1, 2])", "array.array('h', [1, 2])", "array.array('d', [1, 2])", "Named(1, 2)", "(1, 2)", "Named(2, 1)",
    "MyList([1])", "with_attributes(MyList([1]), a=1)", "MyDict(a=1)", "with_attributes(MyDict(a=1), a=1)", "MySet({'a', 'b', 'c'})",
    "with_attributes(MySet({'a', 'b', 'c'}), a=1)", "MyInt(1)", "MyStr('1')", "with_attributes(MyStr('1'), a=1)",
    # instances
    "object()", "Plain()", "OtherPlain()", "Plain(a=1)", "Plain(a=1.0)", "Plain(b=1)", "Plain(a=1, b=2)", "Slots(1)", "Slots(1, 2)", "Slots(2, 1)", "Point(1)",
    "Point(1, 1.0)", "FrozenPoint(1)", "FrozenPoint(2)", "Color.RED", "Color.GREEN", "Mode.R", "Mode.R | Mode.W", "{Color.RED, Color.GREEN}",
    "{Color.RED: 1}", "Account('a')", "Account('b')", "DropsState('u')", "DropsState('v')", "MyError('a')", "ValueError('a')", "MyError('a', 1)",
    # standard library
    "datetime.date(2020, 1, 2)", "datetime.datetime(2020, 1, 2)", "datetime.datetime(2020, 1, 2, fold=1)", "datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)",
    "datetime.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo('Europe/Paris'))", "datetime.time(1)", "datetime.timedelta(1)", "datetime.UTC",
    "zoneinfo.ZoneInfo('Europe/Paris')", "zoneinfo.ZoneInfo('Europe/Berlin')", "decimal.Decimal('1')", "decimal.Decimal('1.0')", "decimal.Context(prec=5)",
    "fractions.Fraction(1, 3)", "pathlib.Path('a/b')", "pathlib.PurePosixPath('a/b')", "pathlib.PureWindowsPath('a/b')", "re.compile('a')", "re.compile('a', re.I)",
    "re.compile(b'a')", "uuid.UUID(int=5)", "ipaddress.ip_address('127.0.0.1')", "io.BytesIO(b'a')", "io.StringIO('a')", "statistics.NormalDist(0, 1)",
    "string.Template('a')", "logging.getLogger('some.name')", "logging.getLogger('other.name')", "seeded(1)", "seeded(2)", "seeded(1, 1)", "seeded(1, 2)",
    # definitions
    "double", "len", "math.sin", "int", "Plain", "collections.OrderedDict", "math", "str.upper", "'abc'.upper", "'abd'.upper", "[].append", "Plain(a=1).method",
    "Plain(a=2).method", "type(None)", "types.FunctionType", "functools.partial(double, 1)", "functools.partial(double, 2)", "functools.partial(double, x=1)",
    "cached", "functools.lru_cache(maxsize=8)(double)", "operator.attrgetter('a')", "operator.attrgetter('b')", "operator.itemgetter(1)",
    "operator.methodcaller('a', 1)", "property(double)", "staticmethod(double)", "classmethod(double)", "list[int]", "dict[str, int]", "int | str", "typing.Any",
    # cycles, depth, sharing
    "cyclic_list()", "cyclic_list(1)", "[cyclic_list()]", "cyclic_node(2)", "cyclic_node(3)", "deep(5000)", "deep(5000, 1)", "deep(5001)", "diamond(30)", "diamond(30, 1)",
    # numpy
    "np.arange(6)", "np.arange(6.0)", "np.arange(6, dtype='f4')", "np.arange(6).astype('>i8')", "F", "F.T", "F.T.copy()", "np.asfortranarray(F)", "F.reshape(6, 1)",
    "np.zeros(0)", "np.zeros((0, 3))", "np.zeros(2)", "np.zeros(2, 'i8')", "-np.zeros(2)", "np.zeros(2, 'M8[ns]')", "np.zeros(2, 'M8[us]')", "np.zeros(2, 'm8[ns]')",
    "np.array(['a', 'b'])", "np.array([b'a', b'b'])", "np.array(['a', 'b'], dtype=object)", "np.array(['a', 'b'], np.dtypes.StringDType())", "np.array([1, 'b', None], dtype=object)",
    "np.zeros(2, PADDED)", "np.zeros(2, PACKED)", "np.zeros(2, [('a', 'i1'), ('c', 'f8')])", "np.zeros(2, [('a', 'i1'), ('b', object)])",
    "np.rec.array([(1, 2.0)], dtype=PACKED)", "np.matrix([[1]])", "np.ma.array([1, 2], mask=[0, 1])", "np.ma.array([1, 2], mask=[1, 0])", "np.ma.array([1, 2])",
    "np.ma.array([1, 2], fill_value=7)", "my_array([1])", "my_array([1], unit='m')", "np.array(1)", "np.int64(1)", "np.int32(1)", "np.float64(1)", "np.array(1.0)", "np.str_('1')",
    "np.bool_(True)", "np.datetime64('2020')", "np.dtype('f8')", "np.dtype('>f8')", "PADDED", "PACKED", "np.float64", "np.sin", "np.zeros(3).astype('?')",
    "np.random.default_rng(1)", "np.random.default_rng(2)", "drawn(np.random.default_rng(1))", "np.random.RandomState(1)", "np.random.RandomState(2)",
    "np.random.Generator(np.random.MT19937(1))", "np.random.SeedSequence(1)", "np.zeros(100_000)", "np.zeros(100_001)", "[np.zeros(1000), np.ones(1000)]", "[np.ones(1000), np.zeros(1000)]",
    "np.polynomial.Polynomial([1, 2])", "np.broadcast_to(1, (3, 3))",
    # pandas
    DF, f"{DF}[['b', 'a']]", f"{DF}.rename(columns={{'a': 'c'}})", f"{DF}.iloc[:2]", f"{DF}.set_index('a')", f"{DF}.set_axis([5, 6, 7])", f"{DF}.astype({{'b': object}})",
    f"{DF}.astype({{'b': 'string[python]'}})", f"{DF}.astype({{'b': 'category'}})", f"{DF}.astype({{'a': 'Int64'}})", f"{DF}.astype({{'a': 'int64[pyarrow]'}})", f"{DF}.astype({{'a': float}})",
    f"frame_attrs({DF}, unit='m')", f"{DF}.set_flags(allows_duplicate_labels=False)", f"with_attributes(MyFrame({DF}))", f"{DF}.rename_axis('i')", f"{DF}.rename_axis('i', axis=1)", f"{DF}['a']",
    f"{DF}['a'].rename('z')", "pd.Series([1, 2])", "pd.Series([1, 2], name='a')", "pd.Series([1.0, 2.0])", "pd.Series([1, 2], index=['a', 'b'])", "pd.Index([1, 2])", "pd.RangeIndex(1, 3)",
    "pd.Index([1, 2], name='a')", "pd.array([1, None])", "pd.array([0, None])", "pd.array([1.0, None], dtype='Float64')", "pd.array([True, None])", "pd.Categorical(['a', 'b'])",
    "pd.Categorical(['a', 'b'], ['b', 'a'])", "pd.Categorical(['a', 'b'], ordered=True)", "pd.date_range('2020', periods=3)", "pd.date_range('2020', periods=3, tz='UTC')",
    "pd.date_range('2020', periods=3, tz='Europe/Paris')", "pd.DatetimeIndex(['2020-01-01', '2020-01-02', '2020-01-04'])", "pd.period_range('2020', periods=3, freq='M')",
    "pd.timedelta_range('1d', periods=3)", "pd.interval_range(0, 3)", "pd.interval_range(0, 3, closed='left')", "pd.MultiIndex.from_product([[1, 2], ['a', 'b']])", "pd.MultiIndex.from_product([[1, 2], ['a', 'b']], names=['x', 'y'])",
    "pd.Timestamp('2020')", "pd.Timestamp('2020', tz='UTC')", "pd.Timedelta('1d')", "pd.NaT", "pd.NA", "pd.Period('2020-01', 'M')", "pd.Interval(0, 1)", "pd.offsets.MonthEnd(2)",
    "pd.arrays.SparseArray([0, 0, 1])", "pd.CategoricalDtype(['a'])", "pd.Int64Dtype()", "pd.DataFrame()", "pd.DataFrame(index=[1])", "pd.DataFrame(np.zeros((2, 2)))",
    "pd.DataFrame({'a': [{'x': {1, 2}}, [1]]})",
    # arrow, polars
    "pa.table({'a': [1, 2], 'b': ['x', None]})", "pa.table({'a': [1, 2], 'c': ['x', None]})", "pa.table({'a': [1, 2], 'b': ['x', '']})", "pa.table({'b': ['x', None], 'a': [1, 2]})",
    "pa.table({'a': [1, 2], 'b': ['x', None]}).replace_schema_metadata({'k': 'v'})", "pa.record_batch({'a': [1, 2], 'b': ['x', None]})", "pa.chunked_array([[1, 2]])", "pa.array([1, 2])",
    "pa.array([1, 2], pa.int32())", "pa.array([1, None])", "pa.array([0, None])", "pa.array(['ab', 'c'])", "pa.array(['a', 'bc'])", "pa.array(['ab', 'c'], pa.large_string())", "pa.array(['ab', 'c'], pa.string_view())",
    "pa.array([b'ab', b'c'])", "pa.array([[1], [2, 3]])", "pa.array([[1, 2], [3]])", "pa.array([[1, 2], [3], None])", "pa.array([[1, 2], [3], []])", "pa.array([True, False])", "pa.array([True, None])",
    "pa.array([{'x': 1}, {'x': 2}])", "pa.array([{'x': 1}, None])", "pa.array([{'x': 1}, {'x': None}])", "pa.array(['a', 'b']).dictionary_encode()", "pa.nulls(3)", "pa.nulls(4)", "pa.array([datetime.date(2020, 1, 1)])",
    "pa.array([decimal.Decimal('1.5')])", "pa.array([[('a', 1)]], pa.map_(pa.string(), pa.int64()))", "pa.schema([('a', pa.int64())])", "pa.int64()", "pa.scalar(1)", "pa.py_buffer(b'ab')",
    "pl.DataFrame({'a': [1, 2], 'b': ['x', None]})", "pl.DataFrame({'a': [1, 2], 'c': ['x', None]})", "pl.DataFrame({'b': ['x', None], 'a': [1, 2]})", "pl.Series('a', [1, 2])", "pl.Series('b', [1, 2])",
    "pl.Series('a', [1, None])", "pl.Series('a', [1.0, 2.0])", "pl.Series('a', ['x', 'y'], pl.Categorical)", "pl.Series('a', ['x', 'y'], pl.Enum(['x', 'y']))", "pl.Series('a', [[1], [2, 3]])", "pl.Series('a', [{'x': 1}])",
    "pl.Series('a', [datetime.datetime(2020, 1, 1)])", "pl.Series('a', [object, int], pl.Object)", "pl.DataFrame()", "pl.Int64()",
    # scipy, networkx, images, scikit-learn
    "sp.csr_matrix(np.eye(3))", "sp.csc_matrix(np.eye(3))", "sp.coo_matrix(np.eye(3))", "sp.csr_array(np.eye(3))", "sp.dok_matrix(np.eye(3))", "sp.lil_matrix(np.eye(3))", "sp.dia_matrix(np.eye(3))",
    "sp.csr_matrix(np.eye(3) * 2)", "graph()", "graph(nx.DiGraph)", "graph(nx.MultiGraph)", "graph(edges=[(1, 2), (1, 3)])", "graph(name='g')", "image()", "image('L')", "image(color=8)", "image(size=(3, 4))",
    "fitted('logistic', fit=False)", "fitted('logistic', fit=False, C=2.0)", "fitted('scaler')", "fitted('linear')", "fitted('logistic')", "fitted('logistic', C=2.0)", "fitted('tree', random_state=0)", "fitted('forest', n_estimators=5, random_state=0)",
    "fitted('boosting', n_estimators=5, random_state=0)", "fitted('hist', max_iter=5, random_state=0)", "fitted('kmeans', n_clusters=3, random_state=0, n_init=2)", "fitted('knn')", "fitted('svc')", "pipeline()",
]  # fmt: skip

#: What no pickle brings back as it was; only fingerprinted anew in another process.
NOT_PICKLED = (
    "keys()",
    # Their arrays are read-only, which a plain pickle forgets.
    "np.broadcast_to",
    "fitted('knn')",
    "values()",
    "memoryview",
    "property(",
    "staticmethod(",
    "classmethod(",
    "lru_cache",
    "MappingProxy",
    "deep(",
    "my_array([1], ",
    "pl.Object",
    "cached",
    "Account",
    "diamond(",
    ".upper",
    ".append",
    "method",
)


def value(expression):
    return eval(expression, globals())


def try_fingerprint(v):
    try:
        return fingerprint(v)
    except FingerprintError as error:
        return f"refused: {error}"


def main(action, file=None):
    if action == "print":
        found = {e: try_fingerprint(value(e)) for e in EXPRESSIONS}
    elif action == "save":
        pickles = {
            e: cloudpickle.dumps(value(e), protocol=5) for e in EXPRESSIONS if not any(n in e for n in NOT_PICKLED)
        }
        pathlib.Path(file).write_bytes(pickle.dumps(pickles))
        found = {}
    else:
        pickles = pickle.loads(pathlib.Path(file).read_bytes())
        found = {e: try_fingerprint(pickle.loads(data)) for e, data in pickles.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    # The classes of this file must be those of an importable module.
    import fingerprint_values

    fingerprint_values.main(*sys.argv[1:])
