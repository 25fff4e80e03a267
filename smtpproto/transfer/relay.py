"""One attempt to deliver a message: find the hosts, try them in order, say what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from attrs import Factory, define, evolve, field

from ..client.connection import Client
from ..client.target import make_target
from ..dns import MX, Resolver
from ..errors import (
    ConnectFailed,
    GrammarError,
    LocalProtocolError,
    NoRoute,
    NotOffered,
    SendRefused,
    SMTPError,
    TLSFailed,
    TransportError,
)
from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..limits import ADDRESSES_BEFORE_NEXT, ADDRESSES_TRIED, Leniencies, Tolerance
from ..mail import Source
from ..mta.exchangers import Exchanger, Self, exchangers
from ..mta.passing import pass_on
from ..mta.queue import Delivery, Forwarding, Message, Result
from ..mta.route import Direct, Local, Route, SmartHost
from ..mta.srs import SRS
from ..mta.trace import delivered_to
from ..policy.mta_sts import MTASTSMode, MTASTSPolicy
from ..policy.tls_policy import TLSDemand, TLSLevel
from ..ports import Runtime
from .connections import Connections, Hop, Troubled
from .seven_bit import Checked
from .tls_policies import Demands, TLSPolicies, TLSWish, is_policy_domain, own_domain
from .tls_reports import TLSReports, TLSSession, session_of
from .trial import Trial, Tried

__all__ = ["Relay", "check_route"]

# What a server here has accepted is sent on as it is; the next one may refuse it.
_AS_RECEIVED = Leniencies(long_lines=Tolerance.ACCEPT)
_MOST_ROUTES = 1000  # whose settings are kept
_BEFORE_SENDING = ("plan", "transaction")  # phases of errors that are about the message


def _count_nothing(relay: Relay) -> TLSReports:
    return TLSReports(relay._runtime, relay.resolver, None)


@define(eq=False)
class Relay:
    """Sends messages to next hops, over connections that it keeps.

    *itself* is what this server is known by, *hello* the name to send in EHLO, and *policies* are
    the wishes of domains that count; *reports* counts what comes of TLS, and *srs* rewrites the
    senders of what is forwarded. Tasks, or threads, may use it at the same time.
    """

    _runtime: Runtime
    resolver: Resolver
    itself: Self
    _hello: str
    _policies: TLSPolicies = field(factory=TLSPolicies)
    reports: TLSReports = field(default=Factory(_count_nothing, takes_self=True))
    _srs: SRS | None = None
    _demands: Demands = field(init=False)
    connections: Connections = field(init=False)
    _troubled: Troubled = field(init=False)  # which other messages had better not wait for
    _known: dict[int, tuple[Direct | SmartHost, tuple[Hop, ...]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.connections = Connections(self._runtime, self.reports)
        self._troubled = Troubled(self._runtime)
        self._demands = Demands(self._runtime, self.resolver, self._policies)

    def use(self, resolver: Resolver, itself: Self, policies: TLSPolicies, srs: SRS | None) -> None:
        """Use these from now on. Policies that were fetched are kept."""
        self.resolver, self.itself, self._srs = resolver, itself, srs
        self._demands.use(resolver, policies)

    async def renew_policies(self) -> None:
        """Fetch policies anew that are old: see :meth:`.MTASTSCache.renew`."""
        await self._demands.renew()

    async def attempt(
        self,
        route: Direct | SmartHost,
        message: Message,
        deliveries: Sequence[Delivery],
        content: Source,
    ) -> Sequence[Tried]:
        """Try to deliver *message*, whose *deliveries* have the same *route*; if that is by MX,
        also the same domain. If aliases led to them, these are the same.

        *content* can be read again and again. Return an attempt for each delivery. It raises
        nothing for what hosts, networks and the DNS do.
        """
        await self.reports.collect()  # what earlier attempts have noted
        message, fields = self._forwarded(message, deliveries[0])
        source = fields + content if isinstance(content, bytes) else Checked(content, fields)
        needs_tls = message.parameters.requiretls and message.sender.mailbox is not None
        pending = {each.recipient: each for each in deliveries}
        wish = TLSWish(requires_tls=needs_tls, tls_optional=message.tls_optional)
        trial = Trial(self._runtime.utc(), pending, needs_tls)
        tried = 0
        try:
            async with aclosing(self._hops(route, deliveries, trial, wish)) as hops:
                async for hop in hops:
                    tried += 1
                    goes_on = await self._try(hop, trial, message, source)
                    if not (goes_on and trial.pending) or tried == ADDRESSES_TRIED:
                        break
        except NoRoute as error:
            trial.unreached(error)
        return trial.tried(self._runtime.utc())

    def _forwarded(self, message: Message, delivery: Delivery) -> tuple[Message, bytes]:
        """Return *message* as it goes to the recipient of *delivery*, and the fields before it, by
        which a loop over several hosts is found (RFC 9228)."""
        if not delivery.via:
            return message, b""
        sender, utf8 = message.sender, message.parameters.smtputf8
        if self._srs is not None and delivery.forwarding is Forwarding.FORWARDED:
            sender = self._srs.forward(sender, self._runtime.utc())
        fields = b"".join(delivered_to(it) for it in delivery.via if it.isascii or utf8)
        return evolve(message, sender=sender, size=message.size + len(fields)), fields

    # -- one host ----------------------------------------------------------------------------

    async def _try(
        self, hop: Hop, trial: Trial, message: Message, content: bytes | Checked
    ) -> bool:
        """Send *message* to a host; return whether another one may be tried."""
        trial.begin(hop)
        sending = _Sending(trial, message, content, self._runtime, hop.config.login is not None)
        while trial.not_asked:
            try:
                outcome = await self.connections.send(hop, content, sending.envelope_for)
                refused = trial.settle(outcome)
            except SendRefused as error:
                refused = trial.settle(error.outcome, error.command)
            except (LocalProtocolError, GrammarError) as error:
                if error.phase not in _BEFORE_SENDING:
                    trial.unreached(error)
                    return True
                refused = False
                if not sending.nobody:
                    trial.impossible(error)
            except SMTPError as error:
                if not sending.connected:
                    self._troubled.add(hop)
                trial.unreached(error)
                return True
            trial.asked()
            self._troubled.discard(hop)
            if refused:
                break
        return sending.elsewhere

    # -- hosts -------------------------------------------------------------------------------

    async def _hops(
        self,
        route: Direct | SmartHost,
        deliveries: Sequence[Delivery],
        trial: Trial,
        wish: TLSWish,
    ) -> AsyncGenerator[Hop, None]:
        """Yield the addresses to try, and look up no more of them than are asked for. If the
        outcome of the last attempt is unknown, its address comes first. Those of a host with many
        come after other hosts, and those that failed lately come last."""
        wanted = _unknown_at(deliveries)
        others, surplus, troubled = list[Hop](), list[Hop](), list[Hop]()
        turns = Counter[str]()
        async with aclosing(self._in_order(route, deliveries[0], trial, wish)) as hops:
            async for hop in hops:
                if hop.address == wanted:
                    yield hop
                    wanted = None
                    while others:
                        yield others.pop(0)
                elif hop in self._troubled:
                    troubled.append(hop)
                else:
                    turns[hop.host] += 1
                    if turns[hop.host] > ADDRESSES_BEFORE_NEXT:
                        surplus.append(hop)
                    elif wanted is None:
                        yield hop
                    else:
                        others.append(hop)
        for hop in (*others, *surplus, *troubled):
            yield hop

    async def _in_order(
        self, route: Direct | SmartHost, delivery: Delivery, trial: Trial, wish: TLSWish
    ) -> AsyncGenerator[Hop, None]:
        async with aclosing(self._exchangers(route, delivery)) as found:
            async for pattern, exchanger, domain in found:
                checked, refusal = await self._check(pattern, exchanger, domain, wish)
                for hop in _at(exchanger, checked):
                    if refusal is None:
                        yield hop
                        continue
                    trial.begin(hop)
                    if isinstance(refusal, NotOffered):
                        trial.impossible(refusal, trial.pending)
                    else:
                        trial.unreached(refusal)

    async def _exchangers(
        self, route: Direct | SmartHost, delivery: Delivery
    ) -> AsyncGenerator[tuple[Hop, Exchanger, str], None]:
        """Yield the hosts of *route*, each with its settings and the domain whose policy counts:
        that of a smart host is its name (RFC 8461 3.4)."""
        hops = self._hops_of(route)
        if isinstance(route, SmartHost):
            for hop in hops:
                exchanger = Exchanger(name=hop.host, addresses=(hop.host,), authentic=True)
                yield hop, exchanger, own_domain(hop.host)
            return
        found = exchangers(delivery.domain, self.resolver, self.itself, self._shuffle)
        async with aclosing(found):
            async for exchanger in found:
                yield hops[0], exchanger, delivery.domain

    async def _check(
        self, pattern: Hop, exchanger: Exchanger, domain: str, wish: TLSWish
    ) -> tuple[Hop, NotOffered | TransportError | None]:
        """Return *pattern* with the TLS that *exchanger* must have, and why the host must not be
        used at all, or None."""
        demand, facts = await self._demands.find(exchanger, domain, pattern, wish)
        config = self._demands.settings(pattern, demand, facts, domain)
        hop = evolve(pattern, config=config)
        if self.reports.options is not None and is_policy_domain(domain):
            hop = self._counted(hop, demand, session_of(facts, domain), facts.policy)
        return hop, _refusal(demand, exchanger, wish)

    def _counted(
        self,
        hop: Hop,
        demand: TLSDemand,
        session: TLSSession | None,
        policy: MTASTSPolicy | None,
    ) -> Hop:
        """Return *hop*, whose connections are counted as *session*. If *policy* is only tested, the
        certificate is verified first, to know whether it would do (RFC 8461 5)."""
        if demand.level is TLSLevel.REFUSED:
            if session is not None and session.fault is not None:
                self.reports.refused(session)
            return hop
        if session is None or policy is None or policy.mode is not MTASTSMode.TESTING:
            return evolve(hop, session=session)
        if demand.level is TLSLevel.OPPORTUNISTIC:
            config = self._demands.tested(hop.config)
            return evolve(hop, session=session, config=config, lesser=hop.config)
        return evolve(hop, session=session if demand.level is TLSLevel.VERIFIED else None)

    def _hops_of(self, route: Direct | SmartHost) -> tuple[Hop, ...]:
        """Return the hosts of *route*; of one by MX, a host that stands for all."""
        known = self._known.get(id(route))
        if known is None or known[0] is not route:
            if len(self._known) >= _MOST_ROUTES:
                self._known.clear()
            known = self._known[id(route)] = route, tuple(_make_hops(route, self._hello))
        return known[1]

    def _shuffle(self, records: Sequence[MX]) -> Iterable[MX]:
        if len(records) == 1:
            return records
        return sorted(records, key=lambda _: self._runtime.random(8))


@define(eq=False)
class _Sending:
    """Makes the envelopes for one host."""

    _trial: Trial
    _message: Message
    _content: bytes | Checked
    _runtime: Runtime
    _logs_in: bool
    connected: bool = False
    """Whether there was a connection to the host."""
    elsewhere: bool = True
    """Whether another host may be asked."""
    nobody: bool = False
    """Whether no recipient was left for whom to ask."""

    def envelope_for(self, client: Client) -> Envelope:
        """Return what to send over *client*. Raises NotOffered if that is nothing."""
        trial, offered = self._trial, client.extensions
        trial.connected(client)
        self.connected = True
        verified = client.tls is not None and client.tls.verified
        deliveries, now = trial.not_asked.values(), self._runtime.utc()
        passing = pass_on(
            self._message, deliveries, offered, now, verified=verified, logged_in=self._logs_in
        )
        for path, error in passing.impossible.items():
            trial.impossible(error, [path])
        self.elsewhere = passing.elsewhere
        self.nobody = passing.envelope is None
        if passing.envelope is None:
            trial.asking(passing.impossible)
            raise next(iter(passing.impossible.values()))
        trial.asking(passing.envelope.recipients)
        if isinstance(self._content, Checked):
            self._content.seven_bit = "8BITMIME" not in offered
        return passing.envelope


def check_route(route: Route) -> None:
    """Raise what is wrong with the options of *route*: see :func:`.make_target`."""
    if not isinstance(route, Local):
        tuple(_make_hops(route, "mx.invalid"))


def _make_hops(route: Direct | SmartHost, hello: str) -> Iterable[Hop]:
    options: Any = {"hello": hello, "leniencies": _AS_RECEIVED, **route.options}
    hosts = route.hosts if isinstance(route, SmartHost) else ("mx.invalid",)
    for host in hosts:
        name, port, config = make_target(host, route.port, options, type(route).__name__)
        yield Hop(host=name, address=name, port=port, config=config)


def _at(exchanger: Exchanger, pattern: Hop) -> Iterable[Hop]:
    for address in exchanger.addresses:
        host = address if exchanger.name.startswith("[") else exchanger.name
        yield evolve(pattern, host=host, address=address)


def _refusal(
    demand: TLSDemand, exchanger: Exchanger, wish: TLSWish
) -> NotOffered | TransportError | None:
    """Return the error for a host that must not be used, or None."""
    if demand.level is not TLSLevel.REFUSED:
        return None
    text = printable(f"No mail is sent to {exchanger.name} now: {demand.reason}")
    if demand.lasting:
        return NotOffered(text, status="5.7.10", phase="plan")
    # With REQUIRETLS, a failure of TLS is for good.
    kind = ConnectFailed if wish.requires_tls else TLSFailed
    return kind(text, phase="TLS", check="the records and the policy of the domain")


def _unknown_at(deliveries: Iterable[Delivery]) -> str | None:
    """Return the address where a message of *deliveries* may have been accepted in the last
    attempt; None if there is none."""
    for delivery in deliveries:
        last = delivery.last
        if last is not None and last.result is Result.UNKNOWN:
            return last.address
    return None
