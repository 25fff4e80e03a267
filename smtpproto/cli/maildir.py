"""A Maildir (https://cr.yp.to/proto/maildir.html) as a sink: whole messages, or nothing of them.

File calls block, and a server on an event loop waits meanwhile: fine for demonstrations and tests.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import time
from pathlib import Path

_deliveries = itertools.count(1)


class Maildir:
    """The directory *path* with its ``tmp``, ``new`` and ``cur``, made if need be."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.tmp: Path = self.path / "tmp"
        self.new: Path = self.path / "new"
        for directory in (self.path, self.tmp, self.new, self.path / "cur"):
            directory.mkdir(mode=0o700, parents=directory == self.path, exist_ok=True)
        _sync(self.path)
        _sync(self.path.absolute().parent)

    def deliver(self) -> Delivery:
        """A sink for the content of one message. Raises OSError."""
        return Delivery(self)


class Delivery:
    """One message on its way: a :class:`~smtpproto.server.handler.Sink`.

    It is written to ``tmp`` and appears in ``new`` when it is complete and on the disk. Each method
    may raise OSError, which a server turns into 451.
    """

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._name = unique_name()
        self._file = open(maildir.tmp / self._name, "xb", opener=_private)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """Append a slice of content."""
        self._file.write(data)

    def commit(self) -> None:
        """Make it durable and visible, in that order; or leave nothing, and raise."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._maildir.tmp / self._name, self._maildir.new / self._name)
            _sync(self._maildir.new)
            _sync(self._maildir.tmp)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(OSError):  # octets that could not be written, once more
            self._file.close()
        for directory in (self._maildir.tmp, self._maildir.new):
            (directory / self._name).unlink(missing_ok=True)


def unique_name() -> str:
    """A file name that no other delivery uses: time, process, count, chance, host."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    count, chance = next(_deliveries), secrets.token_hex(4)
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072") or "localhost"
    return f"{seconds}.M{microseconds}P{os.getpid()}Q{count}R{chance}.{host}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(directory: Path) -> None:
    """Make the names in *directory* durable. Only POSIX can open a directory for that."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
