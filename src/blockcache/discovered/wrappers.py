"""Wrappers around what no audit event tells, only while something records: readers in C, `os.stat`, `os.environ`,
the start of a thread.

A library is wrapped where all its readers meet: low, so that it does not matter how the project has imported the
reader. What is not loaded is left alone and looked for again at the next import.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blockcache import beside
from blockcache.discovered import watch
from blockcache.discovered.places import Caller, is_writing

#: Module, class in it or nothing, names of functions that are given a file first.
_READERS = (
    ("polars._plr", "PyLazyFrame", r"new_from_\w+|sink_\w+"),
    ("polars._plr", "PyDataFrame", r"(read|write)_\w+"),
    ("polars._plr", "", r"read_\w+"),
    ("pyarrow", "", r"memory_map|input_stream|create_memory_map|output_stream"),
    ("pyarrow.ipc", "", r"open_file|open_stream"),
    ("pyarrow.csv", "", r"(read|open|write)_csv"),
    ("pyarrow.json", "", r"(read|open)_json"),
    ("pyarrow.feather", "", r"_read_table_internal|read_table|write_feather"),
    ("pyarrow.orc", "ORCFile", r"__init__"),
    ("pyarrow.orc", "", r"(read|write)_table"),
    ("pyarrow.dataset", "", r"_filesystem_dataset|parquet_dataset|write_dataset"),
    ("pyarrow.parquet", "", r"read_(metadata|schema)|write_metadata"),
    ("pyarrow.parquet.core", "ParquetDataset", r"__init__"),
    ("pyarrow.parquet.core", "ParquetFile", r"__init__"),
    ("pyarrow.parquet.core", "ParquetWriter", r"__init__"),
    ("pandas.io.parquet", "PyArrowImpl", r"read|write"),
    ("h5py.h5f", "", r"open|create"),
    ("safetensors.numpy", "", r"safe_open"),
    ("safetensors.numpy", "", r"serialize_file"),
    ("safetensors.torch", "", r"safe_open"),
    ("safetensors.torch", "", r"serialize_file"),
    ("torch.serialization", "_open_zipfile_writer_file", r"__init__"),
    ("duckdb", "", r"connect|execute|executemany|sql|query|query_df|from_query|from_parquet|from_csv_auto|read_\w+"),
    ("duckdb", "DuckDBPyConnection", r"execute|executemany|sql|query|from_query|from_parquet|from_csv_auto|read_\w+"),
    ("duckdb", "DuckDBPyRelation", r"(to|write)_(csv|parquet)"),
)
_NAMES_OF_ARGUMENTS = frozenset(
    {
        "source",
        "sources",
        "path",
        "paths",
        "file",
        "file_name",
        "filename",
        "path_or_paths",
        "path_or_buffer",
        "file_glob",
        "where",
        "query",
        "name",
        "database",
        "target",
        "input_file",
        "base_dir",
        "data_source",
        "dest",
        "metadata_path",
    }
)
#: Libraries that read settings from the environment for the project.
_CONFIGURERS = re.compile(
    r"[/\\](decouple|dotenv|dynaconf|environ|environs|omegaconf|pydantic_settings|click|typer)[/\\.]"
)
#: Parts of the standard library that read a variable that their caller named.
_EXPANDERS = frozenset({"expandvars", "expanduser", "home"})

#: What a thread calls to be started; there is an audit event for that from 3.12 on only.
_STARTS_THREADS = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"

# (owner, name) -> what was there.
_replaced: dict[tuple[int, str], tuple[Any, str, object, object]] = {}
# Rows of the table whose module is loaded to its end.
_finished: set[tuple[str, str, str]] = set()


def install() -> None:
    """Wrap what is loaded and is not wrapped yet."""
    for owner, name, make in (*_always(), *_loaded()):
        if (id(owner), name) in _replaced:
            continue
        original = vars(owner)[name]
        wrapper = make(original)
        try:
            setattr(owner, name, wrapper)
        except TypeError:  # a class that cannot be changed
            continue
        _replaced[id(owner), name] = owner, name, original, wrapper
        if owner is os:
            _swap_in_sets(original, wrapper, add=True)


def remove() -> None:
    """Put everything back that is still as :func:`install` has left it."""
    for owner, name, original, wrapper in tuple(_replaced.values()):
        if vars(owner).get(name) is wrapper:
            setattr(owner, name, original)
        if owner is os:
            _swap_in_sets(original, wrapper, add=False)
    _replaced.clear()
    _finished.clear()


def _loaded() -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    for row in _READERS:
        module_name, class_name, pattern = row
        module = sys.modules.get(module_name)
        if module is None or row in _finished:
            continue
        if not getattr(module.__spec__, "_initializing", False):
            _finished.add(row)
        owner = getattr(module, class_name, None) if class_name else module
        for name in tuple(vars(owner)) if owner is not None else ():
            # A class is not replaced where it may be used as one, but where a row names it.
            if re.fullmatch(pattern, name) and (name == pattern or _is_function(vars(owner)[name])):
                yield owner, name, functools.partial(_reader, class_name, name)


def _always() -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    for name in ("stat", "lstat", "access"):
        yield os, name, _stat
    yield type(os.environ), "__getitem__", _variable
    yield type(os.environ), "__iter__", _all_variables
    if _STARTS_THREADS in vars(threading):
        yield threading, _STARTS_THREADS, _thread_start


def _is_function(value: object) -> bool:
    return isinstance(value, (staticmethod, classmethod)) or (callable(value) and not isinstance(value, type))


def _swap_in_sets(original: Any, wrapper: Any, *, add: bool) -> None:
    """Let ``os.stat in os.supports_fd`` be true as before: `shutil` asks."""
    for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if original in supported:
            (supported.add if add else supported.discard)(wrapper)


def _reader(class_name: str, name: str, original: Any) -> Any:
    call = original.__func__ if isinstance(original, (staticmethod, classmethod)) else original
    writes = is_writing(name) or "writer" in class_name.lower() or name == "output_stream"

    @functools.wraps(call)
    def reader(*arguments: Any, **named: Any) -> Any:
        if watch.is_recording() and not Caller(sys._getframe(1)).is_us:
            first, others = _files(arguments, named)
            watch.tell(lambda r: r.given(first, writes=writes))
            watch.tell(lambda r: r.guess(others, may_write=writes))
        return call(*arguments, **named)

    return type(original)(reader) if isinstance(original, (staticmethod, classmethod)) else reader


def _files(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[list[object], list[object]]:
    """What names files, and what may: parameters of a statement, arguments of unknown names."""
    first = [value for name, value in named.items() if name in _NAMES_OF_ARGUMENTS]
    others = [value for name, value in named.items() if name not in _NAMES_OF_ARGUMENTS]
    for i, value in enumerate(arguments):
        # `self` and a frame may come before. In this order: an array has no truth value.
        if (isinstance(value, (str, bytes, list, tuple)) or hasattr(type(value), "__fspath__")) and value:
            return [value, *first], [*arguments[i + 1 :], *others]
    return first, others


def _stat(original: Any) -> Any:
    @functools.wraps(original)
    def stat(path: Any, *arguments: Any, **named: Any) -> Any:
        frame = sys._getframe(1)
        # `realpath` asks for every folder above, and is what tells whose a frame is.
        is_asked = frame.f_code.co_name not in ("realpath", "_joinrealpath") and not isinstance(path, int)
        if watch.is_recording() and is_asked and named.get("dir_fd") is None:
            caller = Caller(frame)
            if caller.is_local and not caller.went_through(
                "linecache.py", "inspect.py", "glob.py", "shutil.py", "os.py"
            ):
                name = os.fsdecode(path)
                if not name.endswith((".py", ".pyc")):
                    watch.tell(lambda r: r.stated(name))
        return original(path, *arguments, **named)

    return stat


def _variable(original: Any) -> Any:
    @functools.wraps(original)
    def variable(environ: Any, key: Any) -> Any:
        if not watch.is_recording() or not _for_project(sys._getframe(1)):
            return original(environ, key)
        try:
            value = original(environ, key)
        except KeyError:
            value = None
            raise
        finally:
            name, text = os.fsdecode(key), None if value is None else os.fsdecode(value)
            watch.tell(lambda r: r.variable(name, text))
        return value

    return variable


def _all_variables(original: Any) -> Any:
    @functools.wraps(original)
    def all_variables(environ: Any) -> Any:
        if watch.is_recording() and _for_project(sys._getframe(1)):
            watch.tell(lambda r: r.all_variables())
        return original(environ)

    return all_variables


def _for_project(frame: Any) -> bool:
    """Whether the project reads the environment: itself, by `expandvars` and the like, or by a library for settings."""
    caller = Caller(frame)
    if caller.is_us or caller.frame is None:
        return False
    if not caller.is_local:
        return _CONFIGURERS.search(caller.frame.f_code.co_filename) is not None
    return not caller.through or all(
        os.path.basename(f.f_code.co_filename)
        in ("os.py", "_collections_abc.py", "<frozen os>", "<frozen _collections_abc>")
        or f.f_code.co_name in _EXPANDERS
        for f in caller.through
    )


def _thread_start(original: Any) -> Any:
    @functools.wraps(original)
    def start(function: Any, *arguments: Any, **named: Any) -> Any:
        thread = getattr(function, "__self__", None)
        if isinstance(thread, threading.Thread):
            beside.started(thread)
        return original(function, *arguments, **named)

    return start
