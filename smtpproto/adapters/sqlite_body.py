"""Content on its way into an SQLite queue: in memory, or in a file of its own."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import AsyncGenerator, Callable
from functools import partial

from ..mta.store import MAX_PREPENDED
from ..ports import Runtime
from .segments import Segments, crc_of, sync_file, write_all
from .sqlite_errors import errors_of
from .sqlite_rows import Place

__all__ = ["SQLiteBody"]

_AT_ONCE = 256 * 1024  # octets that are gathered for one write to a file


class SQLiteBody:
    """Implements :class:`.Body`. Up to *spool* octets are in memory. *check* raises QueueFull if
    there is no room for so many octets."""

    def __init__(
        self, runtime: Runtime, segments: Segments, spool: int, check: Callable[[int], None]
    ) -> None:
        self._runtime, self._segments, self._spool = runtime, segments, spool
        self._check = check
        self._pieces: list[bytes] = []
        self._held = self._crc = 0
        self._start = MAX_PREPENDED  # of the content in the file
        self._number: int | None = None
        self._file: io.FileIO | None = None
        self._spent = self._given_up = False
        self._working = threading.Lock()  # held by the thread that uses the file
        self.size: int = 0

    async def write(self, data: bytes) -> None:
        """Add octets. Raises QueueFull and QueueFailed."""
        self._check_unspent()
        self._pieces.append(bytes(data))
        self.size += len(data)
        self._held += len(data)
        if self._held > (self._spool if self._file is None else _AT_ONCE):
            await self._runtime.in_thread(lambda: self._work(self._flush))

    async def prepend(self, data: bytes) -> None:
        """Add octets before all others. Raises as :meth:`write` does, and ValueError for more than
        64 KiB in all."""
        self._check_unspent()
        if len(data) > self._start:
            raise ValueError("more than 64 KiB cannot be put before a content")
        self._start -= len(data)
        self.size += len(data)
        if self._file is None:
            self._pieces.insert(0, bytes(data))
            self._held += len(data)
        else:
            await self._runtime.in_thread(lambda: self._put_before(data))

    async def slices(self) -> AsyncGenerator[bytes, None]:
        """Return the octets written so far, in slices. Raises QueueFailed."""
        self._check_unspent()
        if self._file is None:
            for piece in tuple(self._pieces):
                yield piece
            return
        await self._runtime.in_thread(lambda: self._work(self._flush))
        at = self._start
        while data := await self._runtime.in_thread(partial(self._read, at)):
            yield data
            at += len(data)

    def _read(self, at: int) -> bytes:
        """Return octets of the file from *at*, if the content was not discarded."""
        if self._number is None:
            return b""
        with (
            errors_of(self._segments.directory),
            self._segments.path(self._number).open("rb") as it,
        ):
            it.seek(at)
            return it.read(_AT_ONCE)

    async def discard(self) -> None:
        """Give up the content, unless it was put into the queue."""
        self._spent = self._given_up = True
        self._pieces.clear()
        self._remove()

    def _remove(self) -> None:
        """Delete the file; but if a thread uses it, whose caller was cancelled, that does it."""
        if self._working.acquire(blocking=False):
            number, self._number = self._number, None
            if number is not None:
                self._close()
                self._segments.remove(number)
            self._working.release()

    async def finish(self) -> bytes | Place:
        """Return the content, or its place. From now on :meth:`discard` deletes no file. Raises
        ValueError if the content was discarded, or was put from a file before."""
        self._check_unspent()
        if self._file is None:
            return b"".join(self._pieces)
        self._spent = True
        await self._runtime.in_thread(lambda: self._work(self._finish))
        number, self._number = self._number, None
        return Place(self._crc, segment=number, start=self._start)

    def _check_unspent(self) -> None:
        if self._spent:
            raise ValueError("this content was discarded, or passed to put() before")

    def _work(self, function: Callable[[], None]) -> None:
        try:
            with self._working:
                function()
        finally:
            if self._given_up:
                self._remove()

    def _flush(self) -> None:
        octets = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        with errors_of(self._segments.directory):
            self._check(len(octets))
            if self._file is None:
                self._number, self._file = self._segments.create()
                self._file.seek(self._start)
            write_all(self._file, octets)
        self._crc = zlib.crc32(octets, self._crc)

    def _put_before(self, octets: bytes) -> None:
        """Write *octets* where the content begins now."""
        self._flush()
        assert self._file is not None
        with errors_of(self._segments.directory):
            self._check(len(octets))
            self._file.seek(self._start)
            write_all(self._file, octets)
            self._file.seek(0, io.SEEK_END)
            with self._segments.path(self._number or 0).open("rb") as file:
                file.seek(self._start)
                self._crc = crc_of(file)

    def _finish(self) -> None:
        self._flush()
        assert self._file is not None
        with errors_of(self._segments.directory):
            sync_file(self._file.fileno())
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
