"""What the machines report. On the server's side, commands are events themselves."""

from __future__ import annotations

import enum

from attrs import field, frozen

from ..grammar.command import (
    Auth,
    Command,
    Data,
    Ehlo,
    Expn,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTLS,
    Vrfy,
)
from ..grammar.reply import Reply
from ..secret import Secret


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
class BodyEnd:
    """The whole content was read. To be answered: with 250 the message is the server's duty."""

    size: int
    """Octets of content (RFC 1870 5)."""


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

    def __str__(self) -> str:
        """The command line, secrets masked, or the name of the step."""
        return self.what.value if isinstance(self.what, Step) else str(self.what)


@frozen
class Answer:
    """The reply to something sent."""

    sent: Sent
    reply: Reply


@frozen
class Unsolicited:
    """A 421 that answers nothing: the server is closing the connection (RFC 5321 3.8)."""

    reply: Reply


ServerEvent = (
    Connected | Ehlo | Mail | Rcpt | Data | Rset | Noop | Quit | Vrfy | Expn | Help
    | StartTLS | Auth | AuthResponse | BodyChunk | BodyEnd | Rejected | Disconnected
)  # fmt: skip
Question = (
    Connected | Ehlo | Mail | Rcpt | Data | Vrfy | Expn | Help
    | StartTLS | Auth | AuthResponse | BodyEnd
)  # fmt: skip
"""The events of a server that must be answered before the next is given. Helo is an Ehlo."""

ClientEvent = Answer | Unsolicited | Disconnected
