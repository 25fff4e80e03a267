"""The domains of :mod:`.troubles`, one of each kind. A function adds its domain and returns what
must become of the mail for it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from smtpproto import Limits, Reply
from smtpproto.dns import MX, Kind, Status
from smtpproto.testing.mail_host import Behaviour
from smtpproto.testing.zone import Mood
from tests.internet import certificate

if TYPE_CHECKING:
    from tests.internet.troubles import Troubles

FIRST, SECOND = "mail.first.example", "mail.second.example"  # the agents


class End(enum.Enum):
    """What must become of a message."""

    ARRIVES = "arrives"
    FAILS = "fails"
    EITHER = "either"


# -- whose mail arrives --------------------------------------------------------------------------


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
    it.net.domain(domain, it.host(domain, busy=0.2, full=0.2))
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
    name = it.host(domain, context=certificate.no_certificate())
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
    """Nothing answers for some time."""
    name = it.host(domain)
    it.net.domain(domain, name)
    it.break_network(name, it.some_time())
    return End.ARRIVES


def backup(it: Troubles, domain: str) -> End:
    """Nothing answers for some time but an agent, which must keep the mail meanwhile."""
    name = it.host(domain)
    it.net.domain(domain, name, it.choose.choice([FIRST, SECOND]))
    it.break_network(name, it.some_time())
    return End.ARRIVES


def failing_names(it: Troubles, domain: str) -> End:
    """The DNS fails for some time."""
    name = it.host(domain)
    it.net.domain(domain, name)
    where = it.choose.choice([domain, name])
    it.net.zone.moods[where] = Mood(it.choose.choice([Status.FAILED, Status.BOGUS]), delay=5)
    it.at(it.some_time(), lambda: it.net.zone.moods.pop(where, None))
    return End.ARRIVES


def local(it: Troubles, domain: str) -> End:
    """One agent has the mailboxes; the other one sends to it."""
    it.net.domain(domain, FIRST)
    return End.ARRIVES


def simple(it: Troubles, domain: str) -> End:
    """The server offers next to nothing."""
    keywords = ["PIPELINING", "SIZE", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES", "HELP"]
    it.net.domain(domain, it.host(domain, extensions=dict.fromkeys(keywords)))
    return End.ARRIVES


def rich(it: Troubles, domain: str) -> End:
    """The server offers what agents pass on."""
    offer = {"DSN": "", "DELIVERBY": "60", "MT-PRIORITY": ""}
    it.net.domain(domain, it.host(domain, extensions=offer))
    return End.ARRIVES


def seven_bit(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, extensions={"8BITMIME": None, "SMTPUTF8": None}))
    return End.ARRIVES


def ascii_addresses(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, extensions={"SMTPUTF8": None}))
    return End.ARRIVES


def verified(it: Troubles, domain: str) -> End:
    """The only host that can be sent what needs TLS."""
    name = certificate.NAMES[-1]
    it.net.mail_host(
        name, Behaviour(context=certificate.server_context(), extensions={"REQUIRETLS": ""})
    )
    it.net.domain(domain, name)
    return End.ARRIVES


# -- whose mail does not -------------------------------------------------------------------------


def unreachable(it: Troubles, domain: str) -> End:
    name = it.host(domain)
    it.net.domain(domain, name)
    it.break_network(name)
    return End.FAILS


def bogus(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain))
    it.net.zone.moods[domain] = Mood(Status.BOGUS)
    return End.FAILS


def no_such_mailbox(it: Troubles, domain: str) -> End:
    it.net.domain(domain, it.host(domain, unknown=["a", "b", "ø"]))
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


def localhost(it: Troubles, domain: str) -> End:
    it.net.zone.records["here." + domain] = {Kind.A: ["127.0.0.1"]}
    it.net.zone.records[domain] = {Kind.MX: [MX(10, "here." + domain)]}
    return End.FAILS


def itself(it: Troubles, domain: str) -> End:
    """Both agents are exchangers, before the one that would take the mail."""
    it.net.domain(domain, [FIRST, SECOND], it.host(domain))
    return End.FAILS


def circle(it: Troubles, domain: str) -> End:
    """Each agent has the other one as smart host."""
    return End.FAILS


DOMAINS = [
    healthy, implicit, alias, greylisting, twice, busy, slow, few, broken_tls, second_host, outage,
    backup, failing_names, local, simple, rich, seven_bit, ascii_addresses, verified, unreachable,
    bogus, no_such_mailbox, unwanted, null, no_name, nowhere, localhost, itself, circle,
]  # fmt: skip
