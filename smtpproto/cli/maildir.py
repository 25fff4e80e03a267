"""A Maildir (https://cr.yp.to/proto/maildir.html) as a sink: a message is stored whole or not at
all.

File calls block, and an event loop waits for them; that is acceptable in demonstrations and tests.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import time
from functools import partial
from pathlib import Path

_deliveries = itertools.count(1)


class Maildir:
    """The directory *path* with ``tmp``, ``new`` and ``cur``, which are created if missing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.tmp: Path = self.path / "tmp"
        self.new: Path = self.path / "new"
        for directory in (self.path, self.tmp, self.new, self.path / "cur"):
            directory.mkdir(mode=0o700, parents=directory == self.path, exist_ok=True)
        _sync(self.path)
        _sync(self.path.absolute().parent)

    def deliver(self) -> Delivery:
        """Return a sink for the content of one message. Raise OSError if no file can be made."""
        return Delivery(self)


class Delivery:
    """The delivery of one message: a :class:`~smtpproto.server.handler.Sink`.

    The message is written to ``tmp``; it appears in ``new`` when it is complete and on the disk.
    Each method may raise OSError, which the server turns into a 451 reply.
    """

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._name = unique_name()
        private = partial(os.open, mode=0o600)
        self._file = open(maildir.tmp / self._name, "xb", opener=private)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """Append a slice of content."""
        self._file.write(data)

    def commit(self) -> None:
        """Make the message durable, then visible. On failure, remove it and raise OSError."""
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
        """Remove the message."""
        with contextlib.suppress(OSError):  # close() may fail again to write what write() could not
            self._file.close()
        for directory in (self._maildir.tmp, self._maildir.new):
            (directory / self._name).unlink(missing_ok=True)


def unique_name() -> str:
    """Return a file name that no other delivery uses, made of the time, the process, a counter, a
    random number and the host name."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    count, random = next(_deliveries), secrets.token_hex(4)
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072") or "localhost"
    return f"{seconds}.M{microseconds}P{os.getpid()}Q{count}R{random}.{host}"


def _sync(directory: Path) -> None:
    """Make the names in *directory* durable. Only POSIX can open a directory for this."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
