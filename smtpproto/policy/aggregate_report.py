"""Aggregate reports: what a receiver has seen of mail that claims to be from a domain (RFC 9990).

::

    report = AggregateReport.parse(octets)  # XML, gzip, zip, or a mail with one of them
    for row in report.rows:
        print(row.count, row.source, row.header_from, row.aligned_dkim, row.aligned_spf)
"""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.reply import GrammarError
from ..mail.parts import parts_of
from ..option_types import checked
from .dmarc_record import DMARCPolicy, DMARCRecord
from .report_file import check_size, expand
from .report_xml import Element, parse_xml

__all__ = ["AggregateReport", "AggregateRow", "PolicyOverride", "ReportedDKIM", "ReportedSPF"]

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_POLICIES = {it.value: it for it in DMARCPolicy}


@checked
@frozen(kw_only=True)
class ReportedDKIM:
    """The result for a signature."""

    domain: str
    selector: str
    result: str
    """A word of RFC 8601 2.7.1."""
    reason: str = ""
    """Why, in words."""


@checked
@frozen(kw_only=True)
class ReportedSPF:
    """The result of SPF."""

    domain: str
    result: str
    """A word of RFC 8601 2.7.2."""
    scope: str = ""
    """``mfrom``; older reports have ``helo``, too."""
    reason: str = ""
    """Why, in words."""


@checked
@frozen(kw_only=True)
class PolicyOverride:
    """Why a receiver did not do what the domain asks for."""

    type: str
    """For example ``local_policy`` (RFC 9990 3.1.6)."""
    comment: str = ""


@checked
@frozen(kw_only=True)
class AggregateRow:
    """Messages that are alike."""

    source: IPv4Address | IPv6Address | None
    """The client; None if the report has no valid address."""
    count: int
    """How many messages."""
    disposition: str
    """What was done: ``none``, ``quarantine``, ``reject``; or ``pass``, for a pass under a policy
    that asks for something."""
    aligned_dkim: bool
    """Whether DKIM passed for an aligned domain."""
    aligned_spf: bool
    """Whether SPF passed for an aligned domain."""
    header_from: str
    """The author's domain."""
    envelope_from: str = ""
    """The domain of the sender."""
    envelope_to: str = ""
    """The domain of the recipient."""
    overrides: tuple[PolicyOverride, ...] = ()
    dkim: tuple[ReportedDKIM, ...] = ()
    spf: tuple[ReportedSPF, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether DMARC passed."""
        return self.aligned_dkim or self.aligned_spf


@checked
@frozen(kw_only=True)
class AggregateReport:
    """A report. :meth:`parse` reads one, :func:`.write_report` writes one."""

    organization: str
    """Who reports."""
    email: str
    """How to reach them."""
    report_id: str
    begin: int
    """Of the time about which it reports, in seconds since the epoch."""
    end: int
    """Of the time, likewise."""
    domain: str
    """The domain whose record applied."""
    record: DMARCRecord
    """What the report says of the record; what it does not say has the default value."""
    rows: tuple[AggregateRow, ...]
    contact: str = ""
    """More about how to reach them, for example the address of a page."""
    errors: tuple[str, ...] = ()
    """What is wrong with the record, in words."""
    generator: str = ""
    """The program that has made the report."""
    discovery_method: str = "treewalk"
    """How the record was found: ``treewalk``, ``psl`` (by a list of public suffixes) or ""."""

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a report by RFC 9990 or RFC 7489: XML, or a gzip or zip file with it, or a mail with
        one of these.

        What it has besides is left out, and what it lacks is "" or 0. Raises GrammarError if there
        is no report in *octets*, or if it is larger than 16 MiB, or 64 MiB without compression.
        """
        check_size(octets)
        content = expand(octets)
        if content.lstrip()[:1] == b"<" or content.startswith(_BYTE_ORDER_MARKS):
            return cls._of(parse_xml(content))
        return cls._in_mail(octets)

    @classmethod
    def _in_mail(cls, mail: bytes) -> Self:
        fault = GrammarError("there is no aggregate report in this mail")
        for part in parts_of(mail):
            if part.filename.endswith((".xml", ".gz", ".zip")) or part.type in _MEDIA_TYPES:
                try:
                    return cls._of(parse_xml(expand(part.body)))
                except GrammarError as error:
                    fault = error
        raise fault

    @classmethod
    def _of(cls, root: Element) -> Self:
        if root.name != "feedback":
            raise GrammarError("the XML is not an aggregate report, whose root is <feedback>")
        metadata = root.get("report_metadata")
        published, period = root.get("policy_published"), metadata.get("date_range")
        return cls(
            organization=metadata.value("org_name"),
            email=metadata.value("email"),
            report_id=metadata.value("report_id"),
            begin=_number(period.value("begin")),
            end=_number(period.value("end")),
            domain=published.value("domain"),
            record=_record(published),
            rows=tuple(_row(it) for it in root.all("record")),
            contact=metadata.value("extra_contact_info"),
            errors=tuple(it.text.strip() for it in metadata.all("error")),
            generator=metadata.value("generator"),
            discovery_method=lower(published.value("discovery_method")),
        )


_MEDIA_TYPES = {
    "application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed",
    "text/xml", "application/xml", "application/octet-stream",
}  # fmt: skip


def _number(text: str) -> int:
    """Return *text* as a number of seconds or messages; 0 if it is none."""
    whole = text.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 19 else 0


def _record(published: Element) -> DMARCRecord:
    return DMARCRecord(
        policy=_POLICIES.get(published.value("p"), DMARCPolicy.NONE),
        subdomain_policy=_POLICIES.get(published.value("sp")),
        nonexistent_policy=_POLICIES.get(published.value("np")),
        strict_dkim=published.value("adkim") == "s",
        strict_spf=published.value("aspf") == "s",
        failure_options=tuple(filter(None, published.value("fo").split(":"))) or ("0",),
        testing=published.value("testing") == "y",
    )


def _row(element: Element) -> AggregateRow:
    row, identifiers = element.get("row"), element.get("identifiers")
    evaluated, results = row.get("policy_evaluated"), element.get("auth_results")
    source: IPv4Address | IPv6Address | None = None
    with contextlib.suppress(ValueError):
        source = ip_address(row.value("source_ip"))
    return AggregateRow(
        source=source,
        count=_number(row.value("count")),
        disposition=lower(evaluated.value("disposition")),
        aligned_dkim=lower(evaluated.value("dkim")) == "pass",
        aligned_spf=lower(evaluated.value("spf")) == "pass",
        header_from=identifiers.value("header_from"),
        envelope_from=identifiers.value("envelope_from"),
        envelope_to=identifiers.value("envelope_to"),
        overrides=tuple(
            PolicyOverride(type=lower(it.value("type")), comment=it.value("comment"))
            for it in evaluated.all("reason")
        ),
        dkim=tuple(
            ReportedDKIM(
                domain=it.value("domain"),
                selector=it.value("selector"),
                result=lower(it.value("result")),
                reason=it.value("human_result"),
            )
            for it in results.all("dkim")
        ),
        spf=tuple(
            ReportedSPF(
                domain=it.value("domain"),
                result=lower(it.value("result")),
                scope=lower(it.value("scope")),
                reason=it.value("human_result"),
            )
            for it in results.all("spf")
        ),
    )
