"""The record that asks senders for reports about TLS (RFC 8460 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ..dns import Answer, Kind
from ..errors import GrammarError
from ..policy.tag_list import parse_tag_list
from .facts import Facts, is_answered
from .finding import Finding, Subject, note, ok, txt_record, warning

__all__ = ["check"]

_VERSION = b"v=TLSRPTv1;"
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
    found = [it for it in answer.octets if it.startswith(_VERSION)]
    if not answer.octets:
        text = "senders are not asked for reports about TLS"
        yield note(Subject.TLS_RPT, domain, text, "Publish where reports go.").publishing(record)
    elif len(found) != 1:
        text = f"{len(found)} records begin with v=TLSRPTv1;, and one is needed"
        yield _fault(domain, text, record)
    else:
        try:
            addresses = _addresses(found[0])
        except GrammarError as malformed:
            yield _fault(domain, malformed.message, record)
        else:
            yield ok(Subject.TLS_RPT, domain, f"reports go to {addresses}")


def _addresses(octets: bytes) -> str:
    """Return ``rua=``. Raises GrammarError if there is none that can be used."""
    addresses = parse_tag_list(octets).get("rua", "")
    for it in addresses.split(","):
        if not it.strip().startswith(("mailto:", "https:")):
            raise GrammarError(f"rua= has {it.strip()[:60]!r}, which is neither mailto: nor https:")
    return addresses


def _fault(domain: str, text: str, record: str) -> Finding:
    mend = "Correct the record."
    return warning(Subject.TLS_RPT, domain, text, _WHY, mend).publishing(record)
