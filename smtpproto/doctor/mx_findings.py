"""Where the mail of a domain goes (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address, ip_network

from ..dns import Status
from .facts import Exchange, Facts, MailHost, is_answered
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check"]

_PRIVATE = [ip_network(it) for it in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
_NO_MAIL = "Nobody can send mail to the domain; answers and reports of failure are lost."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at the MX records and the addresses of their hosts."""
    exchange = await facts.exchange()
    for finding in (*_records(facts.domain, exchange), *_hosts(exchange)):
        yield finding


def _records(domain: str, exchange: Exchange) -> Iterator[Finding]:
    """Judge the records themselves."""
    answer = exchange.answer
    if reason := is_answered(answer):
        mend = "Ask again later; if it stays so, mend the name servers of the domain."
        yield error(Subject.MX, domain, reason, "Senders keep mail back until they know.", mend)
    elif answer.status is Status.NO_NAME:
        text = "the domain does not exist"
        yield error(Subject.MX, domain, text, _NO_MAIL, "Register it, or correct its name.")
    elif exchange.refuses:
        text = "the domain takes no mail, as its null MX says (RFC 7505)"
        mend = "Keep this only if no message has an address of the domain as its sender."
        yield note(Subject.MX, domain, text, mend)
    elif exchange.implicit:
        yield _implicit(domain, bool(exchange.hosts))
    elif any(not it.exchange for it in answer.exchangers):
        why = "A null MX must be the only one (RFC 7505 3); some senders refuse the whole domain."
        text = "there is a null MX beside other MX records"
        yield warning(Subject.MX, domain, text, why, 'Remove "MX 0 ."')
    if exchange.left_out:
        yield note(Subject.MX, domain, f"{exchange.left_out} more hosts were not looked at")
    if len(exchange.hosts) == 1 and len(exchange.hosts[0].addresses) == 1:
        text = "one host with one address takes all mail; while it is down, senders must wait"
        yield note(Subject.MX, domain, text)


def _implicit(domain: str, has_address: bool) -> Finding:
    record = f"{domain}. IN MX 10 mail.{domain}."
    if has_address:
        text = "there is no MX record, so mail goes to the address of the domain itself"
        why = "Senders may take it for a domain without mail, and some refuse its messages."
        mend, judge = "Publish an MX record.", warning
    else:
        text, why = "there is neither an MX record nor an address", _NO_MAIL
        mend, judge = "Publish an MX record, or a null MX (MX 0 .).", error
    return judge(Subject.MX, domain, text, why, mend).publishing(record)


def _hosts(exchange: Exchange) -> Iterator[Finding]:
    for host in exchange.hosts:
        found = [*_host(host)]
        yield from found
        if not found:
            text = f"preference {host.preference}, addresses {', '.join(host.addresses)}"
            yield ok(Subject.MX, host.name, text)


def _host(host: MailHost) -> Iterator[Finding]:
    """Judge one host: yield nothing if all is well."""
    name = host.name
    if host.fault:
        text = f"the MX record does not name a host: {host.fault}"
        mend = "An MX record names a host that has A or AAAA records, not an address."
        yield error(Subject.MX, name, text, "Senders cannot find the host.", mend)
    elif host.unanswered and not host.addresses:
        text = f"the DNS did not answer for its addresses: {host.unanswered}"
        mend = "Mend the name servers of the host's domain."
        yield error(Subject.MX, name, text, "Senders keep mail back until they know.", mend)
    elif not host.addresses:
        mend = "Publish its address, or remove the MX record."
        record = f"{name}. IN A 192.0.2.1"
        text = "the host has no address"
        yield error(Subject.MX, name, text, "Senders try it in vain.", mend).publishing(record)
    if host.alias:
        text = f"the name is an alias (CNAME) of {host.alias}"
        why = "RFC 5321 5.1 and RFC 2181 10.3 forbid it, and some senders refuse such a host."
        mend = f"Name {host.alias} in the MX record, or give {name} addresses of its own."
        yield warning(Subject.MX, name, text, why, mend)
    for address in host.addresses:
        if reason := _unreachable(address):
            text = f"its address {address} is {reason}"
            why = "Nobody on the internet reaches it; senders take a loopback address for a loop."
            yield error(Subject.MX, name, text, why, "Publish the public address of the host.")


def _unreachable(address: str) -> str:
    """Return why the internet does not reach *address*, or ""."""
    ip = ip_address(address)
    if ip.is_loopback or ip.is_unspecified:
        return "a loopback address"
    if ip.is_link_local or ip.is_multicast or any(ip in it for it in _PRIVATE):
        return "a private address"
    return ""
