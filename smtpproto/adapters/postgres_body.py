"""Contents on their way into a PostgreSQL queue and out of it; large ones are in a temporary file
meanwhile."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import partial

from attrs import frozen

from ..errors import QueueFull
from ..mta.store import MAX_PREPENDED
from ..ports import Runtime
from .queue_rows import content_lost

__all__ = ["Chunk", "PostgresBody", "Spooled", "Stored", "TemporaryCopy", "chunks_of", "gathered"]

CHUNK = 256 * 1024  # octets in a row
LARGE = 1024 * 1024  # octets, above which a content is not kept in memory

Chunk = tuple[int, int, bytes]
"""A number, a CRC, and octets."""


class TemporaryCopy(io.RawIOBase):
    """A temporary file, which is deleted when it is closed, or not used any more."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it stays open

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        return self._file.readinto(buffer) or 0

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)

    def read_at(self, offset: int) -> bytes:
        """Return octets from *offset*; what is written then is put at the end."""
        self._file.seek(offset)
        octets = self._file.read(CHUNK)
        self._file.seek(0, io.SEEK_END)
        return octets

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@frozen
class Spooled:
    """A content in a file, but for what stands before it."""

    head: bytes
    file: TemporaryCopy

    def pieces(self) -> Iterator[bytes]:
        """Yield the octets."""
        yield self.head
        self.file.seek(0)
        while piece := self.file.read(CHUNK):
            yield piece


@frozen
class Stored:
    """A content in the database, before its message, which will have the *key*."""

    key: int


class PostgresBody:
    """Implements :class:`.Body`. Up to *spool* octets are in memory."""

    def __init__(self, runtime: Runtime, spool: int) -> None:
        self._runtime, self._spool = runtime, spool
        self._head: list[bytes] = []
        self._pieces: list[bytes] = []
        self._held = 0
        self._room = MAX_PREPENDED
        self._file: TemporaryCopy | None = None
        self._spent = False
        self.size: int = 0

    async def write(self, data: bytes) -> None:
        """Add octets. Raises QueueFull and QueueFailed."""
        self._check_unspent()
        self._pieces.append(bytes(data))
        self._held += len(data)
        self.size += len(data)
        if self._held > (self._spool if self._file is None else CHUNK):
            await self._runtime.in_thread(self._flush)

    async def prepend(self, data: bytes) -> None:
        """Add octets before all others. Raises ValueError for more than 64 KiB in all."""
        self._check_unspent()
        if len(data) > self._room:
            raise ValueError("more than 64 KiB cannot be put before a content")
        self._room -= len(data)
        self._head.insert(0, bytes(data))
        self.size += len(data)

    async def slices(self) -> AsyncGenerator[bytes, None]:
        """Return the octets written so far, in slices. Raises QueueFull."""
        self._check_unspent()
        for piece in (*self._head, *(self._pieces if self._file is None else ())):
            yield piece
        if (file := self._file) is not None:
            await self._runtime.in_thread(self._flush)
            at = 0
            while piece := await self._runtime.in_thread(partial(file.read_at, at)):
                yield piece
                at += len(piece)

    async def discard(self) -> None:
        """Give up the content, unless it was put into the queue."""
        self._spent = True
        self._pieces.clear()
        self._file = None

    async def finish(self) -> bytes | Spooled:
        """Return the content. Raises ValueError if it was discarded, or was put before from a
        file."""
        self._check_unspent()
        if self._file is None:
            return b"".join([*self._head, *self._pieces])
        self._spent = True
        await self._runtime.in_thread(self._flush)
        return Spooled(b"".join(self._head), self._file)

    def _check_unspent(self) -> None:
        if self._spent:
            raise ValueError("this content was discarded, or passed to put() before")

    def _flush(self) -> None:
        octets = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        try:
            file = self._file or TemporaryCopy()
            file.write(octets)
        except OSError as error:
            raise QueueFull(f"the directory for temporary files is full: {error}") from error
        self._file = file


def chunks_of(content: bytes | Spooled) -> Iterator[Chunk]:
    """Yield *content* as it is in the rows of the database."""
    if isinstance(content, bytes):
        pieces: Iterable[bytes] = (
            content[start : start + CHUNK] for start in range(0, len(content), CHUNK)
        )
    else:
        pieces = content.pieces()
    for number, piece in enumerate(piece for piece in pieces if piece):
        yield number, zlib.crc32(piece), piece


def gathered(chunks: Iterable[Chunk], size: int, name: str) -> bytes | io.BufferedReader:
    """Return the content of *size* octets from all *chunks* of the message *name*. Raises
    ContentLost if it is missing or damaged."""
    target = io.BytesIO() if size <= LARGE else TemporaryCopy()
    found = 0
    for place, (number, crc, octets) in enumerate(chunks):
        if number != place or zlib.crc32(octets) != crc:
            raise content_lost(name)
        target.write(octets)
        found += len(octets)
    if found != size:
        raise content_lost(name)
    if isinstance(target, io.BytesIO):
        return target.getvalue()
    target.seek(0)
    return io.BufferedReader(target, 65536)
