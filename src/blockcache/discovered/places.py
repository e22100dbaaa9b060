"""Which files count, who asked for them, and which names a text holds; looks, records nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat as modes
import sys
from collections.abc import Iterable, Iterator
from types import FrameType

from blockcache import files
from blockcache.fingerprint.modules import origin_of_file
from blockcache.model import Stat

# The builtin: `os.stat` itself is watched.
_os_stat = os.stat

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: Of the system or of the installation: programs are not expected to keep data there.
_SYSTEM = (
    *("/proc/", "/sys/", "/dev/", "/etc/", "/run/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/boot/"),
    *("/usr/lib", "/usr/share/", "/usr/bin/", "/usr/sbin/", "/usr/local/share/", "/usr/local/bin/"),
    *(os.path.join(sys.prefix, folder) + os.sep for folder in ("bin", "etc", "share")),
)
_MEMORY_FILES = "/dev/shm/"
_FONT_CACHES = re.compile(r"/\.cache/(fontconfig|matplotlib)/|/fontlist-v[^/]*$")
_QUOTED = re.compile(r"'([^'\n]{1,1000})'|\"([^\"\n]{1,1000})\"")
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://([^/?#\s]*)", re.IGNORECASE)
#: What calls that write begin with, in the names of functions and methods.
_WRITES = re.compile(
    r"(im)?(write|save|dump|serialize|sink|export|to_|tofile|store|create|remove|unlink|rename|touch)", re.IGNORECASE
)
#: SQL: what stands before the name of a file that a statement writes.
_SQL_TARGET = re.compile(r"\b(to|export\s+database)\s*$", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\s*\(*\s*(select|with|from|copy|create|insert|attach|describe|summarize|pragma|update|delete|explain|export|import|call"
    r"|pivot|unpivot|install|load|set|show|use)\s",
    re.IGNORECASE,
)
_LONGEST_NAME = 1_000
_LONGEST_TEXT = 20_000
_LONGEST_STATEMENT = 1_000_000
_MOST_FOLDERS = 10_000
#: In one value.
_MOST_TEXTS = 100_000
_MOST_PAIRS = 2_000
#: What :func:`stat` says of a folder.
FOLDER = Stat(-1, -1, -1, -1)

_settled: dict[str, bool] = {}


def is_settled(path: str) -> bool:
    """Whether an absolute path belongs to the system or to an installed distribution, whose version counts."""
    folder = os.path.dirname(path)
    known = _settled.get(folder)
    if known is None:
        if len(_settled) >= _MOST_FOLDERS:
            _settled.clear()
        inside = os.path.join(folder, "_")
        known = inside.startswith(_SYSTEM) and not inside.startswith(_MEMORY_FILES)
        known = known or origin_of_file(inside) in ("installed", "stdlib")
        _settled[folder] = known
    return known or _FONT_CACHES.search(path) is not None


def is_temporary(path: str) -> bool:
    """Whether an absolute path lies in the folder for temporary files."""
    import tempfile  # what it imports would cost every start of a program

    return path.startswith(tempfile.gettempdir() + os.sep)


def is_nobodys(path: str, cwd: str) -> bool:
    """Whether nobody misses a file when it is not written: in the folder for temporary files, caches, settings."""
    if path.startswith(os.path.join(cwd, "")):
        return "/.ipynb_checkpoints/" in path
    home = os.path.join(os.path.expanduser("~"), "")
    cache = os.environ.get("XDG_CACHE_HOME")
    hidden = path.startswith(home) and path[len(home) :].startswith(".") and "/" in path[len(home) :]
    return is_temporary(path) or hidden or (bool(cache) and path.startswith(os.path.join(str(cache), "")))


def is_bytecode(path: str) -> bool:
    """Whether a path names compiled Python code."""
    return path.endswith(".pyc") or "__pycache__" in path


def is_code(name: str) -> bool:
    """Whether a file of this name is code, which counts by what is loaded: a module, a shared object."""
    return name.endswith((".py", ".pyc", ".so")) or ".so." in name


def is_bookkeeping(name: str) -> bool:
    """Whether a file of this name is one that sqlite keeps beside a database while it is open."""
    return name.endswith(("-wal", "-shm", "-journal"))


_METADATA_READERS = ("importlib/metadata", "importlib_metadata", "pkg_resources")


class Caller:
    """Who asked: the innermost frame outside the standard library, and the frames that it went through.

    Parameters
    ----------
    frame
        The frame that did it.
    """

    __slots__ = ("frame", "through")

    def __init__(self, frame: FrameType | None) -> None:
        self.through: list[FrameType] = []
        while frame is not None and origin_of_file(frame.f_code.co_filename) in ("stdlib", "builtin"):
            self.through.append(frame)
            frame = frame.f_back
        self.frame = frame

    @property
    def is_us(self) -> bool:
        """Whether blockcache itself asked."""
        return self.frame is not None and self.frame.f_code.co_filename.startswith(_OURS)

    @property
    def reads_content(self) -> bool:
        """Whether blockcache reads a file for its digest: an input of some block, which the body may read as well."""
        return self.frame is not None and self.frame.f_code.co_filename == files.content.__code__.co_filename

    @property
    def is_local(self) -> bool:
        """Whether code of the project asked, directly or through the standard library."""
        return self.frame is not None and is_local(self.frame.f_code.co_filename)

    @property
    def is_import(self) -> bool:
        """Whether the import machinery asked."""
        return bool(self.through) and self.through[0].f_code.co_filename.startswith("<frozen importlib")

    @property
    def is_metadata(self) -> bool:
        """Whether `importlib.metadata` or one of its kind asked, which list every folder on ``sys.path``."""
        files = [f.f_code.co_filename for f in (*self.through, self.frame) if f is not None]
        return any(f"/{kind}/" in file for file in files for kind in _METADATA_READERS)

    @property
    def runs_a_file(self) -> bool:
        """Whether project code runs a source file that it names: `loader.exec_module`, not `import`."""
        frozen = [f for f in self.through if f.f_code.co_filename.startswith("<frozen importlib")]
        return self.is_local and bool(frozen) and frozen[-1].f_code.co_name in ("exec_module", "get_code", "get_data")

    def went_through(self, *modules: str) -> bool:
        """Whether it went through one of these files of the standard library (``glob.py``)."""
        return any(os.path.basename(f.f_code.co_filename) in modules for f in self.through)

    @property
    def functions(self) -> set[str]:
        """Names of the functions of the standard library that it went through."""
        return {f.f_code.co_name for f in self.through}


def is_local(file: str) -> bool:
    """Whether a code object's file is one of the project, a notebook cell or text given to `exec`."""
    return origin_of_file(file) in ("local", "memory")


