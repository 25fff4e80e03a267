"""A buffer of octets that have arrived but are not read yet, shared by the readers of all modes."""

from __future__ import annotations


class Buffer:
    """A queue of octets. Reading moves a position; only :meth:`feed` copies the unread octets."""

    __slots__ = ("_data", "_start")

    def __init__(self) -> None:
        self._data = b""
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Append *data*."""
        unread = self._data[self._start :] if self else b""
        self._data = unread + data
        self._start = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def find(self, octets: bytes, skip: int = 0) -> int:
        """Return where *octets* begin, at *skip* or later, counted from the position, or -1."""
        found = self._data.find(octets, self._start + skip)
        return found - self._start if found >= 0 else -1

    def peek(self, count: int) -> bytes:
        """Return at most *count* octets without reading them."""
        return self._data[self._start : self._start + count]

    def take(self, count: int) -> bytes:
        """Read and return at most *count* octets."""
        start = self._start
        self._start = min(start + count, len(self._data))
        return self._data[start : self._start]

    def untake(self, count: int) -> None:
        """Unread the last *count* octets, all of which must have been read since the last feed."""
        self._start -= count

    def clear(self) -> None:
        """Discard all octets."""
        self._data = b""
        self._start = 0
