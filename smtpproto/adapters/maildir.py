"""Delivery to Maildirs (https://cr.yp.to/proto/maildir.html), with quotas and folders of
Maildir++."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import evolve

from ..delivery.maildir_names import maildir_name, size_in_name
from ..delivery.maildir_size import LONGEST, MaildirSize
from ..delivery.place import Place, is_safe
from ..grammar.address import ForwardPath
from ..grammar.reply import Reply
from ..mail import Source
from ..mta.queue import Delivery, Message
from ..option_types import require_type
from .deliverers import NO_MAILBOX, STORED, failure, mailbox_at, octets_for
from .segments import sync_directory, sync_file, write_all

__all__ = ["Maildir", "MaildirFolder", "NewMessage"]

_OVER_QUOTA = Reply(452, "4.2.2", "The mailbox is full")
_OLD = 15 * 60  # seconds, after which a full mailbox is counted again (Maildir++)
_SIZE_FILE = "maildirsize"
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_count = itertools.count(1)


class Maildir:
    """Delivers to Maildirs: ``Local(Maildir("/var/mail/{domain}/{user}"))``.

    *place* is as :class:`.Place` describes it. A mailbox exists if its directory does; where the
    place has no ``{user}``, it is made when it is needed. The message is on the disk before it can
    be seen, and delivered when the name of its file is on the disk, too.

    With *folders*, mail with a detail goes to the folder of that name (``.lists`` for
    ann+lists@example.org) if there is one. *quota* is how many octets a mailbox may have; without
    it, that in its file ``maildirsize`` counts. Lines end with LF, with *crlf* as they came.

    It may be called by several threads at the same time. Raises ValueError for a wrong place.
    """

    def __init__(
        self,
        place: str,
        *,
        separator: str = "+",
        folders: bool = False,
        quota: int | None = None,
        crlf: bool = False,
    ) -> None:
        require_type("place", place, str, "a str")
        MaildirSize(octets=quota)  # raises
        self.place: Place = Place(place, separator)
        self._folders, self._quota, self._crlf = folders, quota, crlf

    def knows(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* has a mailbox. Raises OSError if that cannot be found out."""
        return self._path(recipient) is not None

    def __call__(
        self, message: Message, deliveries: Sequence[Delivery], content: Source
    ) -> Mapping[ForwardPath, Reply]:
        """Deliver *content* to each recipient; return what came of each."""
        replies: dict[ForwardPath, Reply] = {}
        written: dict[ForwardPath, NewMessage] = {}
        steps: list[Callable[[ForwardPath], Reply | None]] = [
            lambda it: self._write(message, it, content, written),
            lambda it: written[it].sync(),
            lambda it: written[it].link(),
            lambda it: written[it].settle(),
        ]
        try:
            for step in steps:  # one after the other, so that the system can sync several at once
                for recipient in [it.recipient for it in deliveries if it.recipient not in replies]:
                    try:
                        reply = step(recipient)
                    except Exception as error:
                        reply = failure(message, recipient, error)
                    if reply is not None:
                        replies[recipient] = reply
        finally:
            for recipient, each in written.items():
                if recipient in replies or not each.is_settled:
                    each.abort()
        return {it.recipient: replies.get(it.recipient, STORED) for it in deliveries}

    def _write(
        self,
        message: Message,
        recipient: ForwardPath,
        content: Source,
        written: dict[ForwardPath, NewMessage],
    ) -> Reply | None:
        """Write the message to ``tmp``; return a refusal, or None."""
        path = self._path(recipient)
        if path is None:
            return NO_MAILBOX
        size = MailboxSize(path, self._quota)
        if not size.has_room(message.size):
            return _OVER_QUOTA
        new = written[recipient] = NewMessage(self._folder(path, recipient), size.add)
        for piece in octets_for(message, recipient, content, crlf=self._crlf):
            new.write(piece)
        return None

    def _path(self, recipient: ForwardPath) -> Path | None:
        return mailbox_at(self.place, recipient, Path.is_dir)

    def _folder(self, path: Path, recipient: ForwardPath) -> MaildirFolder:
        detail = self.place.values(recipient)["detail"]
        folder = path / f".{detail}"
        found = self._folders and is_safe(detail) and (folder / "new").is_dir()
        return MaildirFolder(folder if found else path)


