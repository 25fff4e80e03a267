"""Maildirs as the mailboxes of local recipients."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..grammar.address import ForwardPath
from ..grammar.reply import Reply
from ..mail import Source
from ..mail.preparation import pieces_of
from ..mta.queue import Delivery, Message
from ..mta.trace import delivery_fields
from .maildir import Maildir

_SAFE = re.compile(r"[a-z0-9_][a-z0-9._-]*")  # names of mailboxes: no path leads out of the place
_UNKNOWN = Reply(550, "5.1.1", "No such mailbox")
_FAILED = Reply(451, "4.3.0", "The mailbox cannot be written now")
_STORED = Reply(250, "2.1.5", "Stored")


class Mailboxes:
    """Delivers to the Maildir *place*, in which ``{user}`` stands for the local-part, without what
    is after a ``+``, and ``{domain}`` for the domain, both in lower case.

    A mailbox exists if its directory does; the program makes none where ``{user}`` says which.
    """

    def __init__(self, place: str) -> None:
        place.format(user="", domain="")  # raises
        self._place = place

    def path(self, recipient: ForwardPath) -> Path | None:
        """Return the Maildir of *recipient*; None if there is none."""
        user = recipient.local_part.lower().partition("+")[0]
        domain = "" if recipient.domain is None else recipient.domain.canonical
        if "{user}" not in self._place:
            return Path(self._place.format(domain=domain))
        path = Path(self._place.format(user=user, domain=domain))
        return path if _SAFE.fullmatch(user) and path.is_dir() else None

    def knows(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* has a mailbox."""
        return self.path(recipient) is not None

    async def __call__(
        self, message: Message, deliveries: Sequence[Delivery], content: Source
    ) -> Mapping[ForwardPath, Reply]:
        """Store *content* in the mailbox of each recipient; return what came of each."""
        return {
            it.recipient: await asyncio.to_thread(self._store, message, it.recipient, content)
            for it in deliveries
        }

    def _store(self, message: Message, recipient: ForwardPath, content: Source) -> Reply:
        path = self.path(recipient)
        if path is None:
            return _UNKNOWN
        try:
            sink = Maildir(path).deliver()
            try:
                sink.write(delivery_fields(message.sender, recipient))
                for piece in pieces_of(cast("Any", content)):
                    sink.write(piece)
            except BaseException:
                sink.abort()
                raise
            sink.commit()
        except OSError:
            return _FAILED
        return _STORED
