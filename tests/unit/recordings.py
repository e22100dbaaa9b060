"""What a body reads, as a recorder tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blockcache.discovered import Recorded, Recorder


def record(body: Callable[[], object], **options: Any) -> Recorded:
    recorder = Recorder(codes=(body.__code__,), **options)
    recorder.start()
    try:
        body()
    finally:
        recorded = recorder.stop()
    return recorded
