"""The DMARC record of a domain, or of one above it (RFC 9989)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from attrs import evolve

from ..diagnosis.receivers import Need, refusals
from ..dns import txt_record
from ..policy import DMARCPolicy, DMARCRecord, report_destinations
from ..policy.dmarc_record import mailbox_of
from ..policy.dmarc_walk import Unanswered, Walk, Walker
from .facts import Facts
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check"]

_REPORTED = 5  # addresses for reports that are looked at


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Walk from the domain up, and judge the record that applies."""
    walker = Walker(facts.resolver)
    try:
        walk = await walker.walk(facts.domain)
    except Unanswered as failure:
        why = "Receivers cannot tell what to do with mail in your name, and may delay it."
        mend = "Mend the name servers of the domain."
        yield error(Subject.DMARC, facts.domain, str(failure), why, mend)
        return
    for step in walker.steps.values():
        if step.number > 1:
            text = f"there are {step.number} DMARC records, so none counts"
            yield error(Subject.DMARC, step.domain, text, _none(), "Remove all but one.")
    story = "\n".join(map(str, walker.steps.values()))
    for finding in judge(facts.domain, walk, story):
        yield finding
    if walk.policy_record is not None:
        async for finding in _reports(facts, *walk.policy_record):
            yield finding


def judge(domain: str, walk: Walk, story: str) -> Iterator[Finding]:
    """Judge what the walk has found; *story* tells it."""
    if walk.policy_record is None:
        name = f"_dmarc.{domain}"
        record = txt_record(name, f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{domain}")
        text = "neither the domain nor one above it has a DMARC record"
        mend = "Publish one with p=none; read the reports; then go to quarantine and to reject."
        found = error(Subject.DMARC, domain, text, _none(), mend).publishing(record)
        yield evolve(found, detail=story)
        return
    where, record_found = walk.policy_record
    text = f"{record_found.format()} (of {where}, organization {walk.organizational_domain})"
    yield evolve(ok(Subject.DMARC, domain, text), detail=story)
    yield from judge_record(where, record_found, is_subdomain=where != domain)


def judge_record(where: str, record: DMARCRecord, *, is_subdomain: bool) -> Iterator[Finding]:
    """Judge the record at *where*."""
    if not record.usable:
        mend = "Write p=none, p=quarantine or p=reject."
        yield error(Subject.DMARC, where, "the record has no valid policy", _none(), mend)
    for text in record.faults:
        what, _, mend = text.partition(": ")
        why = "Receivers pass over what is malformed."
        yield warning(Subject.DMARC, where, what, why, _sentence(mend or "correct the record"))
    if record.policy_for(subdomain=is_subdomain) is DMARCPolicy.NONE:
        mend = "When the reports show only your own mail failing nowhere, publish p=quarantine."
        yield note(Subject.DMARC, where, "mail in your name that fails is let through", mend)
    if record.testing:
        text = "t=y asks for the next weaker policy"
        yield note(Subject.DMARC, where, text, "Remove t=y once the reports are clean.")
    if not record.aggregate_uris:
        mend = f"Add rua=mailto:dmarc-reports@{where} to the record."
        yield note(Subject.DMARC, where, "nobody tells you who sends in your name", mend)


async def _reports(facts: Facts, where: str, record: DMARCRecord) -> AsyncIterator[Finding]:
    """Judge whether reports by the record at *where* may go where it says (RFC 9990 4)."""
    uris = record.aggregate_uris[:_REPORTED]
    for it in await report_destinations(where, uris, facts.resolver):
        mailbox = mailbox_of(it.uri)
        if it.mailboxes or it.temporary:
            continue
        found = warning(
            Subject.DMARC, where, f"no reports go to {it.uri}: {it.reason}",
            "Nobody tells you who sends in your name.",
            "Let the other domain publish the record, or name an address of your own.",
        )  # fmt: skip
        if mailbox is not None:
            name = f"{where}._report._dmarc.{mailbox.domain}"
            found = found.publishing(txt_record(name, "v=DMARC1"))
        yield found


def _none() -> str:
    return f"Anybody can write in your name. {refusals(Need.DMARC_RECORD)}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].removesuffix(".") + "."
