"""The names of the addresses of hosts, and whether they lead back (RFC 8601 2.7.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address

from ..diagnosis.receivers import Need, refusals
from ..dns import Kind, Resolver
from ..grammar.reply import accepts
from ..policy.spf_evaluation import reverse_name
from .facts import Facts, is_answered
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check", "judge_address"]

_NAMES = 5  # of one address


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at the names of the addresses that take mail, and of those that send it."""
    senders = facts.options.senders
    taking = [it for host in await facts.hosts() for it in host.addresses]
    for address in dict.fromkeys((*senders, *taking)):
        yield await judge_address(address, facts.domain, facts.resolver, sends=address in senders)


async def judge_address(
    address: str, domain: str, resolver: Resolver, *, sends: bool = True
) -> Finding:
    """Judge the names of *address*. A host that *sends* mail of *domain* needs one that leads
    back."""
    why = refusals(Need.PTR) if sends else f"If the host sends mail: {refusals(Need.PTR)}"
    judge = error if sends else warning
    pointer = reverse_name(ip_address(address))  # also for addresses with a zone
    answer = await resolver.lookup(pointer, Kind.PTR)
    if reason := is_answered(answer):
        return note(Subject.PTR, address, reason, "Ask again later.")
    record = f"{pointer}. IN PTR mail.{domain}."
    if not answer.texts:
        text, mend = "the address has no name (PTR)", "Ask whoever gave you the address for a name."
        return judge(Subject.PTR, address, text, why, mend).publishing(record)
    names = answer.texts[:_NAMES]
    kind = Kind.A if ip_address(address).version == 4 else Kind.AAAA
    for name in names:
        if any(_same(it, address) for it in (await resolver.lookup(name, kind)).texts):
            return ok(Subject.PTR, address, f"is called {name}, which leads back to it")
    text = f"is called {', '.join(names)}, which does not lead back to it"
    mend = f"Give {names[0]} this address, or the address another name."
    record = f"{names[0]}. IN {kind.value} {address}"
    return judge(Subject.PTR, address, text, why, mend).publishing(record)


def _same(one: str, other: str) -> bool:
    return accepts(ip_address, one) and ip_address(one) == ip_address(other)
