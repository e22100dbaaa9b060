"""Who records now, and the audit hook that tells them what Python does.

The hook is there for the life of the process once something has recorded (Python has no way to remove one);
while nothing records it returns at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from blockcache.discovered import check, folders, places
from blockcache.discovered.places import Caller

if TYPE_CHECKING:
    from blockcache.discovered.recorder import Recorder
    from blockcache.model import Input

_recorders: tuple[Recorder, ...] = ()
_lock = threading.RLock()
_is_installed = False
#: The kernel keeps 16,384 news: so many files are opened between two times of asking.
_MOST_OPENS = 4_000
_opens = 0


def begin(recorder: Recorder) -> bool:
    """Tell ``recorder`` from now on; whether calls are watched, so that texts need not be guessed from."""
    global _recorders, _is_installed
    from blockcache.discovered import calls, wrappers

    folders.prepare()
    with _lock:
        if not _is_installed:
            sys.addaudithook(_on_event)
            _is_installed = True
        _hear()
        folders.begin(recorder.folder, recorder.ignored)
        _recorders = (*_recorders, recorder)
        wrappers.install()
        return calls.begin(recorder.codes)


def end(recorder: Recorder) -> None:
    """Tell ``recorder`` no more, and leave nothing behind when it was the last."""
    global _recorders
    from blockcache.discovered import calls, wrappers

    with _lock:
        _hear()
        _recorders = tuple(r for r in _recorders if r is not recorder)
        if not _recorders:
            folders.end()
            calls.end()
            wrappers.remove()


def is_recording() -> bool:
    """Whether anything records."""
    return bool(_recorders)


def tell(what: Callable[[Recorder], object]) -> None:
    """Tell everyone who records; trouble is theirs, never the program's."""
    for recorder in _recorders:
        try:
            what(recorder)
        except Exception as error:
            recorder.trouble(error)


def _hear() -> None:
    """Tell everyone what the kernel has to say by now."""
    found, is_whole = folders.hear()
    if found:
        tell(lambda r: r.heard(found))
    if not is_whole:
        tell(lambda r: r.clause("opens more files at once than the system tells of"))


def absorb(inputs: Iterable[Input], untracked: Iterable[str] = (), files: Iterable[str] = ()) -> None:
    """Tell the blocks around one that is skipped what that one depends on: its body does not run and show it.

    Parameters
    ----------
    inputs
        Its inputs of the kinds ``file`` and ``env``, discovered and declared; others are passed over.
    untracked
        What it does that cannot be checked.
    files
        Absolute paths of output files that it has put back, or left because they were right.
    """
    if _recorders:
        for found in inputs:
            tell(lambda r: r.absorb(found))  # noqa: B023 - called at once
        for clause in untracked:
            tell(lambda r: r.clause(clause))  # noqa: B023
        for path in files:
            tell(lambda r: r.produce(path))  # noqa: B023


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _recorders:
        return
    handler = _HANDLERS.get(event)
    if handler is None:
        return
    try:
        caller = Caller(sys._getframe(1))
        if not caller.is_us:
            handler(caller, *arguments)
        elif handler in (_open, _renamed, _linked) and not caller.reads_content:
            _pass_over(*arguments[:2])
    except Exception as error:
        trouble = error  # an exception that left a hook would be raised in the program
        tell(lambda r: r.trouble(trouble))


# -- files -------------------------------------------------------------------------------------

#: What reads sources to show them.
_SHOWS = ("linecache.py", "tokenize.py", "inspect.py", "traceback.py", "warnings.py")
#: What opens names that are relative to a descriptor, which the event does not tell.
_RELATIVE_TO_DESCRIPTORS = {"rmtree", "_rmtree_safe_fd", "_rmtree_safe_fd_step", "_rmtree_unsafe", "_fwalk"}
_WORKER_STARTERS = (
    "popen_fork.py",
    "popen_spawn_posix.py",
    "popen_forkserver.py",
    "popen_loky_posix.py",
    "fork_exec.py",
)


def _open(caller: Caller, path: object, _mode: object, flags: int) -> None:
    if not isinstance(path, (str, bytes)):
        _worker(caller)  # the descriptor of a pipe
        return
    if caller.is_metadata:
        _pass_over(path)
        return
    global _opens
    _opens += 1
    if _opens % _MOST_OPENS == 0:
        with _lock:
            _hear()
    name = os.fsdecode(path)
    if caller.is_import and name.endswith((".py", ".pyc", ".so")):
        if caller.runs_a_file:
            _read_source(name)
        return
    if name.endswith((".py", ".pyc")) and (not caller.is_local or caller.went_through(*_SHOWS)):
        return
    if flags & getattr(os, "O_DIRECTORY", 0) or caller.functions & _RELATIVE_TO_DESCRIPTORS:
        return
    access = flags & (os.O_WRONLY | os.O_RDWR)
    if access == os.O_RDONLY or (access == os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL)):
        by_library = not caller.is_local
        tell(lambda r: r.read(name, opened=True, by_library=by_library))
    if access:
        keeps = not flags & (os.O_TRUNC | os.O_EXCL)
        tell(lambda r: r.write(name, keeps=keeps))


