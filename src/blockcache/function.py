"""``cached_function``: call a function once for each set of arguments, and give its results back ever after."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import CodeType, EllipsisType, FrameType, MethodType
from typing import Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, TypeVar, cast, overload

from blockcache import flight, hosts, lookup, nearest, report, restoring, running, settings, turns
from blockcache.block import Pin, checked_options, to_be_verified
from blockcache.call import FUNCTION, RESULT, Call, Site, Tally, block_of, is_call
from blockcache.errors import BlockError, CacheError, FrozenMissError, SettingError
from blockcache.fingerprint.registry import Cached
from blockcache.hosts import Place
from blockcache.model import Hit, Input, Manifest, Miss
from blockcache.passage import Options
from blockcache.stores.opened import store_at

report.install()

#: Arguments of a function that does not tell what it takes.
_UNKNOWN = ("args", "kwargs")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
Mode = Literal["on", "off", "refresh", "readonly", "frozen", "verify"]


class CachedFunction(Cached, Generic[P, R]):
    """A function whose results are kept; made by :func:`cached_function`.

    Attributes
    ----------
    __wrapped__
        The function itself: calling it goes past the cache.
    name
        The label of its entries.
    """

    def __init__(
        self,
        function: Callable[P, R],
        name: str,
        options: Options,
        copy: bool,
        capture: Sequence[str] | str | None,
        mode: Mode | None,
        store: str | None,
        place: Place,
        of_class: bool,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self._function: Callable[..., Any] = function
        self._capture, self._mode, self._store, self._of_class = capture, mode, store, of_class
        self._is_async = inspect.iscoroutinefunction(function)
        self._signature = _signature(function)
        inner = inspect.unwrap(function)
        code = getattr(inner, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else (place.file, 1)
        arguments = tuple(self._signature.parameters) if self._signature is not None else _UNKNOWN
        block = block_of(name, arguments, file, line)
        self._site = Site(name, options, place, block, getattr(inner, "__globals__", {}), copy, self._is_async, Tally())

    # -- calling ---------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, or give what an earlier call with equal arguments gave."""
        if self._is_async:
            return cast(R, self._call_async(None, args, kwargs))
        return cast(R, self._call(sys._getframe(1), None, args, kwargs))

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function whatever is kept, and keep its result in place of what was.

        In a process whose mode forbids saving (``off``, ``readonly``, ``frozen``) the function is only called.

        Parameters
        ----------
        *args, **kwargs
            The arguments of the call.
        """
        if self._is_async:
            return cast(R, self._call_async("refresh", args, kwargs))
        return cast(R, self._call(sys._getframe(1), "refresh", args, kwargs))

    def check(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether a call with these arguments would be answered without calling the function.

        Nothing is changed, printed or counted: an entry that cannot be used is left where it is.

        Parameters
        ----------
        *args, **kwargs
            The arguments of the call.

        Raises
        ------
        TypeError
            When the function does not take such arguments.
        """
        values = self._bind(args, kwargs)
        chosen = self._settings(None)
        if chosen.mode in ("off", "refresh"):
            return False
        call = Call(self._site, sys._getframe(1), values, replace(chosen, mode="readonly", strict=True))
        call.asks_only = True
        try:
            lookup.look_up(call)
        except SettingError:
            raise
        except Exception:  # the call will say what is wrong
            return False
        return isinstance(call.result, Hit)

    def entries(self) -> tuple[Manifest, ...]:
        """What is kept of this function, the newest first: a manifest for each set of arguments and state of the code.

        Returns
        -------
        tuple of Manifest
            ``key.inputs`` has the arguments, each with a note for people; ``provenance`` when it was made, in how long.
        """
        store = store_at(settings.store_path(self._settings(None), self._site.place.folder))
        return tuple(m for m in nearest.entries_of(store, self.name) if is_call(m))

    def _call(self, frame: FrameType, mode: Mode | None, args: Any, kwargs: Any) -> Any:
        call = self._enter(frame, mode, args, kwargs)
        if call is None:
            return self.__wrapped__(*args, **kwargs)
        if turns.may_wait(call):
            flight.stand_still(turns.take(call, blocks=True))
        if self._is_answered(call):
            return restoring.restore(call)[RESULT]
        try:
            running.begin(call)
            try:
                result = self.__wrapped__(*args, **kwargs)
            except BaseException as error:
                running.end(call, type(error))
                raise
            call.namespace.assign({RESULT: result})
            running.end(call, None)
        finally:
            turns.end(call)
        return result

    async def _call_async(self, mode: Mode | None, args: Any, kwargs: Any) -> Any:
        call = self._enter(sys._getframe(1), mode, args, kwargs)
        if call is None:
            return await self.__wrapped__(*args, **kwargs)
        if turns.may_wait(call):
            await flight.let_others_run(turns.take(call, blocks=False))
        if self._is_answered(call):
            return restoring.restore(call)[RESULT]
        try:
            running.begin(call)
            try:
                result = await self.__wrapped__(*args, **kwargs)
            except BaseException as error:
                running.end(call, type(error))
                raise
            call.namespace.assign({RESULT: result})
            running.end(call, None)
        finally:
            turns.end(call)
        return result

    def _enter(self, frame: FrameType, mode: Mode | None, args: Any, kwargs: Any) -> Call | None:
        """The call, looked up; None where the function is to be called as if there were no cache."""
        chosen = self._settings(mode)
        if chosen.mode == "off":
            return None
        try:
            values = self._bind(args, kwargs)
        except TypeError:
            return None  # the function says it better
        call = Call(self._site, frame, values, chosen)
        lookup.look_up(call)
        return call

    def _is_answered(self, call: Call) -> bool:
        """Whether an entry answers; the function is not called then."""
        if isinstance(call.result, Hit) and not to_be_verified(call.settings) and lookup.ready(call):
            return True
        if call.settings.mode == "frozen":
            why = call.problem or (report.why(call.result) if isinstance(call.result, Miss) else "")
            raise FrozenMissError(f"function {self.name!r} ({self._site.place.file}) missed in frozen mode: {why}")
        return False

    def _settings(self, mode: Mode | None) -> settings.Settings:
        chosen = settings.in_force(self._site.place.folder, mode=self._mode, store=self._store, capture=self._capture)
        if mode is None:
            return chosen
        return replace(chosen, mode=mode if chosen.mode in ("on", "verify", "refresh") else "off")

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, as the function will see them, and the function."""
        if self._signature is None:
            return {**dict(zip(_UNKNOWN, (args, kwargs), strict=True)), FUNCTION: self._function}
        owner = getattr(self.__wrapped__, "__self__", None) if isinstance(self.__wrapped__, MethodType) else None
        bound = self._signature.bind(*args, **kwargs) if owner is None else self._signature.bind(owner, *args, **kwargs)
        bound.apply_defaults()
        values: dict[str, Any] = bound.arguments
        values[FUNCTION] = self._function
        return values

    # -- being a function ------------------------------------------------------------------

    @overload
    def __get__(self, owner: None, kind: type | None = None) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, Q], R], owner: object, kind: type | None = None
    ) -> CachedFunction[Q, R]: ...
    def __get__(self, owner: object, kind: type | None = None) -> CachedFunction[..., R]:
        owner = kind if self._of_class else owner
        if owner is None:
            return self
        bound: CachedFunction[..., R] = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, __wrapped__=MethodType(self._function, owner))
        return bound

    def counts(self) -> Iterable[Input]:
        """What callers depend on besides the function: what its arguments declare."""
        if not self._site.options.inputs and self._site.options.version is None:
            return ()
        return lookup.declared_inputs(Call(self._site, sys._getframe(1), {}, self._settings(None)))

    @property
    def __code__(self) -> CodeType:
        # With these, `inspect` knows an async function when it sees one.
        return cast(CodeType, getattr(self._function, "__code__", None))

    @property
    def __defaults__(self) -> tuple[Any, ...] | None:
        return cast("tuple[Any, ...] | None", getattr(self._function, "__defaults__", None))

    @property
    def __kwdefaults__(self) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", getattr(self._function, "__kwdefaults__", None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CachedFunction):
            return NotImplemented
        return self is other or (self._site is other._site and self.__wrapped__ == other.__wrapped__)

    def __hash__(self) -> int:
        return hash((id(self._site), self.__wrapped__))

    def __repr__(self) -> str:
        return f"<cached {self.__wrapped__!r}>"

    def __reduce__(self) -> Any:
        if isinstance(self.__wrapped__, MethodType):
            return getattr, (self.__wrapped__.__self__, self._function.__name__)
        if not _is_by_value(self._function, sys._getframe(1)):
            return self.__qualname__
        site = self._site
        state = site.options, site.copy, self._capture, self._mode, self._store, site.place, self._of_class
        return CachedFunction, (self._function, self.name, *state)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """What the function itself takes, not what it wraps; None of builtins that do not tell."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _is_by_value(function: Callable[..., Any], frame: FrameType | None) -> bool:
    """Whether the pickler that called ``frame`` saves functions of the program by value, as cloudpickle does.

    What it would save by name is not found in a worker: a function of the main module or of another function.
    """
    if function.__module__ != "__main__" and "<locals>" not in function.__qualname__:
        return False
    while frame is not None and frame.f_globals.get("__name__") == "pickle":
        frame = frame.f_back
    return frame is not None and "pickle" in str(frame.f_globals.get("__name__"))


