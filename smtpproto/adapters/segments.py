"""Files of message contents: many contents, one after the other, in each.

A file is written at its end only. It is deleted when none of its contents is needed. Numbers of
files rise, and are never used again.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zlib
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path

from ..errors import QueueFailed

__all__ = ["FileSlice", "Segments", "crc_of", "sync_directory", "sync_file"]

ROTATE = 64 * 1024 * 1024  # octets, after which a new file begins
_AT_ONCE = 1024 * 1024  # octets that are read at once
_SUFFIX = ".seg"


def sync_file(descriptor: int) -> None:
    """Return when what was written to the file is on the disk."""
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names of new files in the directory are on the disk."""
    if sys.platform == "win32":  # cannot, and need not
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segments:
    """The files of one directory. One thread appends; :meth:`create` is for all.

    Errors of the system are raised as they are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Path = directory
        self.candidates: set[int] = set()
        """Files that may be deleted, if no message needs them."""
        self._numbers = count(1)
        self._file: io.FileIO | None = None
        self._number = self._size = 0
        self._unsynced = False

    def start(self, needed: Collection[int], *, delete: bool = True) -> None:
        """Number new files after all others. *delete* those whose numbers are not *needed*."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        numbers = [*self._existing()]
        self._numbers = count(max([*numbers, *needed], default=0) + 1)
        for number in numbers:
            if delete and number not in needed:
                self.remove(number)

    def append(self, octets: bytes) -> tuple[int, int]:
        """Write *octets*; return the number of the file, and where in it they begin. They are not
        durable before :meth:`sync`."""
        if self._file is None or self._size >= ROTATE:
            self.sync()
            self.abandon()
            self._number, self._file = self.create()
            self._size = 0
        start = self._size
        self._unsynced = True
        try:
            write_all(self._file, octets)
        except OSError:
            self.sync()  # for what was appended before
            self.abandon()
            raise
        self._size += len(octets)
        return self._number, start

    def sync(self) -> None:
        """Make all that was appended durable."""
        if self._unsynced and self._file is not None:
            sync_file(self._file.fileno())
            self._unsynced = False

    def abandon(self) -> None:
        """Append no more to the present file: a write or a sync has failed, or it is long
        enough."""
        if self._file is not None:
            self.candidates.add(self._number)
            self._file.close()
        self._file, self._unsynced = None, False

    def create(self) -> tuple[int, io.FileIO]:
        """Return the number of a new file whose name is durable, and the file."""
        number = next(self._numbers)
        file = io.FileIO(self.path(number), "xb")
        try:
            sync_directory(self.directory)
        except BaseException:
            file.close()
            self.remove(number)
            raise
        return number, file

    def is_current(self, number: int) -> bool:
        """Return whether more may be appended to the file."""
        return self._file is not None and number == self._number

    def remove(self, number: int) -> None:
        """Delete the file. If that fails, the next start tries it again."""
        with contextlib.suppress(OSError):
            self.path(number).unlink()

    def size(self, number: int) -> int:
        """Return the octets in the file; 0 if it is missing."""
        with contextlib.suppress(FileNotFoundError):
            return self.path(number).stat().st_size
        return 0

    def path(self, number: int) -> Path:
        """Return the path of the file."""
        return self.directory / f"{number:012d}{_SUFFIX}"

    def _existing(self) -> Iterator[int]:
        for path in self.directory.glob(f"*{_SUFFIX}"):
            if path.stem.isascii() and path.stem.isdecimal():
                yield int(path.stem)


def write_all(file: io.FileIO, octets: bytes) -> None:
    """Write all of *octets*: the system may write less at once."""
    rest = memoryview(octets)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def crc_of(file: io.RawIOBase | io.BufferedReader) -> int:
    """Return the CRC-32 of what is left to read of *file*."""
    crc = 0
    while octets := file.read(_AT_ONCE):
        crc = zlib.crc32(octets, crc)
    return crc


class FileSlice(io.RawIOBase):
    """Some octets of a file, as a file that is opened for reading. Its file is opened at the first
    read, and closed at the end. Reading lines needs a buffer over it."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._path, self._offset, self._size = path, offset, size
        self._at = 0
        self._file: io.FileIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(start + offset, 0), self._size)
        return self._at

    def readall(self) -> bytes:
        pieces = []
        while piece := self.read(self._size - self._at):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        room = min(len(buffer), self._size - self._at)
        if room <= 0:
            self._release()
            return 0
        try:
            if self._file is None:
                self._file = io.FileIO(self._path)
            self._file.seek(self._offset + self._at)
            count = self._file.readinto(memoryview(buffer)[:room]) or 0
        except OSError as error:
            raise QueueFailed(f"a content in {self._path} cannot be read: {error}") from error
        if not count:
            raise QueueFailed(f"{self._path} ends within a content")
        self._at += count
        return count

    def close(self) -> None:
        self._release()
        super().close()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
