"""Reports about TLS as mail (RFC 8460 5.3)."""

from __future__ import annotations

from collections.abc import Iterable

from ..grammar.address import Mailbox
from ..grammar.domain import Domain
from ..grammar.printable import printable
from .report_message import ReportMail
from .tls_report import TLSReport
from .tls_report_json import write_tls_report

__all__ = ["tls_report_mail"]


def tls_report_mail(
    report: TLSReport,
    *,
    submitter: str,
    sender: Mailbox | str,
    recipients: Iterable[Mailbox | str],
    now: float,
) -> bytes:
    """Return the message that carries *report* to *recipients*, the addresses of ``mailto:`` URIs.

    *sender* is an address of *submitter*, the domain that reports, and *now* is in seconds since
    the epoch. The message says ``TLS-Required: No``, because it must arrive although TLS fails;
    sign it by DKIM (RFC 8460 3). Raises GrammarError for what is no address or name, for an id that
    is not atoms with dots between, and for a report about no domain.
    """
    domain = str(Domain(report.results[0].policy.domain if report.results else ""))
    own = str(Domain(submitter))
    who = printable(report.organization)[:200].encode("ascii", "backslashreplace").decode()
    mail = ReportMail(
        sender=sender,
        recipients=recipients,
        submitter=own,
        domain=domain,
        report_id=report.id,
        period=(report.start, report.end),
        now=now,
        media_type="application/tlsrpt+gzip",
        extension="json.gz",
        kind='report; report-type="tlsrpt"',
        fields=(
            f"TLS-Report-Domain: {domain}",
            f"TLS-Report-Submitter: {own}",
            "TLS-Required: No",
        ),
    )
    text = f"This is a report about TLS of mail to {domain}\r\nfrom {who}"
    return mail.message(text, write_tls_report(report))
