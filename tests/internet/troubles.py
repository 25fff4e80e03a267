"""An internet with domains of all kinds, some messages, and crashes; a seed decides."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

from smtpproto import Limits, Notify, Reply
from smtpproto.dns import Status
from smtpproto.mta.route import Direct, Route, SmartHost
from smtpproto.mta.settlement import Fate
from smtpproto.testing.internet import Internet
from smtpproto.testing.mail_host import Behaviour
from smtpproto.testing.simulated_mta import SimulatedMTA
from smtpproto.testing.zone import Mood

HOUR, DAY = 3600.0, 86400.0
FIRST, SECOND = "mail.first.example", "mail.second.example"


NOTIFY = (None, None, None, {Notify.NEVER}, {Notify.DELAY}, {Notify.FAILURE, Notify.SUCCESS})


class End(enum.Enum):
    """What must become of a message."""

    ARRIVES = "arrives"
    FAILS = "fails"
    EITHER = "either"


@define(eq=False)
class Troubles:
    """An internet with two agents, and one domain of each kind."""

    seed: int
    net: Internet = field(init=False)
    choose: random.Random = field(init=False)
    agents: list[SimulatedMTA] = field(factory=list, init=False)
    ends: dict[str, End] = field(factory=dict, init=False)
    """By domain."""
    later: list[Coroutine[Any, Any, None]] = field(factory=list, init=False)
    """What happens in the course of time."""

    def __attrs_post_init__(self) -> None:
        self.net, self.choose = Internet(self.seed), random.Random(self.seed)
        if self.choose.random() < 0.3:
            self.net._cut_at = self.choose.randrange(3000)
        for make in DOMAINS:
            domain = make.__name__.replace("_", "-") + ".example"
            self.ends[domain] = make(self, domain)
        self.agents += [self._agent(FIRST, SECOND), self._agent(SECOND, FIRST)]

    def _agent(self, name: str, other: str) -> SimulatedMTA:
        rate = self.choose.choice([0, 0, 0.005, 0.03])  # each crash copies what is in a loop
        routes: dict[str, Route] = {"*": Direct(), "circle.example": SmartHost(other, 25)}
        if name == FIRST:
            routes["local.example"] = self.net.mailboxes(name)
        return self.net.mta(name, routes, crash_rate=rate)

    def host(self, domain: str, **behaviour: Any) -> str:
        """Add a mail host of *domain*; return its name."""
        return self.net.mail_host(f"mx{len(self.net.hosts)}.{domain}", Behaviour(**behaviour)).name

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Call *action* at a time."""

        async def act() -> None:
            await self.net.sleep(seconds)
            action()

        self.later.append(act())

    async def message(self, number: int) -> None:
        """Submit a message to some recipients."""
        choose = self.choose
        sender = choose.choice(["ann@healthy.example"] * 3 + ["", "ann@twice.example"])
        domains = choose.sample([*self.ends], choose.randint(1, 4))
        recipients = [f"{choose.choice('abc')}@{domain}" for domain in domains]
        notify = choose.choice(NOTIFY)
        agent, start = choose.choice(self.agents), choose.random() * DAY
        await self.net.sleep(start)
        chosen = None if notify is None else frozenset(notify)
        await self.net.submit(agent, f"m{number}", sender, recipients, notify=chosen)

    def run(self, messages: int) -> None:
        """Let seven days pass."""

        async def days() -> None:
            await self.net.sleep(1.5 * DAY)
            await self.net.until_delivered(days=7)

        self.net.run(days(), *map(self.message, range(messages)), *self.later)

    def check(self) -> None:
        """Assert the laws, and what must become of the mail of each domain."""
        self.net.check()
        assert self.net.is_calm, "mail is left in a queue"
        self._check_exchangers()
        delivered = self.net.record.delivered
        for submission in self.net.submissions:
            for recipient in submission.recipients:
                end = self.ends[recipient.partition("@")[2]]
                place = submission.key, recipient
                if end is End.ARRIVES:
                    assert place in delivered, f"{place} has not arrived"
                elif end is End.FAILS:
                    assert place not in delivered, f"{place} has arrived"

    def _check_exchangers(self) -> None:
        """Assert that no agent sends on what it takes as an exchanger, and each loop is real."""
        for agent in self.agents:
            for entry in agent.queue.entries:
                hops = agent.queue.contents[entry.message.id].count(b"Received: from")
                for ended in entry.ended:
                    if ended.delivery.domain == "itself.example":
                        assert hops == 1
                    if ended.delivery.domain == "circle.example" and ended.fate is Fate.FAILED:
                        assert hops == agent.max_hops + 1


# -- domains -------------------------------------------------------------------------------------


def healthy(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain))
    return End.ARRIVES


def implicit(it: Troubles, domain: str) -> End:
    it.net.zone.records[domain] = it.net.zone.records[it.host(domain)]
    return End.ARRIVES


