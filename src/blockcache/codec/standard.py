"""Typed values of Python and its standard library; ``MAKERS`` is part of the format."""

from __future__ import annotations

import builtins
import collections
import datetime
import pathlib
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

if TYPE_CHECKING:  # a hit without such values need not import them
    import array
    import decimal
    import fractions
    import uuid
    import zoneinfo

_PATHS: dict[str, type[pathlib.PurePath]] = {
    cls.__name__: cls for cls in (pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path()))
}
_CONSTANTS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


def typed(cls: type) -> Reducer | None:
    """How a value of exactly this class is reduced to typed parts."""
    seldom = _SELDOM.get((cls.__module__, cls.__name__))
    if seldom is not None:
        return seldom if getattr(sys.modules[cls.__module__], cls.__name__) is cls else None
    return _REDUCERS.get(cls)


def make_type(name: str) -> type:
    """A class among the builtins."""
    found = _TYPES.get(name) or vars(builtins)[name]
    if not isinstance(found, type):
        raise TypeError(f"{name} is not a class")
    return found


_TYPES = {"NoneType": type(None), "ellipsis": type(...)}


def _reduce_type(cls: type, _collector: Collector) -> Any:
    known = cls.__name__ in _TYPES or vars(builtins).get(cls.__name__) is cls
    return (make_type, (cls.__name__,)) if known and make_type(cls.__name__) is cls else NotImplemented


def make_constant(name: str) -> object:
    """``...`` and ``NotImplemented``."""
    return _CONSTANTS[name]


def make_date(*fields: int) -> datetime.date:
    """A date."""
    return datetime.date(*fields)


def make_time(fold: int, *fields: Any) -> datetime.time:
    """A time of day, with its zone last."""
    return datetime.time(*fields, fold=fold)


def make_datetime(fold: int, *fields: Any) -> datetime.datetime:
    """A date and time, with its zone last."""
    return datetime.datetime(*fields, fold=fold)


def make_timedelta(days: int, seconds: int, microseconds: int) -> datetime.timedelta:
    """A duration."""
    return datetime.timedelta(days, seconds, microseconds)


def make_timezone(*arguments: Any) -> datetime.timezone:
    """A fixed offset; without one, the one object for UTC."""
    return datetime.timezone(*arguments) if arguments else datetime.UTC


def make_zone(key: str) -> zoneinfo.ZoneInfo:
    """The zone of a key."""
    import zoneinfo

    return zoneinfo.ZoneInfo(key)


def make_decimal(text: str) -> decimal.Decimal:
    """A decimal number; no context has a say."""
    import decimal

    return decimal.Decimal(text)


def make_fraction(numerator: int, denominator: int) -> fractions.Fraction:
    """A fraction."""
    import fractions

    return fractions.Fraction(numerator, denominator)


def make_path(kind: str, text: str) -> pathlib.PurePath:
    """A path of one of the classes of ``pathlib``."""
    return _PATHS[kind](text)


def make_uuid(number: int, safe: str) -> uuid.UUID:
    """A UUID."""
    import uuid

    return uuid.UUID(int=number, is_safe=uuid.SafeUUID[safe])


def make_pattern(pattern: str | bytes, flags: int) -> re.Pattern[Any]:
    """A regular expression."""
    return re.compile(pattern, flags)


def make_array(code: str, buffer: Any) -> array.array[Any]:
    """An ``array.array``."""
    import array

    made: array.array[Any] = array.array(code)
    made.frombytes(buffer)
    return made


def make_deque(most: int | None) -> collections.deque[Any]:
    """An empty deque."""
    return collections.deque(maxlen=most)


def extend(made: collections.deque[Any], items: Iterable[object]) -> None:
    """Fill a deque."""
    made.extend(items)


def make_defaultdict(factory: Any) -> collections.defaultdict[Any, Any]:
    """An empty ``defaultdict``."""
    return collections.defaultdict(factory)


def make_ordered() -> collections.OrderedDict[Any, Any]:
    """An empty ``OrderedDict``."""
    return collections.OrderedDict()


def make_chain(*maps: Any) -> collections.ChainMap[Any, Any]:
    """A ``ChainMap``."""
    return collections.ChainMap(*maps)


def make_counter() -> collections.Counter[Any]:
    """An empty ``Counter``."""
    return collections.Counter()


