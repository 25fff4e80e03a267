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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from ..client.config import ClientConfig
from ..client.connection import open_client
from ..dns import MX, Kind
from ..errors import RemoteProtocolError, SendRefused, TransportError
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.dsn import Notify
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..mail import Source
from ..mta.exchangers import Self
from ..mta.queue import Delivery, Message, envelope_of
from ..mta.route import Direct, Local, Route
from ..server.config import ServerConfig, ServerOptions
from ..transfer.assembly import MTAConfig, MTAOptions
from ..transfer.intake import Intake
from ..transfer.receive import EXTENSIONS, Receiver
from .fault_points import SimulationOptions
from .mail_host import Arrival, Behaviour, MailHost, Record, Submission
from .mail_laws import Evidence
from .simulated_mta import MTAQueue, SimulatedMTA
from .simulation import CLIENT, SimulatedHost, Simulation
from .zone import Zone

__all__ = [
    "Arrival", "Behaviour", "Internet", "MTAQueue", "MailHost", "Record", "SimulatedMTA",
    "Submission",
]  # fmt: skip

HOUR, DAY = 3600.0, 86400.0

_STEP = HOUR / 2  # between two looks whether all is delivered
_AGAIN = 300.0  # seconds after which a client that could not hand over its message tries again
_TIMES = 1500  # that it tries: for five days
_ROUTES = {"*": Direct()}
_SERVER = ServerOptions()
_NO_PARAMETERS = MailParameters()
_NETWORK = "198.18.0.0/15"  # of all hosts (RFC 2544)


class Internet(Simulation):
    """A :class:`.Simulation` with names, mail hosts and mail agents."""

    def __init__(self, seed: int, **options: Unpack[SimulationOptions]) -> None:
        super().__init__(seed, **options)
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
        self.client: ClientConfig = ClientConfig(hello="client.invalid")
        """The options of the clients that submit messages."""
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
        crash_rate: float = 0.0,
        receiver: Callable[[Intake], Receiver] = Receiver,
        server: ServerOptions = _SERVER,
        **options: Unpack[MTAOptions],
    ) -> SimulatedMTA:
        """Add a host with a mail agent, and its name to the zone.

        *routes*, *receiver* and *options* are those of an MTA: see :class:`.MTAConfig`; *server*
        are those of its ``serve``. By default it takes mail for all domains from all hosts, and
        sends it where the DNS says. Its process dies at a share *crash_rate* of the writes of its
        queue.
        """
        machine = self.host(self._new_address(name))
        itself = Self(names=[name], addresses=[machine.address])
        config: Any = {"itself": itself, "relay_from": [CLIENT, _NETWORK], **options}
        serve: Any = {"hostname": name, **server}
        serve["extensions"] = {**EXTENSIONS, **server.get("extensions", {})}
        mta = SimulatedMTA(
            machine,
            MTAConfig(hostname=name, routes=routes, **config),
            options.get("resolver") or self.zone,
            self.record,
            receiver,
            ServerConfig(**serve),
        )
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
        address = f"198.18.{number // 250}.{number % 250 + 1}"  # of _NETWORK
        self.zone.records[name] = {Kind.A: [address]}
        self._names[name] = self.host(address)
        return address

    # -- what happens ------------------------------------------------------------------------

    async def submit(  # noqa: PLR0913 - a message has that many parts
        self,
        mta: SimulatedMTA,
        key: str,
        sender: str,
        recipients: Iterable[str],
        *,
        notify: frozenset[Notify] | None = None,
        parameters: MailParameters = _NO_PARAMETERS,
        text: str = "hello",
    ) -> None:
        """Hand a message over to *mta*, as a client does that tries until it is accepted.

        *key* names the message; "" as *sender* is the null sender. *notify* is for each recipient.
        """
        paths = [ForwardPath(Mailbox.parse(recipient)) for recipient in recipients]
        of_each = {path: RcptParameters(notify=notify) for path in paths} if notify else {}
        path = ReversePath(Mailbox.parse(sender) if sender else None)
        envelope = Envelope(path, paths, parameters, of_each)
        head = f"From: <{sender or 'nobody@invalid'}>\r\nMessage-ID: <{key}@client.invalid>\r\n"
        content = f"{head}X-Key: {key}\r\n\r\n{text}\r\n".encode()
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
            parameters=parameters,
            content=content,
            at=self.utc(),
        )
        self.submissions.append(submission)

    async def _send(
        self, mta: SimulatedMTA, key: str, envelope: Envelope, content: bytes
    ) -> Sequence[ForwardPath]:
        """Return the recipients for whom *mta* has accepted a message; after some days, none."""
        for _ in range(_TIMES):
            try:
                client = await open_client(self, mta.name, 25, self.client)
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
        return []

    async def until_delivered(self, *, days: float) -> None:
        """Wait until all queues are empty, at most *days*; then stop all agents."""
        end = self.now() + days * DAY
        while self.now() < end and not self.is_calm:
            await self.sleep(min(_STEP, end - self.now()))
        for mta in self.mtas.values():
            mta.stop()

    def check(self) -> None:
        """Raise AssertionError if a law of mail agents was broken: see :class:`.Evidence`."""
        hosts, mtas = [*self.mail_hosts.values()], [*self.mtas.values()]
        Evidence(self.record, mtas, hosts, self.submissions).check()

    @property
    def is_calm(self) -> bool:
        """Whether all queues are empty, and no client tries to hand over a message."""
        return not self._submitting and all(mta.queue.is_empty for mta in self.mtas.values())
