"""What deliverers share: functions for ``Local`` that block, and are called in threads."""

from __future__ import annotations

import errno
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..delivery.line_ends import unix_lines
from ..delivery.place import Place
from ..errors import SMTPError
from ..grammar.address import ForwardPath
from ..grammar.parameters import Body
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail import Source
from ..mail.preparation import pieces_of
from ..mta.queue import Delivery, Message
from ..mta.trace import delivery_fields

__all__ = ["NO_MAILBOX", "STORED", "OneByOne", "failure", "mailbox_at", "octets_for"]

NO_MAILBOX = Reply(550, "5.1.1", "No such mailbox")
STORED = Reply(250, "2.1.5", "Stored")
MOST_SECONDS = 300.0  # after which no other recipient of a message is begun

_FULL = Reply(452, "4.3.1", "Insufficient system storage")
_OVER_QUOTA = Reply(452, "4.2.2", "The mailbox is full")
_FAILED = Reply(451, "4.3.0", "The mailbox cannot be written now")
_LATER = Reply(451, "4.3.0", "The deliveries to others took too long")

_log = logging.getLogger("smtpproto.queue")


def failure(message: Message, recipient: ForwardPath, error: Exception) -> Reply:
    """Log why a delivery failed, with the traceback of an error that is not expected; return the
    reply for it. The recipient is tried again: what was delivered to others must not be."""
    text, is_expected = printable(str(error)), isinstance(error, OSError | SMTPError)
    _log.warning(
        "%s: the delivery to %s failed: %s",
        message.id,
        printable(str(recipient)),
        text if is_expected else f"{type(error).__name__}: {text}",
        exc_info=None if is_expected else error,
    )
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC:
        return _FULL
    return _OVER_QUOTA if number == getattr(errno, "EDQUOT", -1) else _FAILED


def mailbox_at(place: Place, recipient: ForwardPath, exists: Callable[[Path], bool]) -> Path | None:
    """Return the path of the mailbox of *recipient*; None if it has none.

    Raises OSError if the directory of all mailboxes is empty or missing: a disk may not be mounted,
    or the path may be wrong, and no mail must be refused for ever because of that.
    """
    path = place.path(recipient)
    if path is None:
        return None
    if place.is_shared or exists(Path(path)):
        return Path(path)
    names = dict.fromkeys(place.template.names, "\0")
    root = Path(place.template.fill(names).partition("\0")[0] + "_").parent  # of all mailboxes
    with os.scandir(root) as found:
        if not any(found):
            raise OSError(errno.ENOENT, "there is no mailbox at all; is it mounted?", str(root))
    return None


def octets_for(
    message: Message, recipient: ForwardPath, content: Source, *, crlf: bool
) -> Iterator[bytes]:
    """Yield what a mailbox of *recipient* gets: Return-Path, Delivered-To and the *content*, with
    CRLF or LF at the ends of lines. The lines of BINARYMIME stay as they are (RFC 3030 3)."""
    if (seek := getattr(content, "seek", None)) is not None:
        seek(0)  # it was read for another recipient, or before
    pieces = pieces_of(cast("Any", content))
    fields = delivery_fields(message.sender, recipient)
    if crlf or message.parameters.body is Body.BINARY_MIME:
        yield fields
        yield from pieces
    else:
        yield fields.replace(b"\r\n", b"\n")
        yield from unix_lines(pieces)


class OneByOne(ABC):
    """A deliverer that serves each recipient by itself, and has a bound of time for all: those that
    it does not reach are tried again."""

    place: Place

    def __call__(
        self, message: Message, deliveries: Sequence[Delivery], content: Source
    ) -> Mapping[ForwardPath, Reply]:
        """Deliver *content* to each recipient; return what came of each."""
        replies: dict[ForwardPath, Reply] = {}
        last = time.monotonic() + MOST_SECONDS
        for recipient in (it.recipient for it in deliveries):
            if time.monotonic() > last:
                replies[recipient] = _LATER
                continue
            try:
                replies[recipient] = self._deliver(message, recipient, content)
            except Exception as error:
                replies[recipient] = failure(message, recipient, error)
        return replies

    @abstractmethod
    def _deliver(self, message: Message, recipient: ForwardPath, content: Source) -> Reply:
        """Deliver to one recipient. Whatever it raises, the recipient is tried again."""