@overload
def cached_function(function: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cached_function(
    *,
    name: str | None = None,
    inputs: Iterable[object] = (),
    outputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    ignore: Iterable[str | type] = (),
    pin: Pin | Mapping[str, Pin] | EllipsisType = ...,
    version: str | float | None = None,
    validate: Callable[[Any], object] | None = None,
    ttl: str | float | timedelta | None = None,
    copy: bool = True,
    capture: Sequence[str] | str | None = None,
    mode: Mode | None = None,
    store: str | None = None,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
def cached_function(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    inputs: Iterable[object] = (),
    outputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    ignore: Iterable[str | type] = (),
    pin: Pin | Mapping[str, Pin] | EllipsisType = ...,
    version: str | float | None = None,
    validate: Callable[[Any], object] | None = None,
    ttl: str | float | timedelta | None = None,
    copy: bool = True,
    capture: Sequence[str] | str | None = None,
    mode: Mode | None = None,
    store: str | None = None,
) -> Any:
    """Keep a function's results: call it once for each set of arguments, in this process and in later ones.

    >>> @cached_function
    ... def fit(path, *, depth=3):
    ...     return train(load(path), depth)

    A later call with equal arguments gives what the first one returned, printed and changed, as long as nothing that
    the function depends on has changed: what :func:`cached_block` says of a block's body holds for the function.
    Arguments count by content, as the function sees them: ``fit("a.csv")``, ``fit(path="a.csv")`` and
    ``fit("a.csv", depth=3)`` are one call. Of a method the object counts too, by its attributes and its class.

    Parameters
    ----------
    function
        A plain or async function, a method, a class method or a static method.
    name
        The label of its entries, for people; by default its qualified name.
    inputs, outputs, pin, version, ttl, capture, mode, store
        As of :func:`cached_block`.
    ignore
        Names of arguments that do not count (``"verbose"``), and what :func:`cached_block` takes.
    validate
        Called with the result before it is given back; false, or an error, is a miss.
    copy
        Whether each call gives a result of its own, as calling the function does. With False all calls of a process
        that have equal arguments give the same object, which is faster where it is large, and which nobody may change.

    Returns
    -------
    CachedFunction
        To be called as the function, with :meth:`~CachedFunction.check`, :meth:`~CachedFunction.refresh` and
        :meth:`~CachedFunction.entries` besides. ``__wrapped__`` is the function itself.

    Raises
    ------
    CacheError
        When an argument is none that it can be.
    BlockError
        For what has no result to keep: generator functions, properties, classes.

    Notes
    -----
    The first three calls that read the store or run the function print a line each, later ones only where the function
    ran for a second or more; the 10th, 100th, 1,000th call says in one line what they came to.
    """
    if function is None:
        return functools.partial(
            cached_function,
            name=name,
            inputs=inputs,
            outputs=outputs,
            ignore=ignore,
            pin=pin,
            version=version,
            validate=validate,
            ttl=ttl,
            copy=copy,
            capture=capture,
            mode=mode,
            store=store,
        )
    _refuse(function)
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise CacheError(
            f"cached_function needs a name for its entries, not {name!r}: cached_function(name='features')"
        )
    inner: Callable[..., Any] = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
    made: CachedFunction[..., Any] = CachedFunction(
        inner,
        name or str(getattr(inner, "__qualname__", type(inner).__qualname__)),
        checked_options(inputs, ignore, pin, version, _of_result(validate), ttl, (), outputs),
        copy,
        capture,
        mode,
        store,
        hosts.place(sys._getframe(1)),
        isinstance(function, classmethod),
    )
    return staticmethod(made) if isinstance(function, staticmethod) else made


def _refuse(function: object) -> None:
    """Raise for what has no result to keep, with the way out."""
    inner: Any = getattr(function, "__func__", function)
    if isinstance(inner, (property, functools.cached_property)):
        _refuse_at("a property is no function", inner, "Write the property above: @property, then @cached_function.")
    if isinstance(inner, type):
        _refuse_at(f"{inner.__qualname__} is a class", inner, "Cache a function that makes an object of it.")
    if not callable(inner):
        raise CacheError(f"cached_function({inner!r}): it takes a function; give a name by name='features'")
    inner = inspect.unwrap(inner)
    inner = inner.func if isinstance(inner, functools.partial) else inner
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        what = f"{inner.__qualname__} is a generator function: it returns before it has run"
        _refuse_at(what, inner, "Cache a function that returns a list, or the function that makes each item.")


def _refuse_at(problem: str, function: object, way_out: str) -> NoReturn:
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        file, line = code.co_filename, code.co_firstlineno
    else:  # where it is decorated
        frame = sys._getframe(3)
        file, line = frame.f_code.co_filename, frame.f_lineno
    raise BlockError(problem, file=file, line=line, way_out=way_out)


def _of_result(validate: Callable[[Any], object] | None) -> Callable[[Mapping[str, object]], object] | None:
    if validate is None or not callable(validate):
        return validate
    return functools.partial(_validate, validate)


def _validate(validate: Callable[[Any], object], values: Mapping[str, object]) -> object:
    return validate(values[RESULT])
