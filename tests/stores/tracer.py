"""The system calls of a child, each of which can be made to fail or be its last; Linux on x86-64 only.

The child calls ``begin`` first of all, and ``os.getpriority`` where the watch begins and where it ends. It is traced
with ptrace: nothing of the program is replaced, the kernel's own answer is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Callable

AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"

_CONT, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS, _TRACEME = 7, 12, 13, 24, 0x4200, 0
_OPTIONS = 0x1 | 0x8 | 0x100000  # system calls are told from signals; threads are traced; the child dies with us
_WALL = 0x40000000
_REGISTERS = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"
_MARK = 140  # getpriority
_MMAP = 9
_NO_FILE = 0xFFFFFFFF

#: Calls on files, by number.
NAMES = {
    0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 6: "lstat", 8: "lseek", _MMAP: "mmap",
    16: "ioctl", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 21: "access", 40: "sendfile", 72: "fcntl",
    73: "flock", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 78: "getdents", 79: "getcwd",
    80: "chdir", 82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 86: "link", 87: "unlink", 88: "symlink",
    89: "readlink", 90: "chmod", 91: "fchmod", 132: "utime", 137: "statfs", 138: "fstatfs", 217: "getdents64",
    235: "utimes", 257: "openat", 258: "mkdirat", 261: "futimesat", 262: "newfstatat", 263: "unlinkat",
    264: "renameat", 265: "linkat", 266: "symlinkat", 267: "readlinkat", 268: "fchmodat", 269: "faccessat",
    280: "utimensat", 285: "fallocate", 316: "renameat2", 318: "getrandom", 326: "copy_file_range", 332: "statx",
    439: "faccessat2",
}  # fmt: skip


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS.split()]


_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


def _ask(request: int, pid: int, data: object = None) -> None:
    if _ptrace(request, pid, None, data) == -1:
        error = ctypes.get_errno()
        if error != 3:  # ESRCH: it was killed meanwhile
            raise OSError(error, f"ptrace {request}: {os.strerror(error)}")


def begin() -> None:
    """In the child: let the parent trace it from here on."""
    _ask(_TRACEME, 0)
    signal.raise_signal(signal.SIGSTOP)


def watch(child: int, fault: Callable[[int, str], int | None] = lambda number, name: None) -> tuple[int, list[str]]:
    """See a child to its end; its wait status, and its calls on files.

    ``fault`` is asked for each call, with its number and name: for the error that it shall fail with, 0 to kill the child
    instead of making the call, None to let it be.
    """
    calls: list[str] = []
    inside: dict[int, int | None] = {}  # by thread: whether a call is under way, and how it shall fail
    marks = 0
    begun = False
    registers = _Registers()
    where = ctypes.byref(registers)
    while True:
        thread, status = os.waitpid(-1, _WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if thread == child:
                return status, calls
            continue
        number = os.WSTOPSIG(status)
        passed_on = 0
        if number == signal.SIGTRAP | 0x80:
            _ask(_GETREGS, thread, where)
            if thread in inside:
                error = inside.pop(thread)
                if error:
                    registers.rax = 2**64 - error
                    _ask(_SETREGS, thread, where)
            else:
                error = None
                call = registers.orig_rax
                if call == _MARK:
                    marks += 1
                elif marks == 1 and call in NAMES and not (call == _MMAP and registers.r8 & _NO_FILE == _NO_FILE):
                    error = fault(len(calls), NAMES[call])
                    calls.append(NAMES[call])
                    if error == 0:
                        os.kill(child, signal.SIGKILL)
                    elif error:
                        registers.orig_rax = 2**64 - 1
                        _ask(_SETREGS, thread, where)
                inside[thread] = error
        elif number == signal.SIGSTOP:
            if thread == child and not begun:
                begun = True
                _ask(_SETOPTIONS, child, _OPTIONS)
        elif number != signal.SIGTRAP:
            passed_on = number
        _ask(_SYSCALL if begun and marks < 2 else _CONT, thread, passed_on)
