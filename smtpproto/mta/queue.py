"""What is in the queue: messages, and for each recipient a delivery."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import evolve, field, frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.reply import Reply

__all__ = [
    "Attempt", "Delivery", "Forwarding", "Message", "Result", "State", "envelope_of", "make_id",
    "time_of_id",
]  # fmt: skip

MAX_LOG = 20  # attempts that a delivery remembers
MAX_SAID = 2000  # characters of a reply or an error that an attempt remembers

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # base32 without letters that look like digits
_TIME, _RANDOM, _DIGITS = 48, 80, 26  # bits, bits, characters


def make_id(now: float, random: bytes) -> str:
    """Return an id of 26 letters and digits: ids sort by time, and nobody can guess them.

    *now* is in seconds since the epoch; *random* is 10 octets.
    """
    number = (int(now * 1000) % (1 << _TIME)) << _RANDOM | int.from_bytes(random[:10])
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_DIGITS - 1), -1, -5))


def time_of_id(name: str) -> float | None:
    """Return when :func:`make_id` made *name*, to the millisecond; None if it did not."""
    if len(name) != _DIGITS or not set(name) <= set(_ALPHABET):
        return None
    number = 0
    for digit in name:
        number = number << 5 | _ALPHABET.index(digit)
    return (number >> _RANDOM) / 1000


@frozen(kw_only=True)
class Message:
    """A message in the queue, without its content and its recipients."""

    id: str
    sender: ReversePath
    parameters: MailParameters = NO_MAIL_PARAMETERS
    """The parameters of MAIL, as they were received."""
    size: int
    """Octets of the content, with the trace fields that were put before it."""
    arrived: float
    """Seconds since the epoch, like all times here."""
    expires: float
    """When the sender is told that it could not be delivered."""
    not_before: float = 0
    """When it may be delivered at the earliest (RFC 4865)."""
    origin: str = ""
    """Whose message it is, for a fair share of the queue: a login, or a network."""
    client: str = ""
    """The connection over which it arrived: address and port of the client, as the log of the
    server has them, and who logged in (``192.0.2.7, 50123, user ann``). "" for a message of this
    program."""
    authenticated: bool = False
    """Whether its sender logged in, or is trusted otherwise. Only they get reports of success."""
    tls_optional: bool = False
    """Whether its header says ``TLS-Required: No`` (RFC 8689 5)."""


class State(enum.Enum):
    """What a delivery waits for. One that has come to its end is not in the queue."""

    WAITING = "waiting"
    """For its time."""
    LEASED = "leased"
    """A worker delivers it now."""
    HELD = "held"
    """A rule or a person holds it, until it is released."""


class Forwarding(enum.Enum):
    """What aliases have made of a recipient."""

    NONE = ""
    """The message goes to it from its own sender."""
    FORWARDED = "forwarded"
    """It is elsewhere, and the message goes there from the SRS address of its sender."""
    EXPANDED = "expanded"
    """It stands for several others, which have deliveries of their own. Nothing is sent; the sender
    has asked to be told of it."""
    LOOP = "loop"
    """It leads back to itself, here or over other hosts, so it is refused."""
    UNKNOWN = "unknown"
    """It stands for nobody, so it is refused."""


class Result(enum.Enum):
    """How an attempt ended for one recipient."""

    RELAYED = "relayed"
    """The next hop has accepted the message."""
    DELIVERED = "delivered"
    """It is in a mailbox here, or a server for LMTP has put it there."""
    EXPANDED = "expanded"
    """It was sent on to the several addresses for which the recipient stands."""
    REFUSED = "refused"
    """By a reply, which says whether for good."""
    UNREACHED = "unreached"
    """Before any reply about the recipient: no host, no connection, no TLS, no login."""
    UNKNOWN = "unknown"
    """The connection was lost after the end of the message: it may have been accepted."""


def _cut(reply: Reply | None) -> Reply | None:
    if reply is None or sum(map(len, reply.lines)) + len(reply.lines) <= MAX_SAID:
        return reply
    return Reply(reply.code, reply.enhanced, reply.text[:MAX_SAID])


def _cut_text(text: str) -> str:
    return text[:MAX_SAID]


@frozen(kw_only=True)
class Attempt:
    """One attempt to deliver a message to one recipient."""

    at: float
    result: Result
    host: str = ""
    """The name of the next hop that was tried last; "" if there was none."""
    address: str = ""
    """Its IP address, or the path of its Unix socket."""
    tls: str = ""
    """The version of TLS and the cipher suite; "" without TLS."""
    reply: Reply | None = field(default=None, converter=_cut)
    """The reply that decided: to a command, or the one that a failure of this side amounts to. Of
    a long one, the first 2000 characters."""
    command: str = ""
    """The verb of the command that was refused, or ``end of data``; "" if there was none."""
    error: str = field(default="", converter=_cut_text)
    """What failed, for people; "" if a reply says it all. At most 2000 characters."""
    dsn: bool = False
    """Whether the next hop offers DSN, and so makes the reports itself (RFC 3461 5.2.1)."""
    deliver_by: bool = False
    """Whether it offers DELIVERBY, and so knows the time that BY sets (RFC 2852 4.1.4)."""
    seconds: float = 0
    """How long it took."""
    earlier: str = ""
    """What became of the hosts that were tried before in the same attempt, for people: a line for
    each."""


@frozen(kw_only=True)
class Delivery:
    """The delivery of one message to one recipient. *message* and *number* name it."""

    message: str
    number: int
    """The place among the recipients, from 0."""
    recipient: ForwardPath
    parameters: RcptParameters = NO_RCPT_PARAMETERS
    """The parameters of RCPT, as they were received."""
    due: float
    """The next attempt. While it is leased: the next one if the worker's process dies."""
    state: State = State.WAITING
    attempts: int = 0
    """How many were begun; it is counted before an attempt, so that a crash cannot hammer."""
    warned: bool = False
    """Whether the sender was told of the delay."""
    reason: str = ""
    """Why it is held."""
    via: tuple[ForwardPath, ...] = ()
    """The addresses whose aliases led to the recipient, first the one that the client has sent; at
    most 50. () if that is the recipient itself."""
    forwarding: Forwarding = Forwarding.NONE
    log: tuple[Attempt, ...] = ()
    """The last 20 attempts, the latest last."""

    @property
    def domain(self) -> str:
        """The domain of the recipient, in A-labels and lower case: "" for ``<Postmaster>``."""
        domain = self.recipient.domain
        return "" if domain is None else domain.canonical

    @property
    def last(self) -> Attempt | None:
        """The latest attempt that ended."""
        return self.log[-1] if self.log else None

    def leased(self, due: float) -> Delivery:
        """Return this delivery, leased for an attempt, which counts from now on."""
        return evolve(self, state=State.LEASED, attempts=self.attempts + 1, due=due)

    def tried(self, attempt: Attempt) -> Delivery:
        """Return this delivery with *attempt* in its log."""
        return evolve(self, log=(*self.log, attempt)[-MAX_LOG:])


def envelope_of(message: Message, deliveries: Sequence[Delivery]) -> Envelope:
    """Return the envelope that sends *message* to the recipients of *deliveries*."""
    return Envelope(
        message.sender,
        [delivery.recipient for delivery in deliveries],
        message.parameters,
        {delivery.recipient: delivery.parameters for delivery in deliveries},
    )
