"""What the runtimes of all adapters have in common: the system's randomness, and what all
connections share: made once, and again when the files that it depends on change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple, TypeVar

from attrs import define, field

T = TypeVar("T")

_VARIABLE = "SSLKEYLOGFILE"  # Python reads it as it makes a TLS context
_MAX_AGE = 3600.0  # seconds, for what no file shows to have changed, such as the store of Windows
_MOST_VALUES = 64


class _Made(NamedTuple):
    value: Any
    state: tuple[object, ...]  # of the files and the environment, just before it was made
    expires: float


@define(eq=False, repr=False)
class SharedValues:
    """Values by key. Any number of threads may use it. *now* returns seconds of a clock."""

    _now: Callable[[], float] = time.monotonic
    _made: dict[Hashable, _Made] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def get(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        """See :meth:`.ports.Runtime.shared`. Raises what *make* raises."""
        stamps = [(path, stamp) for path in paths if (stamp := _stamp(path))]
        state = (os.environ.get(_VARIABLE), *stamps)
        with self._lock:
            made = self._made.pop(key, None)
            if made is None or made.state != state or self._now() >= made.expires:
                age = float("inf") if stamps else _MAX_AGE
                made = _Made(make(), state, self._now() + age)
                if len(self._made) >= _MOST_VALUES:
                    del self._made[next(iter(self._made))]  # the one used least recently
            self._made[key] = made
        value: T = made.value
        return value


def _stamp(path: str) -> tuple[int, ...] | None:
    """Return numbers that change when the file or directory at *path* changes; None without it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


_shared_values = SharedValues()


class SystemRuntime:
    """What a :class:`smtpproto.ports.Runtime` needs no library for."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> float:
        return time.time()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        return _shared_values.get(key, paths, make)
