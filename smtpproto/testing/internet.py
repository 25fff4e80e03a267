"""An internet of mail in memory: zones, hosts with behaviours, mail agents, crashes; one integer
reproduces a run.

::

    internet = Internet(seed=7)
    internet.mail_host("mx.example.org", Behaviour(greylists=300))
    internet.domain("example.org", "dead.example.org", "mx.example.org")
    mta = internet.mta("relay.example.net", crash_rate=0.01)

    async def scene() -> None:
        await internet.submit(mta, "first", "ann@example.net", ["bob@example.org"])
        await internet.until_delivered(days=5)

    internet.run(scene())
    assert [arrival.key for arrival in internet.record.arrivals] == ["first"]
    internet.check()

Days pass in seconds. The names of hosts are looked up in :attr:`Internet.zone`, whose moods make
the DNS slow, failing or bogus; :attr:`.SimulatedHost.faults` break networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from ..client.config import ClientConfig
from ..client.connection import open_client
from ..dns import MX, Kind
from ..errors import RemoteProtocolError, SendRefused, TransportError
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.dsn import Notify
from ..grammar.envelope import Envelope
from ..grammar.parameters import RcptParameters
from ..limits import ScheduleLimits
from ..mail import Source
from ..mta.queue import Delivery, Message, envelope_of
from ..mta.retry import RetrySchedule
from ..mta.route import Direct, Local, Route
from .mail_host import Arrival, Behaviour, MailHost, Record
from .mail_laws import Evidence
from .simulated_mta import MTAQueue, SimulatedMTA
from .simulation import SimulatedHost, Simulation
from .zone import Zone

__all__ = [
    "Arrival", "Behaviour", "Internet", "MTAQueue", "MailHost", "Record", "SimulatedMTA",
    "Submission",
]  # fmt: skip

HOUR, DAY = 3600.0, 86400.0

_STEP = HOUR / 2  # between two looks whether all is delivered
_AGAIN = 300.0  # seconds after which a client that could not hand over its message tries again
_SCHEDULE = RetrySchedule()
_LIMITS = ScheduleLimits()
_ROUTES = {"*": Direct()}


@frozen(kw_only=True)
class Submission:
    """A message that a client has handed over to an agent."""

    key: str
    sender: str
    recipients: tuple[str, ...]
    """Those that were accepted."""
    notify: frozenset[Notify] | None
    at: float
    """Seconds since the epoch."""


class Internet(Simulation):
    """A :class:`.Simulation` with names, mail hosts and mail agents."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.zone: Zone = Zone({}, self)
        """The DNS. Records and moods may be changed at any time."""
        self.record: Record = Record()
        """What has happened."""
        self.mail_hosts: dict[str, MailHost] = {}
        """By name."""
        self.mtas: dict[str, SimulatedMTA] = {}
        """By name."""
        self.submissions: list[Submission] = []
        """In the order in which they were accepted."""
        self._submitting = 0
        self._names: dict[str, SimulatedHost] = {}

    # -- what there is -----------------------------------------------------------------------

    def mail_host(self, name: str, behaviour: Behaviour | None = None) -> MailHost:
        """Add a host with mailboxes for all addresses, and its name to the zone."""
        machine = self.host(self._new_address(name))
        host = MailHost(name, machine, self.record, behaviour or Behaviour())
        self.mail_hosts[name] = host
        host.start()
        return host

    def mta(
        self,
        name: str,
        routes: Mapping[str, Route] = _ROUTES,
        *,
        schedule: RetrySchedule = _SCHEDULE,
        limits: ScheduleLimits = _LIMITS,
        crash_rate: float = 0.0,
    ) -> SimulatedMTA:
        """Add a host with a mail agent, and its name to the zone.

        *routes* are those of :class:`.Routes`; by default all mail goes where the DNS says. Its
        process dies at a share *crash_rate* of the writes of its queue.
        """
        machine = self.host(self._new_address(name))
        mta = SimulatedMTA(name, machine, self.zone, routes, self.record, schedule, limits)
        mta.queue.crash_rate = crash_rate
        self.mtas[name] = mta
        mta.start()
        return mta

    def mailboxes(self, host: str) -> Local:
        """Return a route into mailboxes of the agent on *host*: what it is given has arrived."""

        def deliver(message: Message, deliveries: Sequence[Delivery], content: Source) -> None:
            assert isinstance(content, bytes)
            arrival = Arrival(
                at=self.utc(),
                host=host,
                peer=("", 0),
                envelope=envelope_of(message, deliveries),
                content=content,
            )
            self.record.arrivals.append(arrival)

        return Local(deliver)

    def domain(self, name: str, *hosts: str | Sequence[str]) -> None:
        """Add a domain whose mail the *hosts* take, the first of them first; those in one sequence
        have the same preference. No host is a null MX (RFC 7505)."""
        records = [
            MX(10 * place, host)
            for place, group in enumerate(hosts, 1)
            for host in ([group] if isinstance(group, str) else group)
        ]
        self.zone.records[name] = {Kind.MX: records or [MX(0, "")]}

    def find(self, host: str) -> SimulatedHost | None:
        """Return the host with the address or the name *host*."""
        return super().find(host) or self._names.get(host)

    def _new_address(self, name: str) -> str:
        number = len(self.hosts)
        address = f"198.18.{number // 250}.{number % 250 + 1}"  # of simulated_mta.ADDRESSES
        self.zone.records[name] = {Kind.A: [address]}
        self._names[name] = self.host(address)
        return address

    # -- what happens ------------------------------------------------------------------------

    async def submit(
        self,
        mta: SimulatedMTA,
        key: str,
        sender: str,
        recipients: Iterable[str],
        *,
        notify: frozenset[Notify] | None = None,
    ) -> None:
        """Hand a message over to *mta*, as a client does that tries until it is accepted.

        *key* names the message; "" as *sender* is the null sender.
        """
        paths = [ForwardPath(Mailbox.parse(recipient)) for recipient in recipients]
        parameters = {path: RcptParameters(notify=notify) for path in paths} if notify else {}
        path = ReversePath(Mailbox.parse(sender) if sender else None)
        envelope = Envelope(path, paths, rcpt_parameters=parameters)
        head = f"From: <{sender or 'nobody@invalid'}>\r\nMessage-ID: <{key}@client.invalid>\r\n"
        content = f"{head}X-Key: {key}\r\n\r\nhello\r\n".encode()
        self._submitting += 1
        try:
            accepted = await self._send(mta, key, envelope, content)
        finally:
            self._submitting -= 1
        submission = Submission(
            key=key,
            sender=sender,
            recipients=tuple(str(path) for path in accepted),
            notify=notify,
            at=self.utc(),
        )
        self.submissions.append(submission)

    async def _send(
        self, mta: SimulatedMTA, key: str, envelope: Envelope, content: bytes
    ) -> Sequence[ForwardPath]:
        """Return the recipients for whom *mta* has accepted a message."""
        while True:
            try:
                client = await open_client(self, mta.machine.address, 25, _CLIENT)
                async with client:
                    outcome = await client.send(content, envelope)
                if not outcome.unknown:
                    return [*outcome.accepted]
                self.record.doubts[key] += 1
            except SendRefused as error:
                if not error.outcome.retry:
                    return []
            except (TransportError, RemoteProtocolError):
                pass
            await self.sleep(_AGAIN)

    async def until_delivered(self, *, days: float) -> None:
        """Wait until all queues are empty, at most *days*; then stop all agents."""
        end = self.now() + days * DAY
        while self.now() < end and not self.is_calm:
            await self.sleep(min(_STEP, end - self.now()))
        for mta in self.mtas.values():
            mta.stop()

    def check(self) -> None:
        """Raise AssertionError if a law of mail agents was broken: see :class:`.Evidence`."""
        evidence = Evidence(self.record, [*self.mtas.values()], [*self.mail_hosts.values()])
        evidence.check()

    @property
    def is_calm(self) -> bool:
        """Whether all queues are empty, and no client tries to hand over a message."""
        return not self._submitting and all(mta.queue.is_empty for mta in self.mtas.values())


_CLIENT = ClientConfig(hello="client.invalid")
