"""Making aggregate reports: counting, XML, and the mail that carries it (RFC 9990)."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from attrs import evolve

from ..grammar.address import Mailbox
from ..grammar.domain import to_a_labels
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from .aggregate_report import (
    AggregateReport,
    AggregateRow,
    PolicyOverride,
    ReportedDKIM,
    ReportedSPF,
)
from .arc import ARCCheck, ARCResult
from .dmarc import DMARCResult
from .dmarc_record import DMARCPolicy, DMARCRecord
from .message_check import MessageCheck
from .report_message import ReportMail, check_report_id

__all__ = ["AggregateCounts", "report_mail", "write_report"]

_NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
_SIGNATURES = 100  # of a row (RFC 9990 3.1.3)
_NOT_XML = pattern(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_REASON = 200  # characters of a reason, which a row keeps until it is reported
_TEXT = 1000  # characters of a text that is written


class AggregateCounts:
    """Counts what was found out about messages, until it is reported. *most* bounds the rows that
    are kept; one domain may have a quarter of them, so that there is room for others."""

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._rows: dict[tuple[str, DMARCRecord, str], Counter[AggregateRow]] = {}
        self._number = 0
        self._of_domain = Counter[str]()
        self.left_out: int = 0
        """Messages that were not counted, because there were too many rows."""

    def add(self, check: MessageCheck, applied: DMARCPolicy | None = None) -> None:
        """Count a message. *applied* is what was done with it; None: what its domain asks for.

        Messages to whose author no record applies, or whose domain asks for no reports, and those
        that could not be checked or whose client is not known, are not counted.
        """
        dmarc = check.dmarc
        ended = check.spf is not None and dmarc.result in (DMARCResult.PASS, DMARCResult.FAIL)
        if not ended or dmarc.record is None or not dmarc.record.aggregate_uris:
            return
        row = _row_of(check, dmarc.disposition if applied is None else applied)
        policy = (dmarc.policy_domain, dmarc.record, dmarc.discovery_method)
        if row not in self._rows.get(policy, ()):
            its = self._of_domain[dmarc.policy_domain]
            if self._number >= self._most or its >= max(self._most // 4, 1):
                self.left_out += 1
                return
            self._number += 1
            self._of_domain[dmarc.policy_domain] += 1
        self._rows.setdefault(policy, Counter())[row] += 1

    def reports(
        self, *, organization: str, email: str, begin: int, end: int, unique: str
    ) -> list[AggregateReport]:
        """Return a report for each domain and each state of its record, and begin anew.

        *unique* are letters and digits that are in no report before; they begin the ids.
        """
        found, self._rows, self._number, self.left_out = self._rows, {}, 0, 0
        self._of_domain.clear()
        return [
            AggregateReport(
                organization=organization,
                email=email,
                report_id=f"{unique}x{number}",
                begin=begin,
                end=end,
                domain=domain,
                record=record,
                errors=record.faults,
                rows=tuple(evolve(row, count=count) for row, count in rows.items()),
                discovery_method=method,
            )
            for number, ((domain, record, method), rows) in enumerate(found.items())
        ]


def _row_of(check: MessageCheck, applied: DMARCPolicy) -> AggregateRow:
    """Return the row to which a message belongs, with the count 0."""
    dmarc, spf = check.dmarc, check.spf
    passed = dmarc.result is DMARCResult.PASS
    enforcing = passed and dmarc.policy is not DMARCPolicy.NONE
    sender = spf.domain if spf is not None and spf.identity == "mailfrom" else ""
    signatures = [
        ReportedDKIM(
            domain=it.domain,
            selector=it.signature.selector,
            result=it.result.value,
            reason="" if it.passed else it.reason[:_REASON],
        )
        for it in sorted(check.dkim, key=lambda it: (not it.passed, it.domain != dmarc.author))
        if it.signature is not None and it.domain
    ]
    by_spf = (
        ()
        if spf is None or not sender
        else (
            ReportedSPF(
                domain=sender,
                result=spf.result.value,
                scope="mfrom",
                reason="" if spf.result.value == "pass" else spf.reason[:_REASON],
            ),
        )
    )
    return AggregateRow(
        source=None if spf is None else spf.client,
        count=0,
        disposition="pass" if enforcing else applied.value,
        aligned_dkim=dmarc.is_aligned("dkim"),
        aligned_spf=dmarc.is_aligned("spf"),
        header_from=dmarc.author,
        envelope_from=sender,
        overrides=() if passed else tuple(_overrides(check, applied)),
        dkim=tuple(signatures[:_SIGNATURES]),
        spf=by_spf,
    )


def _overrides(check: MessageCheck, applied: DMARCPolicy) -> Iterator[PolicyOverride]:
    """Yield why the policy was not applied (RFC 9990 3.1.6)."""
    dmarc = check.dmarc
    if applied is dmarc.policy:
        return
    if applied is dmarc.disposition:
        yield PolicyOverride(type="policy_test_mode")
        return
    yield PolicyOverride(type="local_policy", comment=_chain(check.arc))


def _chain(arc: ARCCheck | None) -> str:
    """Return the hosts of a chain that passes, the last one first (RFC 8617 7.2.2)."""
    if arc is None or arc.result is not ARCResult.PASS:
        return ""
    words = ["arc=pass"]
    for it in reversed(arc.sets):
        words += [f"as[{it.instance}].d={it.domain}", f"as[{it.instance}].s={it.selector}"]
    return " ".join(words)


# -- XML -------------------------------------------------------------------------------------------


def write_report(report: AggregateReport) -> bytes:
    """Return *report* as XML (RFC 9990 3.1.1, appendix A). Raises GrammarError if it has no rows,
    or if its id is not one (3.5.1)."""
    if not report.rows:
        raise GrammarError("a report has at least one row")
    check_report_id(report.report_id)
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', *_lines(report), ""]).encode()


def _lines(report: AggregateReport) -> Iterator[str]:
    yield f'<feedback xmlns="{_NAMESPACE}">'
    yield "<version>1.0</version>"
    yield "<report_metadata>"
    yield from _texts(org_name=report.organization, email=report.email)
    yield from _optional(extra_contact_info=report.contact)
    yield from _texts(report_id=report.report_id)
    yield f"<date_range><begin>{report.begin}</begin><end>{report.end}</end></date_range>"
    yield from _optional(error="; ".join(report.errors), generator=report.generator)
    yield "</report_metadata>"
    yield "<policy_published>"
    yield from _published(report)
    yield "</policy_published>"
    for row in report.rows:
        yield from _record_lines(row)
    yield "</feedback>"


def _published(report: AggregateReport) -> Iterator[str]:
    record = report.record
    yield from _texts(domain=report.domain)
    yield from _optional(discovery_method=report.discovery_method)
    yield from _texts(p=record.policy.value)
    sp, np = record.subdomain_policy, record.nonexistent_policy
    yield from _optional(sp=sp.value if sp else "", np=np.value if np else "")
    yield from _texts(
        fo=":".join(record.failure_options),
        adkim="s" if record.strict_dkim else "r",
        aspf="s" if record.strict_spf else "r",
        testing="y" if record.testing else "n",
    )


def _record_lines(row: AggregateRow) -> Iterator[str]:
    yield f"<record><row><source_ip>{row.source or ''}</source_ip><count>{row.count}</count>"
    yield "<policy_evaluated>"
    yield from _texts(
        disposition=row.disposition,
        dkim="pass" if row.aligned_dkim else "fail",
        spf="pass" if row.aligned_spf else "fail",
    )
    for it in row.overrides:
        yield "<reason>"
        yield from _texts(type=it.type)
        yield from _optional(comment=it.comment)
        yield "</reason>"
    yield "</policy_evaluated></row><identifiers>"
    yield from _texts(header_from=row.header_from, envelope_from=row.envelope_from)
    yield from _optional(envelope_to=row.envelope_to)
    yield "</identifiers><auth_results>"
    for signature in row.dkim[:_SIGNATURES]:
        yield "<dkim>"
        yield from _texts(domain=signature.domain, selector=signature.selector)
        yield from _texts(result=signature.result)
        yield from _optional(human_result=signature.reason)
        yield "</dkim>"
    for spf in row.spf:
        yield "<spf>"
        yield from _texts(domain=spf.domain)
        yield from _optional(scope=spf.scope)
        yield from _texts(result=spf.result)
        yield from _optional(human_result=spf.reason)
        yield "</spf>"
    yield "</auth_results></record>"


def _texts(**values: str) -> Iterator[str]:
    for name, value in values.items():
        yield f"<{name}>{_escaped(value)}</{name}>"


def _optional(**values: str) -> Iterator[str]:
    yield from _texts(**{name: value for name, value in values.items() if value})


def _escaped(text: str) -> str:
    return escape(_NOT_XML.sub("?", text[:_TEXT]))


# -- mail ------------------------------------------------------------------------------------------


def report_mail(
    report: AggregateReport,
    *,
    submitter: str,
    sender: Mailbox | str,
    recipients: Iterable[Mailbox | str],
    now: float,
) -> bytes:
    """Return the mail with *report* (RFC 9990 3.5.2). It must pass DMARC: sign it.

    *submitter* is the domain that reports, *sender* an address there, *now* the time in seconds
    since the epoch. Raises GrammarError as :func:`write_report` does, and for addresses and names
    that are not printable ASCII.
    """
    domain = to_a_labels(report.domain)
    mail = ReportMail(
        sender=sender,
        recipients=recipients,
        submitter=submitter,
        domain=domain,
        report_id=report.report_id,
        period=(report.begin, report.end),
        now=now,
        media_type="application/gzip",
        extension="xml.gz",
    )
    what = f"an aggregate report of DMARC (RFC 9990)\r\nby {submitter} about mail from {domain}"
    return mail.message(f"This is {what}", gzip.compress(write_report(report), mtime=0))