def _pass_over(*paths: object) -> None:
    """The kernel will say that these were opened or made, and they are neither inputs nor outputs."""
    for path in paths:
        if isinstance(path, (str, bytes)):
            folders.pass_over(os.path.join(os.getcwd(), os.fsdecode(path)))


def _read_source(name: str) -> None:
    """Project code runs a file that it names; bytecode stands for its source."""
    if name.endswith(".pyc"):
        from importlib.util import source_from_cache

        with contextlib.suppress(ValueError):  # not in a __pycache__
            name = source_from_cache(name)
    tell(lambda r: r.read(name, opened=True))


def _written(_caller: Caller, path: object, *_rest: object) -> None:
    if isinstance(path, (str, bytes, os.PathLike)):
        name = os.fsdecode(path)
        tell(lambda r: r.write(name))


def _removed(_caller: Caller, path: object, *rest: object, is_tree: bool = False) -> None:
    if rest[-1] in (-1, None) and isinstance(path, (str, bytes, os.PathLike)):  # else relative to a descriptor
        name = os.fsdecode(path)
        tell(lambda r: r.remove(name, is_tree=is_tree))


def _removed_tree(caller: Caller, path: object, *rest: object) -> None:
    _removed(caller, path, *rest, is_tree=True)


def _made(caller: Caller, path: object, *rest: object) -> None:
    if rest[-1] in (-1, None):
        _written(caller, path)


def _truncated(_caller: Caller, path: object, *_rest: object) -> None:
    if isinstance(path, (str, bytes, os.PathLike)):
        name = os.fsdecode(path)
        tell(lambda r: r.write(name, keeps=True))


def _renamed(caller: Caller, source: object, target: object, *_rest: object) -> None:
    _written(caller, source)
    _written(caller, target)


def _linked(caller: Caller, _source: object, target: object, *_rest: object) -> None:
    _written(caller, target)


def _listed(caller: Caller, path: object = None) -> None:
    if caller.is_import or caller.is_metadata or isinstance(path, int) or caller.functions & _RELATIVE_TO_DESCRIPTORS:
        return
    if caller.went_through("glob.py") or caller.functions & {"glob", "rglob"}:
        return  # the event of the glob came before
    name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    tell(lambda r: r.listed(name, check.LISTING))


def _globbed(
    _caller: Caller, pattern: object, _recursive: object, root: object = None, descriptor: object = None
) -> None:
    if descriptor is None and isinstance(pattern, (str, bytes)):
        name = os.fsdecode(pattern)
        if isinstance(root, (str, bytes, os.PathLike)):
            name = _inside(os.fsdecode(root), name)
        tell(lambda r: r.listed(name, check.GLOB))


def _path_globbed(_caller: Caller, folder: object, pattern: object) -> None:
    name = _inside(os.fspath(folder), os.fspath(pattern))  # type: ignore[call-overload]
    tell(lambda r: r.listed(name, check.GLOB))


def _path_globbed_below(caller: Caller, folder: object, pattern: object) -> None:
    _path_globbed(caller, folder, os.path.join("**", os.fspath(pattern)))  # type: ignore[call-overload]


def _inside(folder: str, pattern: str) -> str:
    import glob

    return pattern if folder in ("", os.curdir) else os.path.join(glob.escape(folder), pattern)


def _database(_caller: Caller, database: object) -> None:
    if not isinstance(database, (str, bytes, os.PathLike)):
        return
    name = os.fsdecode(database)
    if name.startswith("file:"):
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(name)
        name = "" if "mode=memory" in parts.query else unquote(parts.path)
    if name and not name.startswith(":"):
        tell(lambda r: r.read(name, opened=True))
        # What was written and is not in the database file yet.
        tell(lambda r: r.read(name + "-wal", opened=False))


def _library(caller: Caller, name: object) -> None:
    if isinstance(name, str) and "/" in name and caller.is_local:
        tell(lambda r: r.read(name, opened=True))


# -- what cannot be checked ----------------------------------------------------------------------


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host


def _connected(_caller: Caller, _socket: object, address: object) -> None:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), str(address[1])
        tell(lambda r: r.connects(host, port, is_address=_is_address(host)))
    elif isinstance(address, (str, bytes)):
        path = os.fsdecode(address)
        tell(lambda r: r.clause(f"connects to {path}"))


