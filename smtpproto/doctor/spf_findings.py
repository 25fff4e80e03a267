"""The SPF records of a domain (RFC 7208)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from attrs import evolve

from ..diagnosis.receivers import Need, refusals
from ..dns import txt_record
from ..policy import (
    SPFExamination,
    SPFFault,
    SPFFaultKind,
    SPFRequest,
    SPFResult,
    check_spf,
    examine_spf,
)
from .facts import Facts
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check"]

_WHOLE = {SPFFaultKind.SYNTAX, SPFFaultKind.LOOP, SPFFaultKind.FAILED}  # without what to do
_NOTES = {SPFFaultKind.UNKNOWN_MODIFIER, SPFFaultKind.EXPLANATION, SPFFaultKind.AFTER_ALL}


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Examine the records, and check the hosts that send."""
    examination = await examine_spf(facts.domain, facts.resolver)
    for finding in judge(facts.domain, examination):
        yield finding
    for address in facts.options.senders if examination.usable else ():
        yield await _sender(facts, address)


def judge(domain: str, examination: SPFExamination) -> Iterator[Finding]:
    """Judge the records of *domain*."""
    trace = examination.trace
    if trace.text:
        counts = f"{trace.text[:500]} ({trace.counts})"
        found = (ok if examination.usable else note)(Subject.SPF, domain, counts)
        yield evolve(found, detail=str(trace))
    for it in examination.faults:
        yield _judge_fault(domain, it, has_record=bool(trace.text))


def _judge_fault(domain: str, it: SPFFault, *, has_record: bool) -> Finding:
    what, mend = it.text, "Correct the record."
    if it.kind not in _WHOLE:
        what, mark, advice = it.text.partition(": ")
        if not mark:
            what, mark, advice = it.text.partition("; ")
        mend = advice or mend
    term = f"{it.term} - " if it.term else ""
    if it.kind is SPFFaultKind.NO_RECORD and not has_record:
        record = txt_record(domain, "v=spf1 mx ~all")
        mend = "Publish which hosts send mail of the domain; these are those that take it."
        why = refusals(Need.AUTHENTICATION, Need.SPF)
        what = "there is no SPF record"
        return error(Subject.SPF, domain, what, why, mend).publishing(record)
    if it.breaks:
        why = f"Receivers end with permerror or temperror. {refusals(Need.SPF)}"
        return error(Subject.SPF, it.domain, term + what, why, _sentence(mend))
    if it.kind in _NOTES:
        return note(Subject.SPF, it.domain, term + what, _sentence(mend))
    why = "SPF says less than it seems, or costs more than it needs."
    if it.kind is SPFFaultKind.ALL_PASS:
        why = "Anybody may send in the name of the domain, and receivers learn to distrust it."
        return error(Subject.SPF, it.domain, term + what, why, _sentence(mend))
    return warning(Subject.SPF, it.domain, term + what, why, _sentence(mend))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].removesuffix(".") + "."


async def _sender(facts: Facts, address: str) -> Finding:
    request = SPFRequest(
        client=address, helo=facts.domain, sender=facts.domain, now=facts.runtime.utc()
    )
    found = await check_spf(request, facts.resolver)
    if found.result is SPFResult.PASS:
        return ok(Subject.SPF, address, f"may send mail of the domain ({found.mechanism})")
    family = "ip4" if found.client.version == 4 else "ip6"
    text = f"may not send mail of the domain: {found.result.value}, {found.reason}"
    mend = f"Add {family}:{address} to the SPF record, before its all."
    return error(Subject.SPF, address, text, refusals(Need.SPF), mend)
