"""A mail agent as a whole: its options, its parts, and what a program asks of it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypedDict

from attrs import Factory, asdict, define, evolve, field, frozen
from attrs.validators import ge

from ..dns import Resolver
from ..dns_cache import DNSCacheLimits
from ..filters import Filter, FilterFunction
from ..filters.message_filter import to_filters
from ..grammar.address import Mailbox
from ..grammar.domain import Host, to_ascii_host
from ..grammar.envelope import Envelope
from ..limits import ScheduleLimits
from ..mail import Source
from ..mail.header import header_fields
from ..mail.preparation import prepare
from ..mta.bounce import Reporter, ReportOptions
from ..mta.exchangers import Self
from ..mta.explain import explain
from ..mta.judge import Judge
from ..mta.retry import RetrySchedule
from ..mta.rewrite import NO_ALIASES, Aliases, AliasSource
from ..mta.route import Direct, Route, Routes
from ..mta.schedule import Schedule
from ..mta.srs import SRS
from ..mta.status import date_field
from ..mta.store import Entry, QueueStore, Selection
from ..mta.trace import MAX_HOPS, Tracer
from ..option_types import checked, require_resolver
from ..policy import DKIM, ARCSealer, DKIMSigner, Inspection
from ..ports import Runtime
from .agent import Agent
from .desk import Desk
from .dmarc_reports import DMARCReports
from .expansion import Recipients
from .guarding import Guarding
from .guards import Guards
from .intake import Intake, obeying_header
from .observed_store import Failures, Listener, observed, teller
from .receive import Receiver
from .relay import Relay, check_route
from .relaying import Relaying
from .reporting import DailyReports, ReportSchedule
from .tls_policies import TLSPolicies
from .tls_reports import TLSReports

__all__ = ["MTAConfig", "MTAOptions", "RunningMTA", "assemble"]

_FAILURES = 50  # that the status page shows
_DEFAULT_ROUTES: Mapping[str, Route] = {"*": Direct()}


class MTAOptions(TypedDict, total=False):
    """The keyword arguments of ``MTA``: see :class:`MTAConfig`."""

    by_sender: Mapping[str, Route]
    resolver: Resolver | None
    postmaster: Mailbox | str | None
    aliases: Aliases | AliasSource | None
    srs: SRS | None
    relay_from: Iterable[str]
    relay_for: Iterable[str]
    retry: RetrySchedule
    limits: ScheduleLimits
    reports: ReportOptions
    dns_cache: DNSCacheLimits
    max_hops: int
    itself: Self
    inspect: Inspection | None
    sign: DKIMSigner | DKIM | None
    seal: ARCSealer | DKIM | None
    filters: Iterable[Filter | FilterFunction]
    tls_policies: TLSPolicies
    daily_reports: DailyReports | None
    guards: Guards
    on_event: Listener | None
    grace: float


def _to_mailbox(value: Mailbox | str | None) -> Mailbox | None:
    return Mailbox.parse(value) if isinstance(value, str) else value


def _to_aliases(value: Aliases | AliasSource | None) -> Aliases:
    if value is None:
        return NO_ALIASES
    return value if isinstance(value, Aliases) else Aliases(value)


def _to_signer(value: DKIMSigner | DKIM | None) -> DKIMSigner | None:
    return DKIMSigner(value) if isinstance(value, DKIM) else value


def _to_sealer(value: ARCSealer | DKIM | None) -> ARCSealer | None:
    return ARCSealer(value) if isinstance(value, DKIM) else value


def _check_resolver(resolver: object) -> None:
    if resolver is not None:
        require_resolver(resolver)


@checked
@frozen(kw_only=True)
class MTAConfig(Relaying):
    """The options of an MTA. Each is a keyword argument of ``MTA``.

    Raises GrammarError for what is not a name or an address, TypeError and ValueError for other
    wrong values.
    """

    _called: ClassVar[str] = "MTA"

    hostname: Host = field(converter=to_ascii_host)
    """The name of this server: in greetings, in EHLO, in Received fields and in reports."""
    routes: Mapping[str, Route] = field(default=_DEFAULT_ROUTES)
    """Where mail goes, by the domain of the recipient: see :class:`.Routes`."""
    by_sender: Mapping[str, Route] = field(factory=dict)
    """Where mail goes, by the address or domain of its sender, if *routes* has nothing but ``*``
    for the recipient."""
    resolver: Resolver | None = None
    """Asks the DNS. None: dnspython asks the name servers of the system."""
    postmaster: Mailbox | None = field(default=None, converter=_to_mailbox)
    """Who gets the mail for the bare ``<Postmaster>``, which each server must accept (RFC 5321
    4.5.1), for the postmaster of *hostname*, and for those of local domains that have no mailbox
    for it: see :class:`.Local`. Reports name this address."""
    aliases: Aliases = field(default=None, converter=_to_aliases)
    """Which addresses here stand for others: a mapping, a function that may be ``async``, or
    :class:`.Aliases`."""
    srs: SRS | None = None
    """Rewrites the senders of what aliases forward to other hosts, and takes reports for them.
    None: they remain, and hosts that check SPF may refuse the mail."""
    retry: RetrySchedule = field(factory=RetrySchedule)
    """When to try again, when to give up, when to tell the sender."""
    limits: ScheduleLimits = field(factory=ScheduleLimits)
    """How much is done at the same time."""
    reports: ReportOptions = field(factory=ReportOptions)
    """How reports look, and who gets them."""
    dns_cache: DNSCacheLimits = field(factory=DNSCacheLimits)
    """How many answers of *resolver* are kept, and for how long."""
    max_hops: int = field(default=MAX_HOPS, validator=ge(1))
    """The Received fields of a message that is not in a loop."""
    itself: Self = field(
        default=Factory(lambda self: Self(names=[str(self.hostname)]), takes_self=True)
    )
    """The names and addresses by which this server finds itself among MX hosts: by default its
    name, and the addresses of the loopback."""
    inspect: Inspection | None = None
    """How messages are checked, by SPF, DKIM and DMARC, that come from clients which may not send
    to all recipients. None: they are not."""
    sign: DKIMSigner | None = field(default=None, converter=_to_signer)
    """Signs, by DKIM, what the program sends, what clients send that have logged in, and reports;
    :meth:`.Receiver.signs_for` decides on other clients. None: they are not signed."""
    seal: ARCSealer | None = field(default=None, converter=_to_sealer)
    """Seals (ARC) what *inspect* has checked and this server passes on to other hosts, so that they
    can know what was found. None: it is not sealed."""
    filters: tuple[Filter, ...] = field(default=(), converter=to_filters)
    """Asked in this order about each message that a client sends, after *inspect*: see
    ``smtpproto.filters``. What the program itself sends passes none."""
    tls_policies: TLSPolicies = field(factory=TLSPolicies)
    """The wishes of domains for TLS that count where mail goes by MX, and those of smart hosts:
    MTA-STS, DANE. By default none of them."""
    daily_reports: DailyReports | None = None
    """Who tells domains each day how TLS with their hosts worked (RFC 8460), and what *inspect* has
    found about their mail (RFC 9990). None: nobody does."""
    guards: Guards = field(default=Guards())
    """Limits on what is taken and sent, greylisting, and lists in the DNS. By default none."""
    on_event: Listener | None = None
    """Called with each :data:`.QueueEvent`, for example to count them. It must not wait."""
    grace: float = field(default=30.0, validator=ge(0))
    """Seconds that deliveries have to end when the MTA stops. What has not ended then is tried
    again after the next start."""

    def __attrs_post_init__(self) -> None:
        _check_resolver(self.resolver)
        self._check_relaying(self.make_routes())
        if self.seal is not None and self.inspect is None:
            raise ValueError("seal needs inspect: a seal tells what was found out")
        for route in self.every_route:
            check_route(route)
            own_rules = isinstance(route, Direct) and route.options.get("context") is not None
            if own_rules and self.tls_policies != TLSPolicies():
                text = "tls_policies do not go with Direct(context=...)"
                raise ValueError(f"{text}; use verify and certificate")

        if self.daily_reports is not None:
            domain = self.daily_reports.submitter
            if self.sign is None or not self.sign.keys_for(domain):  # RFC 8460 3, RFC 9990 3.5.2
                raise ValueError(f"daily_reports must be signed: sign needs a key for {domain!r}")

    def _check_relaying(self, routes: Routes) -> None:
        """Raise ValueError if mail that is taken for a domain of *relay_for* could go nowhere."""
        if self.by_sender or self.aliases.is_function:
            return
        for domain in self.relay_for.by_recipient:
            if domain not in self.aliases.domains and routes.destination(domain) is None:
                raise ValueError(f"relay_for has {domain!r}, which has no route; add it to routes")

    @property
    def every_route(self) -> Iterator[Route]:
        """All routes."""
        yield from self.routes.values()
        yield from self.by_sender.values()

    @property
    def needs_dns(self) -> bool:
        """Whether routes, policies or the checks of messages may have to ask the DNS."""
        is_direct = any(isinstance(route, Direct) for route in self.every_route)
        others = self.inspect, self.daily_reports
        asks = is_direct or others != (None, None) or bool(self.guards.lists)
        return asks or self.tls_policies != TLSPolicies()

    def make_routes(self) -> Routes:
        """Return *routes* and *by_sender*."""
        return Routes(self.routes, self.by_sender)


@define(eq=False)
class RunningMTA:
    """What a program asks of an MTA that runs. :func:`.running` makes it."""

    intake: Intake
    agent: Agent
    store: QueueStore
    runtime: Runtime
    config: MTAConfig
    reports: ReportSchedule
    relay: Relay
    _dmarc_reports: DMARCReports
    guarding: Guarding
    desk: Desk
    """Answers threads."""
    failures: Failures
    """The last of them, the latest last."""
    sessions: int = 0
    """How many clients have connected."""

    def receiver(self, kind: Callable[[Intake], Receiver]) -> Receiver:
        """Return the handler of a connection: what *kind* makes, with the guards before it."""
        self.sessions += 1
        return self.guarding.guard(kind(self.intake))

    async def send(self, message: Source, envelope: Envelope | None = None) -> str:
        """Put *message* into the queue, and return its id. It is durable then.

        Without *envelope*, the header makes one. A message without Date or Message-ID gets them.
        Raises GrammarError for a message or an address that is malformed, QueueFull and
        QueueFailed.
        """
        content, envelope = prepare(message, envelope, eight_bit=False)
        name, body = self.intake.new_id(), self.store.body()
        signer = self.intake.signer
        signing, header = None if signer is None else signer.start(), b""
        try:
            async with contextlib.aclosing(content.async_slices()) as slices:
                async for part in slices:
                    data = part
                    if not body.size:
                        header = part.partition(b"\r\n\r\n")[0]
                        data = self._missing_fields(part, name) + part
                    await body.write(data)
                    if signing is not None:
                        signing.feed(data)
            if signing is not None:
                await body.prepend(await signing.finish(now=self.runtime.utc()))
            its = obeying_header(self.intake.message(name, envelope, body.size), header)
            await self.intake.put(its, await self.intake.recipients.deliveries(its, envelope), body)
        finally:
            await body.discard()  # after put this does nothing
        return name

    async def send_report(self, message: bytes, recipients: Sequence[Mailbox]) -> None:
        """Like :meth:`send`, for a message to which nobody shall answer: it has no sender."""
        await self.send(message, Envelope("", recipients))

    def _missing_fields(self, first: bytes, name: str) -> bytes:
        """Return the fields that a message which begins with *first* lacks (RFC 5322 3.6)."""
        given = {it.name.lower() for it in header_fields(first)}
        fields = b""
        if "date" not in given:
            fields += f"Date: {date_field(self.runtime.utc())}\r\n".encode()
        if "message-id" not in given:
            fields += f"Message-ID: <{name}@{self.config.hostname}>\r\n".encode()
        return fields

    async def status(self, name: str) -> Entry | None:
        """Return what is known of the message *name*, or whose id begins so: each recipient with
        its attempts. None if the queue does not remember it."""
        found = await self.store.find(Selection(id=name), 1)
        return found[0] if found else None

    async def explain(self, name: str) -> str | None:
        """Return the story of the message *name* in words: what each host answered, what happens
        next and when. None if the queue does not remember it."""
        entry = await self.status(name)
        if entry is None:
            return None
        return explain(entry, self.runtime.utc(), self.config.retry, self.agent.trouble)

    def reload(self, config: MTAConfig, resolver: Resolver) -> None:
        """Use the options of *config* from now on: for new connections, and for what is in the
        queue. Only *on_event* stays.

        Raises ValueError, having changed nothing, if *hostname* or the store of guards is another.
        """
        if config.hostname != self.config.hostname:
            raise ValueError("hostname cannot change while the MTA runs; start it anew")
        if config.guards.store != self.config.guards.store:
            text = "the store of guards cannot change while the MTA runs; start it anew"
            raise ValueError(text)
        self.config = config
        self.relay.use(resolver, config.itself, config.tls_policies, config.srs)
        self.relay.reports.use(resolver, config.daily_reports)
        self._dmarc_reports.use(resolver, config.daily_reports, config.inspect)
        self.guarding.use(resolver, config.guards)
        self.reports.wake()
        routes = config.make_routes()
        judge = Judge(config.retry)
        self.agent.use(routes, _reporter_of(config), judge, config.limits, config.sign)
        options = _intake_options(self.runtime, config, resolver, routes)
        self.intake = evolve(self.intake, **options)


def _reporter_of(config: MTAConfig) -> Reporter:
    return Reporter(
        hostname=config.hostname,
        postmaster=config.postmaster,
        schedule=config.retry,
        **asdict(config.reports, recurse=False),
    )


def _intake_options(
    runtime: Runtime, config: MTAConfig, resolver: Resolver, routes: Routes
) -> dict[str, Any]:
    """Return the attributes of an :class:`.Intake` that :meth:`RunningMTA.reload` changes."""
    recipients = Recipients(
        runtime=runtime,
        hostname=config.hostname,
        routes=routes,
        relay_for=config.relay_for,
        postmaster=config.postmaster,
        aliases=config.aliases,
        srs=config.srs,
    )
    return {
        "recipients": recipients,
        "relaying": config,
        "schedule": config.retry,
        "max_hops": config.max_hops,
        "resolver": resolver,
        "inspect": config.inspect,
        "signer": config.sign,
        "sealer": config.seal,
        "filters": config.filters,
    }


def assemble(
    runtime: Runtime, config: MTAConfig, store: QueueStore, resolver: Resolver, look: float = 60.0
) -> RunningMTA:
    """Return the parts of an MTA, connected. *store* is open. *look*: see :class:`.Agent`."""
    failures: Failures = deque(maxlen=_FAILURES)
    told, routes = observed(store, config.on_event, failures), config.make_routes()
    tell = teller(config.on_event)
    hello = str(config.hostname)
    tls_reports = TLSReports(runtime, resolver, config.daily_reports)
    relay = Relay(
        runtime, resolver, config.itself, hello, config.tls_policies, tls_reports, config.srs
    )
    dmarc_reports = DMARCReports(runtime, resolver, config.daily_reports, config.inspect)
    guarding = Guarding(runtime, resolver, config.guards, tell)
    agent = Agent(
        runtime,
        told,
        routes,
        relay,
        _reporter_of(config),
        Judge(config.retry),
        Schedule(config.limits, store.share),
        config.sign,
        guarding,
        look=look,
    )
    intake = Intake(
        runtime=runtime,
        store=told,
        tracer=Tracer(hostname=config.hostname),
        tell=tell,
        count_check=dmarc_reports.count,
        wake=agent.wake,
        **_intake_options(runtime, config, resolver, routes),
    )
    reports = ReportSchedule(runtime, [tls_reports, dmarc_reports])
    parts = agent, told, runtime, config, reports, relay, dmarc_reports, guarding
    return RunningMTA(intake, *parts, Desk(runtime.event()), failures)
