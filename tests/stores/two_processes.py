"""A store in two processes that take turns: what one has seen of it must not mislead it about what the other did."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from blockcache.stores.local import LocalStore


class TwoProcesses:
    """The local store in a folder; every second call is another process's."""

    _other: Connection | None = None

    def __init__(self, path: str) -> None:
        self._path = path
        self._here = LocalStore(path)
        self._turn = 0
        if TwoProcesses._other is None:
            TwoProcesses._other, there = multiprocessing.Pipe()
            multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True).start()
            there.close()

    def __getattr__(self, method: str):
        def call(*arguments):
            self._turn += 1
            if self._turn % 2:
                return getattr(self._here, method)(*arguments)
            self._other.send((self._path, method, arguments))
            found = self._other.recv()
            if isinstance(found, Exception):
                raise found
            return memoryview(bytearray(found)) if isinstance(found, bytes) else found

        return call


def _serve(pipe: Connection) -> None:
    stores: dict[str, LocalStore] = {}
    while True:
        try:
            path, method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            found = getattr(stores.setdefault(path, LocalStore(path)), method)(*arguments)
            if isinstance(found, memoryview):
                found = bytes(found)
            elif method == "list":
                found = list(found)
        except Exception as error:
            found = error
        pipe.send(found)
