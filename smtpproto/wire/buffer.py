"""The octets that have arrived and were not read yet, shared by the readers of all modes."""

from __future__ import annotations


class Buffer:
    """A queue of octets. Reading moves a position; what is left is copied only by :meth:`feed`."""

    __slots__ = ("_data", "_start")

    def __init__(self) -> None:
        self._data = b""
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Add *data* at the end."""
        rest = self._data[self._start :] if self else b""
        self._data = rest + data
        self._start = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def find(self, octets: bytes, skip: int = 0) -> int:
        """Where *octets* begin, counted from the position and at least *skip*; -1 if nowhere."""
        found = self._data.find(octets, self._start + skip)
        return found - self._start if found >= 0 else -1

    def take(self, count: int) -> bytes:
        """Read at most *count* octets."""
        start = self._start
        self._start = min(start + count, len(self._data))
        return self._data[start : self._start]

    def untake(self, count: int) -> None:
        """Move back over the last *count* octets read, of which none may precede a feed."""
        self._start -= count

    def clear(self) -> None:
        """Throw everything away."""
        self._data = b""
        self._start = 0
