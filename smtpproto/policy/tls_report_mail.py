"""Reports about TLS as mail (RFC 8460 5.3)."""

from __future__ import annotations

from base64 import encodebytes
from email.utils import formatdate

from ..errors import GrammarError
from ..grammar.address import Mailbox
from ..grammar.domain import Domain
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from .tls_report import TLSReport
from .tls_report_json import write_tls_report

__all__ = ["tls_report_mail"]

_ID = pattern(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_LONGEST_ID = 100


def tls_report_mail(
    report: TLSReport, *, sender: str, recipient: str, submitter: str, now: float
) -> bytes:
    """Return the message that carries *report* to *recipient*, the address of a ``mailto:`` URI.

    *sender* is an address of *submitter*, the domain that reports, and *now* is in seconds since
    the epoch. The message says ``TLS-Required: No``, because it must arrive although TLS fails;
    sign it by DKIM (RFC 8460 3). Raises GrammarError for what is no address or name, for an id that
    has other characters than letters, digits, dots and hyphens, and for a report about no domain.
    """
    addresses = [str(Mailbox.parse(it)) for it in (sender, recipient)]
    domain = str(Domain(report.results[0].policy.domain if report.results else ""))
    own = str(Domain(submitter))
    if len(report.id) > _LONGEST_ID or not _ID.fullmatch(report.id):
        raise GrammarError("the id of a report has only letters, digits, dots and hyphens")
    if not "".join((*addresses, domain, own)).isascii():
        raise GrammarError("addresses and names of a report must be ASCII")
    name = f"{own}!{domain}!{int(report.start)}!{int(report.end)}!{report.id}.json.gz"
    mark = f"=_{report.id}"
    who = printable(report.organization)[:200].encode("ascii", "backslashreplace").decode()
    lines = [
        f"From: <{addresses[0]}>",
        f"To: <{addresses[1]}>",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{report.id}.{int(now)}@{own}>",
        f"Subject: Report Domain: {domain}",
        f" Submitter: {own}",
        f" Report-ID: <{report.id}@{own}>",
        f"TLS-Report-Domain: {domain}",
        f"TLS-Report-Submitter: {own}",
        "TLS-Required: No",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type="tlsrpt";',
        f' boundary="{mark}"',
        "",
        f"--{mark}",
        'Content-Type: text/plain; charset="us-ascii"',
        "",
        f"This is a report about TLS of mail to {domain}",
        f"from {who}",
        "",
        f"--{mark}",
        "Content-Type: application/tlsrpt+gzip",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;",
        f' filename="{name}"',
        "",
        *encodebytes(write_tls_report(report)).decode().splitlines(),
        "",
        f"--{mark}--",
        "",
    ]
    return "\r\n".join(lines).encode()
