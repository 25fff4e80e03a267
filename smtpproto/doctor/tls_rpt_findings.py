"""The record that asks senders for reports about TLS (RFC 8460 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ..dns import Answer, Kind, txt_record
from ..errors import GrammarError
from ..policy import tls_report_uris
from .facts import Facts, is_answered
from .finding import Finding, Subject, note, ok, warning

__all__ = ["check"]

_WHY = "Without reports nobody tells you that senders fail to reach you over TLS."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at the record."""
    if (await facts.exchange()).refuses:
        return
    answer = await facts.ask(f"_smtp._tls.{facts.domain}", Kind.TXT)
    for finding in judge(facts.domain, answer):
        yield finding


def judge(domain: str, answer: Answer) -> Iterator[Finding]:
    """Judge the answer for the record of *domain*."""
    name = f"_smtp._tls.{domain}"
    record = txt_record(name, f"v=TLSRPTv1; rua=mailto:tls-reports@{domain}")
    if reason := is_answered(answer):
        yield note(Subject.TLS_RPT, domain, reason)
        return
    if not answer.octets:
        text = "senders are not asked for reports about TLS"
        yield note(Subject.TLS_RPT, domain, text, "Publish where reports go.").publishing(record)
        return
    try:
        uris = tls_report_uris(answer.octets)
    except GrammarError as malformed:
        found = warning(Subject.TLS_RPT, domain, malformed.message, _WHY, "Correct the record.")
        yield found.publishing(record)
    else:
        yield ok(Subject.TLS_RPT, domain, f"reports go to {', '.join(uris)}")