def alias(it: Troubles, domain: str) -> End:
    it.net.zone.records[domain] = "healthy.example"
    return End.ARRIVES


def greylisting(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, greylists=it.choose.choice([30, 300, 3000])))
    return End.ARRIVES


def twice(it: Troubles, domain: str) -> End:
    """The connections break after the message."""
    it.net.domain(domain, it.host(domain, lost_replies=0.4))
    return End.ARRIVES


def busy(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, busy=0.4, full=0.3))
    return End.ARRIVES


def slow(it: Troubles, domain: str) -> End:
    name = it.host(domain, slow_end=it.choose.choice([50, 300]), messages=1)
    it.net.domain(domain, name)
    it.net.mail_hosts[name].machine.faults.latency = it.choose.choice([0, 0.5, 3])
    it.net.zone.moods[domain] = Mood(delay=20)
    return End.ARRIVES


def few(it: Troubles, domain: str) -> End:
    """The server takes few recipients and messages on a connection."""
    it.net.domain(domain, it.host(domain, limits=Limits(recipients=1, transactions=1)))
    return End.ARRIVES


def broken_tls(it: Troubles, domain: str) -> End:
    name = it.host(domain, offers_tls=True)
    it.net.mail_hosts[name].machine.faults.breaks_tls = it.choose.random() < 0.5
    it.net.domain(domain, name)
    return End.ARRIVES


def second_host(it: Troubles, domain: str) -> End:
    """The first host takes no mail, in one way or another."""
    first, second = it.host(domain), it.host(domain)
    machine = it.net.mail_hosts[first].machine
    match it.choose.randrange(5):
        case 0:
            machine.faults.refuses = True
        case 1:
            machine.faults.silent = True
        case 2:
            it.net.mail_hosts[first].behaviour = Behaviour(refuses=Reply(421, "4.3.2", "Not now"))
        case 3:
            it.net.mail_hosts[first].behaviour = Behaviour(refuses=Reply(554, "5.3.2", "Go away"))
        case _:
            it.net.zone.records[first] = {}
    it.net.domain(domain, *([[first, second]] if it.choose.random() < 0.5 else [first, second]))
    return End.ARRIVES


def outage(it: Troubles, domain: str) -> End:
    """Nothing answers for a day or so."""
    name = it.host(domain)
    it.net.domain(domain, name)
    faults = it.net.mail_hosts[name].machine.faults
    faults.silent, faults.refuses = it.choose.choice([(True, False), (False, True)])

    def heal() -> None:
        faults.silent = faults.refuses = False

    it.at(it.choose.uniform(0.5, 1.5) * DAY, heal)
    return End.ARRIVES


def failing_names(it: Troubles, domain: str) -> End:
    """The DNS fails for a day or so."""
    name = it.host(domain)
    it.net.domain(domain, name)
    where = it.choose.choice([domain, name])
    it.net.zone.moods[where] = Mood(it.choose.choice([Status.FAILED, Status.BOGUS]), delay=5)
    it.at(it.choose.uniform(0.5, 1.5) * DAY, lambda: it.net.zone.moods.pop(where, None))
    return End.ARRIVES


def local(it: Troubles, domain: str) -> End:
    """One agent has the mailboxes; the other one sends to it."""
    it.net.domain(domain, FIRST)
    return End.ARRIVES


def unreachable(it: Troubles, domain: str) -> End:
    name = it.host(domain)
    it.net.domain(domain, name)
    faults = it.net.mail_hosts[name].machine.faults
    faults.silent, faults.refuses = it.choose.choice([(True, False), (False, True)])
    return End.FAILS


def bogus(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain))
    it.net.zone.moods[domain] = Mood(Status.BOGUS)
    return End.FAILS


def no_such_mailbox(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, unknown=["a", "b", "c"]))
    return End.FAILS


def unwanted(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, unwanted=0.5, lost_replies=0.1))
    return End.EITHER


def null(it: Troubles, domain: str) -> End:
    it.net.domain(domain)
    it.net.zone.records[domain] |= it.net.zone.records[it.host(domain)]  # type: ignore[operator]
    return End.FAILS


def no_name(it: Troubles, domain: str) -> End:
    return End.FAILS


def nowhere(it: Troubles, domain: str) -> End:
    it.net.domain(domain, "dead.nowhere.example", "gone.nowhere.example")
    return End.FAILS


def itself(it: Troubles, domain: str) -> End:
    """Both agents are exchangers, before the one that would take the mail."""
    it.net.domain(domain, [FIRST, SECOND], it.host(domain))
    return End.FAILS


def circle(it: Troubles, domain: str) -> End:
    """Each agent sends it to the other one."""
    return End.FAILS


DOMAINS = [
    healthy, implicit, alias, greylisting, twice, busy, slow, few, broken_tls, second_host, outage,
    failing_names, local, unreachable, bogus, no_such_mailbox, unwanted, null, no_name, nowhere,
    itself, circle,
]  # fmt: skip
