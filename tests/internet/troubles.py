"""An internet with domains of all kinds, some messages, and crashes; a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from attrs import define, field, frozen

from smtpproto import Notify
from smtpproto.client.config import ClientConfig
from smtpproto.grammar.dsn import Ret
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Direct, Route, SmartHost
from smtpproto.mta.settlement import Fate
from smtpproto.testing.internet import Internet
from smtpproto.testing.mail_host import Behaviour
from smtpproto.testing.simulated_mta import SimulatedMTA
from tests.internet.certificate import client_context, server_context
from tests.internet.domains import DOMAINS, FIRST, SECOND, End

HOUR, DAY = 3600.0, 86400.0
DOMAIN_NAMES = [make.__name__.replace("_", "-") + ".example" for make in DOMAINS]
ORDINARY = RetrySchedule()
SHORT = RetrySchedule(
    steps=(60, 600, HOUR), longest=2 * HOUR, expiry=DAY, report_expiry=DAY, warn_after=2 * HOUR
)
NOTIFY = (None, None, None, {Notify.NEVER}, {Notify.DELAY}, {Notify.FAILURE, Notify.SUCCESS})


@frozen(kw_only=True)
class Kind:
    """What is special about a message."""

    local_parts: str = "ab"
    text: str = "hello"
    parameters: MailParameters = field(factory=MailParameters)
    fails_at: Sequence[str] = ()
    """Domains that cannot take it."""
    fails_elsewhere: Sequence[str] = ()
    """If given, the only domains that may take it."""
    may_fail: bool = False
    needs_sender: bool = False


PLAIN, TLS = "plain", "tls"
_ASCII_ONLY = "seven-bit.example", "ascii-addresses.example"
KINDS = {
    PLAIN: Kind(),
    "utf8": Kind(local_parts="ø", fails_at=_ASCII_ONLY),
    "eight-bit": Kind(text="høllo", fails_at=["seven-bit.example"]),
    TLS: Kind(
        parameters=MailParameters(requiretls=True),
        fails_elsewhere=["verified.example", "local.example"],
        may_fail=True,
        needs_sender=True,
    ),
    "returned": Kind(
        parameters=MailParameters(by=DeliverBy(3 * 3600, ByMode.RETURN)), may_fail=True
    ),
    "watched": Kind(parameters=MailParameters(by=DeliverBy(3600, ByMode.NOTIFY, trace=True))),
    "held": Kind(parameters=MailParameters(hold_for=3600), needs_sender=True),
    "urgent": Kind(parameters=MailParameters(mt_priority=4)),
    "returns-header": Kind(parameters=MailParameters(ret=Ret.HDRS, envid="this one")),
}
SENDERS = (*["ann@healthy.example"] * 3, "ann@twice.example", "")


@frozen(kw_only=True)
class Planned:
    """A message that will be submitted."""

    key: str
    kind: str
    sender: str
    recipients: Sequence[str]
    notify: frozenset[Notify] | None
    agent: int
    start: float
    """When, as a share of the time after which a message expires."""


def plan(seed: int, messages: int) -> list[Planned]:
    """Return the messages of the internet with *seed*."""
    choose = random.Random(seed)
    return [_plan(choose, f"m{number}") for number in range(messages)]


def _plan(choose: random.Random, key: str) -> Planned:
    name = PLAIN if choose.random() < 0.5 else choose.choice([*KINDS])
    kind, notify = KINDS[name], choose.choice(NOTIFY)
    domains = choose.sample(DOMAIN_NAMES, choose.randint(1, 4))
    return Planned(
        key=key,
        kind=name,
        sender=choose.choice(SENDERS[:4] if kind.needs_sender else SENDERS),
        recipients=[f"{choose.choice(kind.local_parts)}@{domain}" for domain in domains],
        notify=None if notify is None else frozenset(notify),
        agent=choose.randrange(2),
        start=choose.random() * 0.2,
    )


@define(eq=False)
class Troubles:
    """An internet with two agents, and one domain of each kind."""

    seed: int
    messages: int
    net: Internet = field(init=False)
    choose: random.Random = field(init=False)
    agents: list[SimulatedMTA] = field(factory=list, init=False)
    schedule: RetrySchedule = field(init=False)
    """The one of the two agents that gives up later."""
    plan: list[Planned] = field(init=False)
    has_tls: bool = field(init=False)
    """Whether the agents offer STARTTLS."""
    ends: dict[str, End] = field(factory=dict, init=False)
    """By domain."""
    later: list[Coroutine[Any, Any, None]] = field(factory=list, init=False)
    """What happens in the course of time."""

    def __attrs_post_init__(self) -> None:
        self.net, self.choose = Internet(self.seed), random.Random(self.seed)
        if self.choose.random() < 0.3:
            self.net.fault_points["cut_at"] = self.choose.randrange(1500)
        self.schedule = ORDINARY if self.choose.random() < 0.05 else SHORT
        self.plan = plan(self.seed, self.messages)
        self.has_tls = any(it.kind == TLS for it in self.plan) or self.choose.random() < 0.1
        self.net.zone.authentic = self.choose.random() < 0.7
        if self.has_tls:
            self.net.client = ClientConfig(hello="client.invalid", context=client_context())
        for domain, make in zip(DOMAIN_NAMES, DOMAINS, strict=True):
            self.ends[domain] = make(self, domain)
        self.agents += [self._agent(FIRST, SECOND), self._agent(SECOND, FIRST)]

    def _agent(self, name: str, other: str) -> SimulatedMTA:
        rate = self.choose.choice([0, 0, 0.005, 0.03]) * min(1, 20 / self.messages)
        direct = Direct(context=client_context())
        smart_host = SmartHost(other, 25, context=client_context())
        routes: dict[str, Route] = {"*": direct, "circle.example": smart_host}
        if name == FIRST:
            routes["local.example"] = self.net.mailboxes(name)
        return self.net.mta(
            name,
            routes,
            crash_rate=rate,
            retry=self.schedule,
            max_hops=self.choose.choice([2, 3, 8]),
            server={
                "context": server_context() if self.has_tls else None,
                "extensions": {"FUTURERELEASE": "86400 2027-01-01T00:00:00Z"},
            },
        )

    # -- what makes a domain -----------------------------------------------------------------

    def host(self, domain: str, **behaviour: Any) -> str:
        """Add a mail host of *domain*; return its name."""
        return self.net.mail_host(f"mx{len(self.net.hosts)}.{domain}", Behaviour(**behaviour)).name

    def some_time(self) -> float:
        """Return for how long something does not work that is right later."""
        return self.choose.uniform(0.1, 0.3) * self.schedule.expiry

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Call *action* at a time."""

        async def act() -> None:
            await self.net.sleep(seconds)
            action()

        self.later.append(act())

    def break_network(self, host: str, seconds: float | None = None) -> None:
        """Let nothing reach *host*, for *seconds* or for ever."""
        faults = self.net.mail_hosts[host].machine.faults
        faults.silent, faults.refuses = self.choose.choice([(True, False), (False, True)])

        def heal() -> None:
            faults.silent = faults.refuses = False

        if seconds is not None:
            self.at(seconds, heal)

    # -- what happens ------------------------------------------------------------------------

    async def message(self, it: Planned) -> None:
        """Submit a message."""
        kind = KINDS[it.kind]
        await self.net.sleep(it.start * self.schedule.expiry)
        await self.net.submit(
            self.agents[it.agent],
            it.key,
            it.sender,
            it.recipients,
            notify=it.notify,
            parameters=kind.parameters,
            text=kind.text,
        )

    def run(self) -> None:
        """Let time pass until all is over."""

        async def days() -> None:
            await self.net.sleep(0.3 * self.schedule.expiry)
            await self.net.until_delivered(days=7)

        self.net.run(days(), *map(self.message, self.plan), *self.later)

    # -- what must be ------------------------------------------------------------------------

    def check(self) -> None:
        """Assert the laws, and what must become of each message."""
        self.net.check()
        assert self.net.is_calm, "mail is left in a queue"
        self._check_hops()
        delivered = self.net.record.delivered
        assert len(self.net.submissions) == self.messages
        for it in self.plan:
            for recipient in it.recipients:
                end, place = self._end(KINDS[it.kind], recipient), (it.key, recipient)
                if end is End.ARRIVES:
                    assert place in delivered, f"{place} has not arrived"
                elif end is End.FAILS:
                    assert place not in delivered, f"{place} has arrived"

    def _end(self, kind: Kind, recipient: str) -> End:
        domain = recipient.partition("@")[2]
        end = self.ends[domain]
        if domain in kind.fails_at or domain not in (kind.fails_elsewhere or [domain]):
            return End.FAILS
        return End.EITHER if kind.may_fail and end is End.ARRIVES else end

    def _check_hops(self) -> None:
        """Assert that no agent sends on what it takes as an exchanger, and each loop is real."""
        for agent in self.agents:
            for entry in agent.queue.entries:
                hops = agent.queue.contents[entry.message.id].count(b"Received: from")
                for ended in entry.ended:
                    if ended.delivery.domain == "itself.example":
                        assert hops == 1
                    if ended.delivery.domain == "circle.example" and ended.fate is Fate.FAILED:
                        assert hops > min(it.config.max_hops for it in self.agents)
