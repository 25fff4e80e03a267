"""What the machines report. On the server's side, commands are events themselves."""

from __future__ import annotations

import enum
from typing import TypeGuard

from attrs import field, frozen

from .grammar.address import ForwardPath
from .grammar.command import Command, Noop, Quit, Rset
from .grammar.reply import Reply
from .grammar.secret import Secret

__all__ = [
    "Answer",
    "AuthResponse",
    "BodyChunk",
    "BodyEnd",
    "ChunkEnd",
    "ClientEvent",
    "Connected",
    "Disconnected",
    "Question",
    "Rejected",
    "Sent",
    "ServerEvent",
    "Step",
    "Tolerated",
    "Unsolicited",
    "asks",
]


@frozen
class Connected:
    """A client is there and waits for the greeting. To be answered: 220, 554 or 421."""

    early_talk: bool = False
    """Octets came before the greeting, as some abusers send them (RFC 5321 4.3.1)."""


@frozen
class AuthResponse:
    """The client's next response in a SASL exchange, decoded. To be answered as Auth is."""

    response: Secret


@frozen
class BodyChunk:
    """A slice of content, at most 64 KiB, dots removed. Not to be answered."""

    data: bytes = field(repr=lambda data: f"<{len(data)} octets>")


@frozen
class ChunkEnd:
    """All octets of a BDAT but the last one were read. To be answered; no means: none of it."""

    size: int
    """Octets of this chunk."""


@frozen
class BodyEnd:
    """The whole content was read. To be answered: with 250 the message is the server's duty. In
    LMTP to be answered once for each recipient, in their order (RFC 2033 4.2)."""

    size: int
    """Octets of content (RFC 1870 5)."""


@frozen
class Tolerated:
    """The command that is the next event took a leniency. Not to be answered."""

    leniencies: tuple[str, ...]
    """Names of :class:`~smtpproto.limits.Leniencies`."""
    line: str
    """The line as it may be shown."""


@frozen
class Rejected:
    """The machine refused something by itself. Not to be answered."""

    line: str
    """What was refused, as it may be shown; "" for a message."""
    reply: Reply


@frozen
class Disconnected:
    """The end. On a client's side *unanswered* are the steps whose outcome is not known."""

    unanswered: tuple[Sent, ...] = ()


class Step(enum.Enum):
    """What a server answers besides commands."""

    GREETING = "greeting"
    AUTH_RESPONSE = "AUTH response"
    BODY_END = "end of data"


@frozen(eq=False)
class Sent:
    """An entry of the client's ledger: something sent that awaits its one reply."""

    what: Command | Step
    octets: int = 0
    recipient: ForwardPath | None = None
    """In LMTP, whose reply to the message this is."""

    def __str__(self) -> str:
        """The command line, secrets masked, or the name of the step."""
        return self.what.value if isinstance(self.what, Step) else str(self.what)


@frozen
class Answer:
    """The reply to something sent. *leniencies* are those it took, to be reported."""

    sent: Sent
    reply: Reply
    leniencies: tuple[str, ...] = ()


@frozen
class Unsolicited:
    """A 421 that answers nothing: the server is closing the connection (RFC 5321 3.8)."""

    reply: Reply


Question = Connected | Command | AuthResponse | ChunkEnd | BodyEnd
"""The events of a server that must be answered before the next is given. Of the commands, RSET,
NOOP and QUIT are none: see :func:`asks`."""

ServerEvent = Question | BodyChunk | Tolerated | Rejected | Disconnected
ClientEvent = Answer | Unsolicited | Disconnected


UNASKED = (Rset, Noop, Quit)
"""The commands that need no decision."""

_QUESTIONS = (Command, Connected, AuthResponse, ChunkEnd, BodyEnd)  # quicker than the union


def asks(event: ServerEvent | None) -> TypeGuard[Question]:
    """Whether a server must answer *event* before the next is given."""
    return isinstance(event, _QUESTIONS) and not isinstance(event, UNASKED)