def is_writing(function: str) -> bool:
    """Whether a function of this name is likely to write the file that it is given."""
    return _WRITES.match(function.lstrip("_")) is not None


def url(text: str) -> str | None:
    """Scheme and host of a URL, without what may be secret; None for the name of a file."""
    match = _URL.match(text)
    if match is None or match[1].lower() == "file":
        return None
    return f"{match[1].lower()}://{match[2].rpartition('@')[2]}"


def names_in(text: str, *, is_name: bool) -> Iterator[tuple[str, bool]]:
    """(name, whether it is written) of the files that a text may name: the whole of it, and what it quotes.

    Parameters
    ----------
    text
        A path, or a statement of SQL.
    is_name
        Whether the text was given where a path is expected; else it must look like one.
    """
    if len(text) > (_LONGEST_STATEMENT if is_name else _LONGEST_TEXT) or "\0" in text:
        return
    if (
        len(text) <= _LONGEST_NAME
        and "\n" not in text
        and (is_name or "." in text or "/" in text)
        and not _STATEMENT.match(text)
    ):
        yield text.removeprefix("file://"), False
    if "'" in text or '"' in text:
        for match in _QUOTED.finditer(text):
            yield match[1] or match[2], _SQL_TARGET.search(text, 0, match.start()) is not None


def stat(path: str) -> Stat | None:
    """What is at a path, :data:`FOLDER` for a folder, None for nothing; never raises."""
    try:
        found = _os_stat(path)
    except (OSError, ValueError):
        return None
    if modes.S_ISDIR(found.st_mode):
        return FOLDER
    return Stat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def is_file(name: str) -> bool:
    """Whether there is something that is not a folder."""
    return stat(name) not in (None, FOLDER)


def is_held_for_writing(path: str) -> bool:
    """Whether this process has a file open that it may write to."""
    with contextlib.suppress(OSError, ValueError):
        wanted = _os_stat(path)
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found = _os_stat(f"/proc/self/fd/{number}")
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    with open(f"/proc/self/fdinfo/{number}") as lines:
                        flags = next(line for line in lines if line.startswith("flags:"))
                    if int(flags.split()[1], 8) & (os.O_WRONLY | os.O_RDWR):
                        return True
    return False


def is_program(path: str) -> bool:
    """Whether a path lies in a folder of programs."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.path.dirname(path) in folders


def texts_of(value: object) -> Iterator[str]:
    """Texts and paths in a value and in the plain containers that it consists of."""
    todo, count = [value], 0
    while todo and count < _MOST_TEXTS:
        count += 1
        item = todo.pop()
        if isinstance(item, (str, bytes)) or hasattr(type(item), "__fspath__"):
            try:
                yield os.fsdecode(item)  # type: ignore[arg-type]
            except (TypeError, UnicodeError):
                continue
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()


def files_behind(values: Iterable[object]) -> Iterator[str]:
    """Names of the files behind values that have one open: files, sqlite connections, HDF5 files."""
    sqlite3, h5py = sys.modules.get("sqlite3"), sys.modules.get("h5py")
    for value in values:
        if hasattr(value, "readable") and hasattr(value, "fileno"):
            name = getattr(value, "name", None)
            if isinstance(name, str) and not name.startswith("<"):
                yield name
        elif sqlite3 is not None and isinstance(value, sqlite3.Connection):
            cursor = sqlite3.Cursor(value)  # the connection's own factories may return anything
            cursor.row_factory = None
            with contextlib.suppress(sqlite3.Error):  # closed, or of another thread
                yield from [file for _, _, file in cursor.execute("PRAGMA database_list") if file]
        elif h5py is not None and isinstance(value, h5py.HLObject) and value:
            yield os.fsdecode(value.file.filename)


def pairs(values: object) -> list[str]:
    """Names of files in folders, of the folders and the names among the texts in ``values``."""
    texts = [text for text in texts_of(values) if len(text) <= _LONGEST_NAME and "\n" not in text]
    folders = [text for text in texts if stat(text) == FOLDER]
    names = [text for text in texts if "." in text and not os.path.isabs(text)]
    every = (os.path.join(folder, name) for folder in folders for name in names)
    return list(itertools.islice(every, _MOST_PAIRS))
