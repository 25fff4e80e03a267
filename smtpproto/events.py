"""The events that the protocol machines report. On a server, commands are events themselves."""

from __future__ import annotations

from typing import TypeGuard

from attrs import field, frozen

from .client_events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from .grammar.command import Command, Noop, Quit, Rset
from .grammar.reply import Reply
from .grammar.secret import Secret

__all__ = [
    "Answer", "AuthResponse", "BodyChunk", "BodyEnd", "ChunkEnd", "ClientEvent", "Connected",
    "Disconnected", "Question", "Rejected", "Sent", "ServerEvent", "Step", "Tolerated",
    "Unsolicited", "is_question",
]  # fmt: skip


@frozen
class Connected:
    """A client has connected and waits for the greeting. Answer it: 220, 554 or 421."""

    early_talk: bool = False
    """Whether the client sent octets before the greeting (RFC 5321 4.3.1), as some spammers do."""


@frozen
class AuthResponse:
    """The client's next response in a SASL exchange. Answer it, in the same way as Auth."""

    response: Secret
    """The response, decoded from base64."""


@frozen
class BodyChunk:
    """A slice of content, at most 128 KiB, with dot-stuffing removed. It needs no answer."""

    data: bytes = field(repr=lambda data: f"<{len(data)} octets>")


@frozen
class ChunkEnd:
    """A BDAT chunk, but not the last one, was read. Answer it; a refusal fails the transaction."""

    size: int
    """The size of this chunk, in octets."""


@frozen
class BodyEnd:
    """The whole content was read. Answer it; with 250 the server takes responsibility for the
    message. In LMTP answer once for each recipient, in their order (RFC 2033 4.2)."""

    size: int
    """The size of the content, in octets (RFC 1870 5)."""


@frozen
class Tolerated:
    """The command, or the content that ended, in the next event needed a leniency. It needs no
    answer."""

    leniencies: tuple[str, ...]
    """The names of attributes of :class:`~smtpproto.limits.Leniencies`."""
    line: str
    """The command line, escaped, with secrets masked; "" for content."""


@frozen
class Rejected:
    """The machine itself refused a command or a message. It needs no answer."""

    line: str
    """The refused line, escaped, with secrets masked; "" for a message."""
    reply: Reply
    """The reply that the machine sends."""


Question = Connected | Command | AuthResponse | ChunkEnd | BodyEnd
"""The server events that must be answered before the machine returns the next one. The commands
RSET, NOOP and QUIT are not questions, although they are events: see :func:`is_question`."""

ServerEvent = Question | BodyChunk | Tolerated | Rejected | Disconnected
"""What :meth:`.ServerProtocol.next_event` returns."""


ANSWERED_BY_MACHINE = frozenset({Rset, Noop, Quit})
"""The commands that the server machine answers itself. All others are questions, also an
application's own."""

NOT_QUESTIONS: frozenset[type[object]] = ANSWERED_BY_MACHINE | {
    BodyChunk,
    Tolerated,
    Rejected,
    Disconnected,
    type(None),
}
"""The types of events that need no answer."""


def is_question(event: ServerEvent | None) -> TypeGuard[Question]:
    """Return whether *event* must be answered before the server machine returns the next one."""
    return type(event) not in NOT_QUESTIONS