class MaildirFolder:
    """The directory *path* with ``tmp``, ``new`` and ``cur``, which are made if they are missing.
    Raises OSError.

    A handler stores a message as it arrives if its hook *data* returns :meth:`begin`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.tmp: Path = self.path / "tmp"
        self.new: Path = self.path / "new"
        missing = [it for it in (self.tmp, self.new, self.path / "cur") if not it.is_dir()]
        if missing:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in missing:
                directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self.path)
            sync_directory(self.path.absolute().parent)

    def begin(self) -> NewMessage:
        """Return a file for a message. Raises OSError."""
        return NewMessage(self)


class NewMessage:
    """A message on its way into a folder: a sink for its content.

    It is written to ``tmp``. :meth:`sync` brings it to the disk, :meth:`link` makes it visible, and
    :meth:`settle` makes its name durable; :meth:`commit` is all three. Each may raise OSError;
    nothing can be seen after :meth:`abort`. *count* is called with the number of octets of a
    message that was delivered.
    """

    def __init__(self, folder: MaildirFolder, count: Callable[[int], object] = bool) -> None:
        self._count = count
        self._octets = 0
        self._new = folder.new
        self._temporary = folder.tmp / _unique_name()
        self._delivered: Path | None = None
        self._file = io.FileIO(self._temporary, "xb", opener=_private)
        self.is_settled: bool = False
        """Whether it is delivered."""

    def write(self, data: bytes) -> None:
        """Append octets."""
        write_all(self._file, data)
        self._octets += len(data)

    def sync(self) -> None:
        """Return when the content is on the disk."""
        sync_file(self._file.fileno())
        self._file.close()

    def link(self) -> None:
        """Let programs see the message. Its name has its size, for quotas (Maildir++)."""
        delivered = self._new / f"{self._temporary.name},S={self._octets}"
        os.link(self._temporary, delivered)  # unlike a rename, it replaces no file
        self._delivered = delivered

    def settle(self) -> None:
        """Return when the name is on the disk: the message is delivered."""
        sync_directory(self._new)
        self.is_settled = True
        with contextlib.suppress(OSError):  # readers remove what is old in tmp
            self._temporary.unlink()
        self._count(self._octets)

    def commit(self) -> None:
        """Deliver the message; if that fails, remove it, and raise OSError."""
        try:
            self.sync()
            self.link()
            self.settle()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove the message. Never raises OSError."""
        with contextlib.suppress(OSError):
            self._file.close()
        for path in filter(None, (self._delivered, self._temporary)):
            with contextlib.suppress(OSError):
                path.unlink()


class MailboxSize:
    """What the mailbox at *path* has, and may have: its file ``maildirsize`` (Maildir++).

    A *quota*, in octets, replaces that in the file.
    """

    def __init__(self, path: Path, quota: int | None) -> None:
        self._path, self._quota = path, quota
        self._file = path / _SIZE_FILE

    def has_room(self, size: int) -> bool:
        """Return whether a message of *size* octets may be added."""
        found, age = self._read()
        if found is None:
            return True
        if age is not None and found.has_room(size):
            return True
        if age is None or not found.is_fresh or age > _OLD:
            found = self._count_again(found)
        return found.has_room(size)

    def add(self, size: int) -> None:
        """Note that a message of *size* octets was added."""
        with contextlib.suppress(OSError):  # there is no quota; else it is counted again later
            descriptor = _regular(str(self._file), os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, f"{size} 1\n".encode())
            finally:
                os.close(descriptor)

    def _read(self) -> tuple[MaildirSize | None, float | None]:
        """Return what the file says, and its age in seconds; None for the age if all must be
        counted again, None for both if there is no quota."""
        try:
            with open(self._file, encoding="ascii", opener=_regular) as file:
                found = MaildirSize.parse(file.read(LONGEST + 1))
                status = os.fstat(file.fileno())
        except (OSError, ValueError):
            return None if self._quota is None else MaildirSize(octets=self._quota), None
        if self._quota is not None and found.octets != self._quota:
            return evolve(found, octets=self._quota), None
        return found, None if status.st_size > LONGEST else time.time() - status.st_mtime

    def _count_again(self, quota: MaildirSize) -> MaildirSize:
        """Count all messages, and write the file anew."""
        sizes = [size for folder in self._folders() for size in _sizes_in(folder)]
        counted = evolve(quota, used=sum(sizes), count=len(sizes), is_fresh=True)
        MaildirFolder(self._path)
        temporary = self._path / "tmp" / _unique_name()
        with open(temporary, "x", encoding="ascii", opener=_private) as file:
            file.write(str(counted))
            file.flush()
            sync_file(file.fileno())
        os.replace(temporary, self._file)
        return counted

    def _folders(self) -> Iterator[Path]:
        yield self._path
        for each in self._path.glob(".[!.]*"):
            if each.name != ".Trash" and (each / "cur").is_dir():
                yield each


def _sizes_in(folder: Path) -> Iterator[int]:
    """Yield the sizes of the messages in *folder* that are not marked as deleted."""
    for part in ("new", "cur"):
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / part) as entries:
            for each in entries:
                name, _, flags = each.name.partition(":2,")
                if each.name.startswith(".") or "T" in flags:
                    continue
                size = size_in_name(name)
                with contextlib.suppress(FileNotFoundError):  # a reader has moved it
                    yield each.stat().st_size if size is None else size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _regular(path: str, flags: int) -> int:
    """Open a file. The owner of the mailbox may have put a link in its place, or a pipe, at which
    the thread would wait for ever. Raises OSError for these."""
    descriptor = os.open(path, flags | _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def _unique_name() -> str:
    return maildir_name(
        time.time_ns(),
        process=os.getpid(),
        count=next(_count),
        random=secrets.token_bytes(4),
        host=socket.gethostname(),
    )
