"""The events that the client's machine reports. :mod:`smtpproto.events` exports them, too."""

from __future__ import annotations

import enum

from attrs import define, field, frozen

from .grammar.address import ForwardPath
from .grammar.command import Command
from .grammar.reply import Reply


@frozen
class Disconnected:
    """The connection has ended."""

    unanswered: tuple[Sent, ...] = ()
    """On a client, what was sent and got no reply, so that its outcome is unknown."""
    unfinished_reply: str = field(default="", eq=False)
    """On a client, the start of a reply whose end did not arrive, escaped; or ""."""


class Step(enum.Enum):
    """A step, other than a command, that the server answers with a reply."""

    GREETING = "greeting"
    AUTH_RESPONSE = "AUTH response"
    BODY_END = "end of data"


@define(eq=False)
class Sent:
    """An entry in the client's ledger: a command or step that awaits exactly one reply.

    The machine sets *reply*; programs only read it.
    """

    what: Command | Step
    """The command or step that was sent."""
    octets: int = 0
    """How many octets of the pipelining window this occupies."""
    recipient: ForwardPath | None = None
    """In LMTP, the recipient to whom this reply to the message belongs."""
    reply: Reply | None = field(default=None, init=False, repr=False)
    """The reply, once it has arrived."""
    leniencies: tuple[str, ...] = field(default=(), init=False, repr=False)
    """The leniencies, by name, that reading the reply needed and that are to be reported."""

    def __str__(self) -> str:
        """Return the command line with secrets masked, or the name of the step."""
        return self.what.value if isinstance(self.what, Step) else str(self.what)


@frozen
class Answer:
    """A reply, with the ledger entry that it answers."""

    sent: Sent
    reply: Reply
    leniencies: tuple[str, ...] = ()
    """The leniencies, by name, that reading the reply needed and that are to be reported."""


@frozen
class Unsolicited:
    """A 421 that answers no command: the server is closing the connection (RFC 5321 3.8)."""

    reply: Reply


ClientEvent = Answer | Unsolicited | Disconnected
"""What :meth:`.ClientProtocol.next_event` returns."""
