"""Asks a server what it would do, and sends no mail."""

from __future__ import annotations

from collections.abc import Iterable

from .. import commands
from ..errors import TimedOut
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.reply import Reply
from .connection import Client
from .link import Conversation

__all__ = ["answers_groups", "probe"]


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


async def answers_groups(client: Client) -> bool:
    """Return whether the server answers each of several commands that are sent together (RFC 2920
    3.1): RSET, RSET, NOOP. After False, the connection cannot be used any more.

    Raises TransportError and RemoteProtocolError if the connection fails otherwise.
    """
    link = client._link
    with Conversation(link, "probe"):
        first = await link.begin(commands.Rset())
        link.say(commands.Rset())
        last = link.say(commands.Noop())
        await link.reply_to(first)
        try:
            await link.reply_to(last)
        except TimedOut:
            return False
    return True