def update(made: Any, state: tuple[Iterable[tuple[Any, Any]], dict[str, object]]) -> None:
    """Fill a dictionary of any class, in this order, and its attributes."""
    pairs, attributes = state
    for key, value in pairs:
        made[key] = value
    if attributes:
        made.__dict__.update(attributes)


#: What trees may call, by the name after ``python.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "type": make_type,
    "constant": make_constant,
    "complex": complex,
    "range": range,
    "slice": slice,
    "date": make_date,
    "time": make_time,
    "datetime": make_datetime,
    "timedelta": make_timedelta,
    "timezone": make_timezone,
    "zone": make_zone,
    "decimal": make_decimal,
    "fraction": make_fraction,
    "path": make_path,
    "uuid": make_uuid,
    "pattern": make_pattern,
    "array": make_array,
    "deque": make_deque,
    "defaultdict": make_defaultdict,
    "OrderedDict": make_ordered,
    "Counter": make_counter,
    "ChainMap": make_chain,
    "extend": extend,
    "update": update,
}


def _pairs(make: Callable[..., Any], *arguments: Callable[[Any], Any]) -> Reducer:
    def reduce(value: Any, _collector: Collector) -> Any:
        state = list(value.items()), dict(getattr(value, "__dict__", {}))
        return make, tuple(take(value) for take in arguments), state, None, None, update

    return reduce


def _reduce_zone(value: zoneinfo.ZoneInfo, _collector: Collector) -> Any:
    reduced: Any = value.__reduce__()
    _, (key, cached) = reduced
    return (make_zone, (key,)) if cached and key is not None else NotImplemented


def _reduce_timezone(value: datetime.timezone, _collector: Collector) -> Any:
    return make_timezone, () if value is datetime.UTC else value.__getinitargs__()  # type: ignore[attr-defined]


def _reduce_deque(value: collections.deque[Any], _collector: Collector) -> Any:
    return make_deque, (value.maxlen,), list(value), None, None, extend


def _reduce_chain(value: collections.ChainMap[Any, Any], _collector: Collector) -> Any:
    return (make_chain, tuple(value.maps)) if vars(value).keys() == {"maps"} else NotImplemented


def _reduce_uuid(value: uuid.UUID, _collector: Collector) -> Any:
    return make_uuid, (value.int, value.is_safe.name)


def _reduce_array(value: array.array[Any], collector: Collector) -> Any:
    return make_array, (value.typecode, collector.out_of_band(value, None) if value else b"")


def _reduce_time(value: datetime.time, _collector: Collector) -> Any:
    return make_time, (value.fold, value.hour, value.minute, value.second, value.microsecond, value.tzinfo)


def _reduce_datetime(value: datetime.datetime, _collector: Collector) -> Any:
    fields = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return make_datetime, (value.fold, *fields, value.tzinfo)


_REDUCERS: dict[type, Reducer] = {
    type: _reduce_type,
    type(...): lambda value, _: (make_constant, ("Ellipsis",)),
    type(NotImplemented): lambda value, _: (make_constant, ("NotImplemented",)),
    complex: lambda value, _: (complex, (value.real, value.imag)),
    range: lambda value, _: (range, (value.start, value.stop, value.step)),
    slice: lambda value, _: (slice, (value.start, value.stop, value.step)),
    datetime.date: lambda value, _: (make_date, (value.year, value.month, value.day)),
    datetime.time: _reduce_time,
    datetime.datetime: _reduce_datetime,
    datetime.timedelta: lambda value, _: (make_timedelta, (value.days, value.seconds, value.microseconds)),
    datetime.timezone: _reduce_timezone,
    **{cls: lambda value, _: (make_path, (type(value).__name__, str(value))) for cls in _PATHS.values()},
    re.Pattern: lambda value, _: (make_pattern, (value.pattern, value.flags)),
    collections.deque: _reduce_deque,
    collections.defaultdict: _pairs(make_defaultdict, lambda value: value.default_factory),
    collections.OrderedDict: _pairs(make_ordered),
    collections.Counter: _pairs(make_counter),
    collections.ChainMap: _reduce_chain,
}
#: By module and name: classes that need not be imported.
_SELDOM: dict[tuple[str, str], Reducer] = {
    ("zoneinfo", "ZoneInfo"): _reduce_zone,
    ("decimal", "Decimal"): lambda value, _: (make_decimal, (str(value),)),
    ("fractions", "Fraction"): lambda value, _: (make_fraction, (value.numerator, value.denominator)),
    ("uuid", "UUID"): _reduce_uuid,
    ("array", "array"): _reduce_array,
}
