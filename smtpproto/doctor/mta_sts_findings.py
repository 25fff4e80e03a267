"""The MTA-STS policy of a domain, and whether its hosts agree with it (RFC 8461)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from ..dns import Kind, txt_record
from ..errors import GrammarError
from ..policy import MTASTSCache, MTASTSMode, MTASTSPolicy
from ..policy.mta_sts import sts_id
from .facts import Facts, MailHost, is_answered
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check"]

_DAY = 86400
_WHERE = "/.well-known/mta-sts.txt"
_WHY = "Senders that hold you to MTA-STS, as Gmail, Outlook.com and Yahoo do, do not deliver."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at the record and the policy, and compare it with the hosts."""
    hosts = await facts.hosts()
    if not hosts:
        return
    name = f"_mta-sts.{facts.domain}"
    answer = await facts.ask(name, Kind.TXT)
    if reason := is_answered(answer):
        yield note(Subject.MTA_STS, facts.domain, reason, "Ask again later.")
    elif not any(it.startswith(b"v=STSv1") for it in answer.octets):
        yield _none(facts.domain, hosts)
    else:
        try:
            version = sts_id(answer.octets)
        except GrammarError as malformed:
            why = "Senders take it that there is no policy."
            mend = "Publish one record with an id of letters and digits."
            found = warning(Subject.MTA_STS, name, malformed.message, why, mend)
            yield found.publishing(txt_record(name, "v=STSv1; id=1"))
            return
        async for finding in _policy(facts, hosts, version):
            yield finding


def _none(domain: str, hosts: Sequence[MailHost]) -> Finding:
    text = "there is no policy, so somebody on the way can read the mail in spite of TLS"
    mx = " ".join(f"mx: {it.name}" for it in hosts)
    policy = f"version: STSv1, mode: testing, {mx}, max_age: 604800"
    mend = f"Serve a policy at https://mta-sts.{domain}{_WHERE} ({policy}; one field a line)."
    record = txt_record(f"_mta-sts.{domain}", "v=STSv1; id=1")
    return note(Subject.MTA_STS, domain, text, mend).publishing(record)


async def _policy(facts: Facts, hosts: Sequence[MailHost], version: str) -> AsyncIterator[Finding]:
    if facts.options.fetch is None:
        text = f"the policy with the id {version} was not fetched"
        yield note(Subject.MTA_STS, facts.domain, text, "Let the doctor fetch it.")
        return
    cache = MTASTSCache(facts.runtime, facts.resolver, facts.options.fetch)
    found = await cache.find(facts.domain, now=facts.runtime.utc())
    if found.policy is None:
        text = f"the policy cannot be had: {found.reason}"
        why = "New senders deliver as without it, and tell you of it by TLS-RPT."
        mend = f"Serve it at https://mta-sts.{facts.domain}{_WHERE}, as text/plain."
        yield warning(Subject.MTA_STS, facts.domain, text, why, mend)
        return
    facts.enforces_tls = found.policy.mode is MTASTSMode.ENFORCE
    for finding in judge(facts.domain, found.policy, hosts):
        yield finding


def judge(domain: str, policy: MTASTSPolicy, hosts: Sequence[MailHost]) -> Iterator[Finding]:
    """Judge the policy of *domain* and whether it names its *hosts*."""
    text = f"mode: {policy.mode.value}, mx: {', '.join(policy.mx)}, max_age: {policy.max_age}"
    yield ok(Subject.MTA_STS, domain, text)
    if policy.mode is MTASTSMode.NONE:
        return
    if policy.mode is MTASTSMode.TESTING:
        mend = "When the reports of TLS-RPT show no failures, change it, and the id of the record."
        yield note(Subject.MTA_STS, domain, "the policy is only tested", mend)
    judge_host = error if policy.mode is MTASTSMode.ENFORCE else warning
    for host in hosts:
        if not policy.allows(host.name):
            text = "the policy does not name this host, although an MX record does"
            mend = f"Add mx: {host.name} to the policy, and change the id of the record."
            yield judge_host(Subject.MTA_STS, host.name, text, _WHY, mend)
    for name in policy.mx:
        if not any(MTASTSPolicy(mode=policy.mode, mx=(name,)).allows(it.name) for it in hosts):
            mend = "Remove it, unless it is about to become one."
            yield note(Subject.MTA_STS, name, "the policy names it, and no MX record does", mend)
    if policy.max_age < _DAY:
        mend = "Write max_age: 604800 or more."
        text = f"the policy is forgotten after {policy.max_age} seconds"
        yield note(Subject.MTA_STS, domain, text, mend)
