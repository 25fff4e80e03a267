"""A buffer of octets that have arrived but are not read yet, shared by the readers of all modes."""

from __future__ import annotations


class Buffer:
    """A queue of octets. Reading moves a position; only :meth:`feed` copies the unread octets."""

    __slots__ = ("at", "data")

    def __init__(self) -> None:
        self.data: bytes = b""
        """The octets; those from :attr:`at` are not read yet."""
        self.at: int = 0

    def feed(self, data: bytes) -> None:
        """Append *data*."""
        self.data, self.at = self.data[self.at :] + data, 0

    def __bool__(self) -> bool:
        return self.data[self.at : self.at + 1] != b""

    def __len__(self) -> int:
        return len(self.data) - self.at

    def peek(self, count: int) -> bytes:
        """Return at most *count* octets without reading them."""
        return self.data[self.at : self.at + count]

    def take(self, count: int) -> bytes:
        """Read and return at most *count* octets."""
        taken = self.data[self.at : self.at + count]
        self.at += len(taken)
        return taken

    def untake(self, count: int) -> None:
        """Unread the last *count* octets, all of which must have been read since the last feed."""
        self.at -= count
