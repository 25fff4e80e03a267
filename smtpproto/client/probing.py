"""Asks a server whether it would take mail for some recipients, and sends none."""

from __future__ import annotations

from collections.abc import Iterable

from .. import commands
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.reply import Reply
from .connection import Client
from .link import Conversation

__all__ = ["probe"]


async def probe(
    client: Client, recipients: Iterable[ForwardPath], sender: ReversePath | None = None
) -> dict[ForwardPath, Reply]:
    """Return the reply to RCPT for each recipient, or that to MAIL if it is refused; then send
    RSET. *sender* None is the null sender.

    Raises TransportError and RemoteProtocolError if the connection fails before all are asked.
    """
    link, replies = client._link, dict[ForwardPath, Reply]()
    with Conversation(link, "probe"):
        mail = await link.request(commands.Mail(sender or ReversePath(None)))
        for path in recipients:
            replies[path] = await link.request(commands.Rcpt(path)) if mail.positive else mail
            if link.ended:
                return replies
        await link.request(commands.Rset())
    return replies