def _resolved(_caller: Caller, host: object, port: object, *_rest: object) -> None:
    if not host:
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    tell(lambda r: r.connects(name, str(port or ""), is_address=_is_address(name)))
    if not _is_address(name):
        tell(lambda r: r.resolves(str(port)))


def _requested(_caller: Caller, request: object, *_rest: object) -> None:
    where = places.url(str(request))
    if where is not None:
        tell(lambda r: r.clause(f"reads {where}"))


def _ran(caller: Caller, program: object, arguments: object, folder: object = None, *_rest: object) -> None:
    if caller.went_through(*_WORKER_STARTERS):
        _worker(caller)
        return
    words = _words(arguments) or _words(program)
    base = os.fsdecode(folder) if isinstance(folder, (str, bytes, os.PathLike)) else ""
    if len(words) > 2 and words[1] == "-c" and os.path.basename(words[0]) in ("sh", "bash", "zsh", "dash"):
        commands = _commands(words[2])
    else:
        commands = [words]
    for command in commands:
        tell(lambda r: r.runs(command, base))  # noqa: B023 - called at once


def _words(command: object) -> list[str]:
    if not command:
        return []
    if isinstance(command, (str, bytes, os.PathLike)):
        return [os.fsdecode(command)]
    return [os.fsdecode(word) for word in command]  # type: ignore[attr-defined]


def _commands(text: str) -> list[list[str]]:
    """The commands of a line for the shell, without variables set for them, which may be secret."""
    import shlex

    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    with contextlib.suppress(ValueError):  # an open quote
        for word in lexer:
            if set(word) <= set("|&;()"):
                commands.append([])
            elif commands[-1] or "=" not in word:
                commands[-1].append(word)
    return [command for command in commands if command]


def _system(caller: Caller, command: object) -> None:
    _ran(caller, None, ["sh", "-c", command])


def _spawned(caller: Caller, program: object, arguments: object, *_rest: object) -> None:
    _ran(caller, program, arguments)


def _worker(caller: Caller) -> None:
    if caller.went_through(*_WORKER_STARTERS) or (
        caller.frame is not None and os.path.basename(caller.frame.f_code.co_filename) in _WORKER_STARTERS
    ):
        tell(lambda r: r.clause("runs worker processes"))


def _forked(caller: Caller, *_rest: object) -> None:
    _worker(caller)
    if not caller.went_through(*_WORKER_STARTERS):
        tell(lambda r: r.clause("forks"))


# -- the rest ------------------------------------------------------------------------------------


def _imported(_caller: Caller, *_rest: object) -> None:
    from blockcache.discovered import wrappers

    with _lock:
        if _recorders:
            wrappers.install()


def _unpickled(_caller: Caller, module: str, name: str) -> None:
    tell(lambda r: r.found_class(module, name))


def _variable_set(caller: Caller, name: object, *_rest: object) -> None:
    if isinstance(name, (str, bytes)):
        text = os.fsdecode(name)
        tell(lambda r: r.variable_set(text))
        if caller.is_local:
            tell(lambda r: r.clause(f"sets the environment variable {text}"))


_HANDLERS: dict[str, Callable[..., None]] = {
    "open": _open,
    "os.rename": _renamed,
    "os.remove": _removed,
    "os.rmdir": _removed,
    "os.mkdir": _made,
    "os.truncate": _truncated,
    "shutil.rmtree": _removed_tree,
    "os.link": _linked,
    "os.symlink": _linked,
    "os.listdir": _listed,
    "os.scandir": _listed,
    "glob.glob/2": _globbed,
    "pathlib.Path.glob": _path_globbed,
    "pathlib.Path.rglob": _path_globbed_below,
    "sqlite3.connect": _database,
    "ctypes.dlopen": _library,
    "socket.connect": _connected,
    "socket.getaddrinfo": _resolved,
    "urllib.Request": _requested,
    "subprocess.Popen": _ran,
    "os.system": _system,
    "os.exec": _spawned,
    "os.posix_spawn": _spawned,
    "os.fork": _forked,
    "os.forkpty": _forked,
    "import": _imported,
    "pickle.find_class": _unpickled,
    "os.putenv": _variable_set,
    "os.unsetenv": _variable_set,
}


def _after_fork() -> None:
    """Leave a child with nothing recorded, and with a lock that no thread holds which it does not have."""
    global _lock, _recorders
    _lock = threading.RLock()
    folders.forget()
    if not _recorders:
        return
    from blockcache.discovered import calls, wrappers

    for recorder in _recorders:
        recorder.trouble(RuntimeError("the process is a copy of the one that it began in"))
    _recorders = ()
    calls.end()
    wrappers.remove()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
