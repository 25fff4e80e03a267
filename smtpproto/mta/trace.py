"""What a message carries of its way, and how a loop shows there: Received, Return-Path and
Delivered-To (RFC 5321 4.4 and 6.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from attrs import field, frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.domain import HelloHost, Host, to_ascii_host
from ..grammar.envelope import Envelope
from ..grammar.pattern import pattern
from ..grammar.reply import Reply
from ..mail.trace_fields import Received, return_path
from ..option_types import checked

__all__ = [
    "MAX_HOPS", "TOO_MANY_HOPS", "Client", "Hops", "Tracer", "delivered_to", "delivery_fields",
    "received_from",
]  # fmt: skip

MAX_HOPS = 100
"""The most Received fields of a message that is not in a loop (RFC 5321 6.3)."""
TOO_MANY_HOPS = Reply(554, "5.4.6", "Too many hops: the message seems to be in a loop")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_LINE = 1024  # octets of a line of the header that are looked at
_FIELD = pattern(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_BLANK = r"(?:\r\n)?[ \t]+"
_FIRST = pattern(
    rf"Received:{_BLANK}from{_BLANK}([^\s()<>;]+)(?:{_BLANK}\((\[[^\s()\[\]]+\])\))?"
    rf"{_BLANK}by{_BLANK}([^\s()<>;]+)".encode(),
    re.IGNORECASE,
)


class _TLS(Protocol):
    @property
    def cipher(self) -> str: ...


class Client(Protocol):
    """What is known of the client that sent a message, as the session of a server has it."""

    @property
    def peer(self) -> tuple[str, int]: ...
    @property
    def hello(self) -> HelloHost | None: ...
    @property
    def extended(self) -> bool: ...
    @property
    def tls(self) -> _TLS | None: ...
    @property
    def user(self) -> str | None: ...
    @property
    def lmtp(self) -> bool: ...


@checked
@frozen(kw_only=True)
class Tracer:
    """Writes the Received fields of one server: ``Tracer(hostname="mx.example.org")``."""

    hostname: Host = field(converter=to_ascii_host)
    """The name of this server."""
    zone: tzinfo = UTC
    """The local time, in which the field is written (RFC 5321 4.4)."""

    def received(self, client: Client, envelope: Envelope, *, now: float, queue_id: str) -> bytes:
        """Return the field for a message that *client* has sent, with its CRLF.

        *now* is in seconds since the epoch, *queue_id* the id of the message. A recipient is named
        only if there is no other: the field must not tell one recipient of the others (RFC 5321
        7.2).
        """
        only, *more = envelope.recipients
        utf8 = envelope.parameters.smtputf8
        received = Received(
            hello=client.hello,
            peer=client.peer[0],
            by=self.hostname,
            when=(_EPOCH + timedelta(seconds=int(now))).astimezone(self.zone),
            extended=client.extended,
            lmtp=client.lmtp,
            secure=client.tls is not None,
            authenticated=client.user is not None,
            utf8=utf8,
            cipher="" if client.tls is None else client.tls.cipher,
            id=queue_id,
            recipient=only if not more and (only.isascii or utf8) else None,
            priority=envelope.parameters.mt_priority,
        )
        return bytes(received)


def delivery_fields(sender: ReversePath, recipient: ForwardPath) -> bytes:
    """Return the fields that final delivery puts before a message: Return-Path (RFC 5321 4.4), and
    Delivered-To (RFC 9228), by which :class:`Hops` finds a loop of forwarding."""
    return return_path(sender) + delivered_to(recipient)


def delivered_to(recipient: ForwardPath) -> bytes:
    """Return the field that says that a message was delivered to *recipient* (RFC 9228)."""
    return b"Delivered-To: " + str(recipient).encode() + b"\r\n"


class Hops:
    """Counts the hops of a message, from content that arrives in slices with CRLF line ends.

    It looks only at the header section, and changes nothing. Its memory is bounded.
    """

    def __init__(self, most: int = MAX_HOPS) -> None:
        self.most: int = most
        """The Received fields that a message may have."""
        self.received: int = 0
        """Received fields so far."""
        self.delivered_to: set[str] = set()
        """The values of the first Delivered-To fields, at most *most*."""
        self.ended: bool = False
        """Whether the end of the header section was reached."""
        self._line = bytearray()
        self._in_field = False

    @property
    def too_many(self) -> bool:
        """Whether the message seems to be in a loop: see :data:`TOO_MANY_HOPS`."""
        return self.received > self.most

    def delivered(self, recipient: ForwardPath) -> bool:
        """Return whether the message was delivered to *recipient* before, which is a loop."""
        return any(recipient == address for address in self.delivered_to)

    def feed(self, data: bytes) -> None:
        """Read the next slice."""
        at = 0
        while not self.ended and at < len(data):
            end = data.find(b"\n", at) + 1
            room = _MAX_LINE - len(self._line)
            self._line += data[at : min(end or len(data), at + room)]
            at = end or len(data)
            if end:
                self._take_line(bytes(self._line).rstrip(b"\r\n"))
                self._line.clear()

    def _take_line(self, line: bytes) -> None:
        """Count the field that begins with *line*."""
        if line[:1] in (b" ", b"\t") and self._in_field:
            return
        found = _FIELD.fullmatch(line)
        self.ended = found is None
        self._in_field = True
        name = b"" if found is None else found[1].lower()
        if name == b"received":
            self.received += 1
        elif found is not None and name == b"delivered-to" and len(self.delivered_to) < self.most:
            self.delivered_to.add(found[2].decode("utf-8", "replace").strip())


def received_from(content: bytes, by: Host) -> str:
    """Return the client that the first field of *content* names, if this server, *by*, wrote it:
    ``mail.example ([192.0.2.1])``, as a report has it (RFC 3464 2.2.4). Return "" otherwise."""
    found = _FIRST.match(content[: 4 * _MAX_LINE])
    if found is None or by != found[3].decode("utf-8", "replace"):
        return ""
    name = found[1].decode("ascii", "backslashreplace")
    return name if found[2] is None else f"{name} ({found[2].decode('ascii', 'backslashreplace')})"
