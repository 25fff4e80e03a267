"""Delivery to mboxes: files of messages (RFC 4155)."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..delivery.mbox_format import from_line, mbox_text
from ..delivery.place import Place
from ..grammar.address import ForwardPath
from ..grammar.reply import Reply
from ..mail import Source
from ..mta.queue import Message
from ..option_types import require_type
from .deliverers import NO_MAILBOX, STORED, OneByOne, mailbox_at, octets_for
from .segments import sync_directory, sync_file, write_all

__all__ = ["Mbox"]

_LOCKED = Reply(451, "4.2.0", "Another program has locked the mailbox")
_STALE = 300.0  # seconds, after which the program that made a lock file must be dead
_POLL = 0.1  # seconds between looks at a lock
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Mbox(OneByOne):
    """Delivers to mboxes: ``Local(Mbox("/var/mail/{user}"))``.

    *place* is as :class:`.Place` describes it. A mailbox exists if its file does; where the place
    has no ``{user}``, it is made when it is needed. Lines that begin with "From " are quoted as
    in mboxrd, and the fields by which programs note flags in an mbox are removed.

    It is locked by a file with ``.lock`` at its end, and by ``fcntl`` and ``flock``, as programs on
    Linux and BSD expect it. If others hold a lock for *lock_timeout* seconds, the message is tried
    again later. It may be called by several threads. Raises ValueError for a wrong place.
    """

    def __init__(self, place: str, *, separator: str = "+", lock_timeout: float = 30.0) -> None:
        require_type("place", place, str, "a str")
        self.place: Place = Place(place, separator)
        self._lock_timeout = lock_timeout

    def knows(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* has a mailbox. Raises OSError if that cannot be found out."""
        return self._path(recipient) is not None

    def _path(self, recipient: ForwardPath) -> Path | None:
        return mailbox_at(self.place, recipient, Path.is_file)

    def _deliver(self, message: Message, recipient: ForwardPath, content: Source) -> Reply:
        path = self._path(recipient)
        if path is None:
            return NO_MAILBOX
        text = mbox_text(octets_for(message, recipient, content, crlf=False))
        try:
            with _lock_file(path, deadline := time.monotonic() + self._lock_timeout):
                is_new = not path.exists()
                with io.FileIO(path, "r+b", opener=_private) as file:
                    _lock(file, deadline)
                    _append(file, from_line(message.sender, time.time()), text)
                if is_new:
                    sync_directory(path.absolute().parent)
        except TimeoutError:
            return _LOCKED
        return STORED


def _append(file: io.FileIO, first: bytes, text: Iterator[bytes]) -> None:
    """Append a message, and return when it is on the disk; if that fails, remove it."""
    size = file.seek(0, os.SEEK_END)
    try:
        if size:  # another program may have died within a message
            file.seek(max(size - 2, 0))
            end = file.read(2)
            write_all(file, b"" if end == b"\n\n" else b"\n" if end.endswith(b"\n") else b"\n\n")
        write_all(file, first)
        for piece in text:
            write_all(file, piece)
        write_all(file, b"\n")
        sync_file(file.fileno())
    except BaseException:
        file.truncate(size)
        raise


@contextlib.contextmanager
def _lock_file(mailbox: Path, deadline: float) -> Iterator[None]:
    """Hold the lock file of *mailbox*. It also keeps the threads of this process apart, which the
    locks of ``fcntl`` do not. Raises TimeoutError."""
    path = mailbox.with_name(f"{mailbox.name}.lock")
    while (descriptor := _make(path)) is None:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()
                continue
        _wait(deadline)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        yield
    finally:
        path.unlink(missing_ok=True)


def _make(path: Path) -> int | None:
    """Make a file; return its descriptor, or None if there is one."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return None


def _lock(file: io.FileIO, deadline: float) -> None:
    """Lock *file* until it is closed. Raises TimeoutError."""
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    for lock in (fcntl.lockf, fcntl.flock):
        while True:
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):  # fcntl may raise either (POSIX)
                _wait(deadline)


def _wait(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError("another program has locked the mailbox")
    time.sleep(_POLL)


def _private(path: str, flags: int) -> int:
    return os.open(path, _FLAGS, 0o600)
