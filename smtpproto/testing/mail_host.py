"""Servers of a simulated internet that take mail, each with a behaviour of its own."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Collection, Mapping

from attrs import define, field, frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.dsn import Notify
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.reply import Reply
from ..limits import Limits, Timeouts
from ..server.config import ServerConfig
from ..server.handler import Handler, Session
from .scheduler import Scheduler
from .simulation import SimulatedHost

__all__ = ["Arrival", "Behaviour", "MailHost", "Record", "Submission", "key_of"]

_KEY = re.compile(
    rb"^(?:X-Key: *([!-~]+)|In-Reply-To: <([!-~]+)@client\.invalid>| Report-ID: <([!-~]+)>)",
    re.MULTILINE,
)

SERVICE_CLOSING = Reply(421, "4.3.2", "Too many messages on this connection")
FULL = Reply(452, "4.3.1", "Insufficient system storage")
BUSY = Reply(450, "4.2.1", "The mailbox is busy")
NO_MAILBOX = Reply(550, "5.1.1", "No such mailbox here")
NOT_WANTED = Reply(554, "5.7.1", "This message is not wanted here")


def key_of(content: bytes) -> str:
    """Return the key of the message *content*, or of the one that this report is about: what
    :meth:`.Internet.submit` has named it. That of a daily report is its id. "" if it has none."""
    found = _KEY.search(content)
    return "" if found is None else (found[1] or found[2] or found[3]).decode()


@frozen(kw_only=True)
class Submission:
    """A message that a client has handed over to an agent."""

    key: str
    sender: str
    recipients: tuple[str, ...]
    """Those that were accepted."""
    notify: frozenset[Notify] | None
    parameters: MailParameters
    content: bytes
    at: float
    """Seconds since the epoch."""


@frozen(kw_only=True)
class Arrival:
    """A message that a host has accepted."""

    at: float
    """Seconds since the epoch."""
    host: str
    """The name of the host."""
    peer: tuple[str, int]
    """Address and port of the client."""
    envelope: Envelope
    content: bytes

    @property
    def key(self) -> str:
        """What names the message: see :func:`key_of`."""
        return key_of(self.content)

    @property
    def is_report(self) -> bool:
        """Whether it is a delivery report."""
        is_report = b"report-type=delivery-status" in self.content
        return is_report and self.envelope.sender.mailbox is None


@define(eq=False)
class Record:
    """What really happened in a simulation, which no agent can know."""

    arrivals: list[Arrival] = field(factory=list)
    """In mailboxes, in order."""
    doubts: Counter[str] = field(factory=Counter)
    """By the key of a message: how often its client could not know whether it was accepted."""
    crashes: Counter[str] = field(factory=Counter)
    """By the name of the host."""

    @property
    def delivered(self) -> Counter[tuple[str, str]]:
        """How many copies arrived, by the key of a message and the address of a recipient; without
        reports."""
        return Counter(
            (arrival.key, str(path))
            for arrival in self.arrivals
            if not arrival.is_report
            for path in arrival.envelope.recipients
        )


@frozen(kw_only=True)
class Behaviour:
    """How a host treats its clients. A share is a number from 0 to 1."""

    refuses: Reply | None = None
    """The greeting to all clients, in place of 220."""
    full: float = 0.0
    """The share of MAIL commands refused with 452."""
    busy: float = 0.0
    """The share of recipients refused with 450."""
    greylists: float = 0.0
    """Seconds for which a client that sends from a sender to a recipient for the first time is
    refused with 451, which says so."""
    unknown: Collection[str] = ()
    """The local parts of recipients refused with 550."""
    unwanted: float = 0.0
    """The share of messages refused with 554 at their end."""
    slow_end: float = 0.0
    """Seconds before the reply to the end of a message."""
    lost_replies: float = 0.0
    """The share of accepted messages after which the connection breaks, before the reply."""
    messages: int | None = None
    """The messages of a connection; 421 to the next. None: no limit."""
    limits: Limits = field(factory=Limits)
    """Of the server; LIMITS announces some."""
    context: ssl.SSLContext | None = None
    """For STARTTLS; with a context that has no certificate, handshakes fail. None: no STARTTLS."""
    extensions: Mapping[str, str | None] = field(factory=dict)
    """More keywords to offer, and those not to offer: see :class:`.ServerConfig`."""


@define(eq=False)
class MailHost:
    """A server with mailboxes for whatever it is sent."""

    name: str
    machine: SimulatedHost
    record: Record
    behaviour: Behaviour = field(factory=Behaviour)
    """It may be replaced at any time."""
    open: Counter[str] = field(factory=Counter, init=False)
    """Sessions at present, by the address of the client."""
    most_open: Counter[str] = field(factory=Counter, init=False)
    """The most at the same time, since the start."""
    _seen: dict[tuple[str, str, str], float] = field(factory=dict, init=False)  # for greylisting

    def start(self) -> None:
        """Listen on port 25."""
        behaviour = self.behaviour
        config = ServerConfig(
            hostname=self.name,
            limits=behaviour.limits,
            timeouts=Timeouts(hook=None),
            context=behaviour.context,
            extensions=behaviour.extensions,
        )
        self.machine.listen(25, lambda: _Session(self), config)

    @property
    def _dice(self) -> _Dice:
        """Decides by the seed of the simulation."""
        return _Dice(self.machine._scheduler)

    def greylisted(self, peer: str, sender: ReversePath, recipient: ForwardPath) -> Reply | None:
        """Return the refusal of a client that has not waited long enough."""
        wait = self.behaviour.greylists
        if not wait:
            return None
        now = self.machine.now()
        first = self._seen.setdefault((peer, sender.canonical, recipient.canonical), now)
        if (left := first + wait - now) <= 0:
            return None
        return Reply(451, "4.7.1", f"Greylisted, please try again in {left:.0f} seconds")

    def accept(self, session: Session, envelope: Envelope, content: bytes) -> None:
        """Keep a message; perhaps the connection breaks then."""
        arrival = Arrival(
            at=self.machine.utc(),
            host=self.name,
            peer=session.peer,
            envelope=envelope,
            content=content,
        )
        self.record.arrivals.append(arrival)
        if self._dice.comes_up(self.behaviour.lost_replies):
            self.machine.cut(session.peer)


@frozen
class _Dice:
    """The dice of a simulation."""

    _scheduler: Scheduler

    def comes_up(self, share: float) -> bool:
        """Return whether something happens that happens in *share* of all cases."""
        return share > 0 and self._scheduler.dice.random() < share


class _Session(Handler):
    """The hooks of one connection."""

    def __init__(self, host: MailHost) -> None:
        self._host = host
        self._sender = ReversePath(None)
        self._messages = 0
        self._peer = ""

    def connect(self, session: Session) -> Reply | None:
        host, self._peer = self._host, session.peer[0]
        host.open[self._peer] += 1
        host.most_open[self._peer] = max(host.most_open[self._peer], host.open[self._peer])
        return host.behaviour.refuses

    def close(self, session: Session) -> None:
        self._host.open[self._peer] -= 1

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        behaviour, self._sender = self._host.behaviour, sender
        if behaviour.messages is not None and self._messages >= behaviour.messages:
            return SERVICE_CLOSING
        return FULL if self._host._dice.comes_up(behaviour.full) else None

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        host = self._host
        if recipient.local_part in host.behaviour.unknown:
            return NO_MAILBOX
        if host._dice.comes_up(host.behaviour.busy):
            return BUSY
        return host.greylisted(session.peer[0], self._sender, recipient)

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        host = self._host
        if host.behaviour.slow_end:
            await host.machine.sleep(host.behaviour.slow_end)
        if host._dice.comes_up(host.behaviour.unwanted):
            return NOT_WANTED
        self._messages += 1
        host.accept(session, envelope, body)
        return None
