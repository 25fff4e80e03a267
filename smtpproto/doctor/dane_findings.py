"""The TLSA records of the hosts that take mail, and whether their certificates fit (RFC 7672)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..dns import Kind
from ..policy import DANEFinding, DANEJudge, DANEStatus, find_dane
from ..tls import TLSVerify
from .facts import Facts, MailHost
from .finding import Finding, Subject, error, note, ok, warning
from .session import Session, open_session

__all__ = ["check"]

_PORT = 25
_WHY = "Senders that verify by DANE, such as Exchange Online and Postfix, do not deliver."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at each host."""
    hosts = await facts.hosts()
    found = {host.name: await find_dane(host.name, _PORT, facts.resolver) for host in hosts}
    for host in hosts:
        async for finding in _judge(facts, host, found[host.name]):
            yield finding
    if hosts and all(it.status is DANEStatus.NONE for it in found.values()):
        text = "no host has TLSA records that DNSSEC proves, or your name server does not say so"
        mend = "Sign the zones by DNSSEC, and publish TLSA records (3 1 1) for port 25."
        yield note(Subject.DANE, facts.domain, text, mend)


async def _judge(facts: Facts, host: MailHost, found: DANEFinding) -> AsyncIterator[Finding]:
    match found.status:
        case DANEStatus.NONE:
            answer = await facts.ask(f"_{_PORT}._tcp.{host.name}", Kind.TLSA)
            if answer.tlsa:
                text = f"there are TLSA records without effect: {found.reason}"
                mend = "Sign the zones by DNSSEC, and ask a validating name server on this host."
                yield note(Subject.DANE, host.name, text, mend)
        case DANEStatus.FAILED:
            mend = "Mend the name servers of the host; they must answer for TLSA records, too."
            yield error(Subject.DANE, host.name, found.reason, _WHY, mend)
        case DANEStatus.UNUSABLE:
            why = "Senders only demand TLS, and verify nothing."
            mend = "Publish records with the usage 3 or 2, for example 3 1 1."
            yield warning(Subject.DANE, host.name, found.reason, why, mend)
        case DANEStatus.USABLE:
            yield await _certificate(facts, host, found)


async def _certificate(facts: Facts, host: MailHost, found: DANEFinding) -> Finding:
    if facts.options.certificates is None or not facts.options.connects or not host.addresses:
        return note(Subject.DANE, host.name, f"{found.reason}; no certificate was compared")
    judge = DANEJudge(
        records=found.records,
        names=(found.base, host.name, facts.domain),
        certificates=facts.options.certificates,
        utc=facts.runtime.utc,
    )
    verify = TLSVerify.by_judge(judge)
    place = Session(host=host.name, address=host.addresses[0], port=_PORT)
    session = await open_session(facts, place, verify=verify)
    if session.tls is not None:
        return ok(Subject.DANE, host.name, f"{found.reason}, and its certificate fits")
    if session.error is not None:
        text = f"{found.reason}; the host is not reached: {session.error.message}"
        return note(Subject.DANE, host.name, text, "See the ports.")
    text = session.tls_error or "there are TLSA records, and the host does not offer STARTTLS"
    mend = "Publish a record for the new certificate before it is used, and keep its key."
    return error(Subject.DANE, host.name, text, _WHY, mend)
