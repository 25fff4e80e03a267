"""The mail that carries a report about a domain (RFC 8460 5.3, RFC 9990 3.5.2)."""

from __future__ import annotations

from base64 import encodebytes
from collections.abc import Iterable
from email.utils import formatdate

from attrs import field, frozen

from ..grammar.address import Mailbox
from ..grammar.local_part import ATOM
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError

__all__ = ["ReportMail"]

_DOT_ATOM = rf"{ATOM}(?:\.{ATOM})*"
_REPORT_ID = pattern(rf"{_DOT_ATOM}(?:@{_DOT_ATOM})?")
_LONGEST_ID = 200
_MARK = "=_report"  # neither base64 nor the text of a report has a line with it


def check_report_id(report_id: str) -> None:
    """Raise GrammarError if *report_id* is not one (RFC 9990 3.5.1)."""
    if len(report_id) > _LONGEST_ID or not _REPORT_ID.fullmatch(report_id):
        raise GrammarError("the id of a report must be atoms with dots between, perhaps with @")


def _addresses(given: Iterable[Mailbox | str]) -> tuple[str, ...]:
    return tuple(str(Mailbox.parse(str(it))) for it in given)


@frozen(kw_only=True)
class ReportMail:
    """What reports of all kinds have in common as mail. Times are seconds since the epoch."""

    sender: Mailbox | str
    """An address of the submitter."""
    recipients: tuple[str, ...] = field(converter=_addresses)
    submitter: str
    """The domain that reports."""
    domain: str
    """The domain about which it reports."""
    report_id: str
    period: tuple[float, float]
    """Of the report: the first and the last second."""
    now: float
    media_type: str
    """Of the file with the report."""
    extension: str
    """Of its name."""
    kind: str = "mixed"
    """The subtype of the multipart, with its parameters."""
    fields: tuple[str, ...] = ()
    """More header fields."""

    @property
    def filename(self) -> str:
        """The name of the file (RFC 8460 5.1, RFC 9990 3.5.2)."""
        begin, end = map(int, self.period)
        unique = f"!{self.report_id}" if self.report_id.isalnum() else ""
        return f"{self.submitter}!{self.domain}!{begin}!{end}{unique}.{self.extension}"

    def message(self, text: str, octets: bytes) -> bytes:
        """Return the message with *text* for people and *octets* as the file. Raises GrammarError
        for addresses, names and ids that do not fit into a header."""
        check_report_id(self.report_id)
        unique = self.report_id if "@" in self.report_id else f"{self.report_id}@{self.submitter}"
        head = [
            *(f"From: <{it}>" for it in _addresses([self.sender])),
            "To: " + ",\r\n ".join(f"<{it}>" for it in self.recipients),
            f"Date: {formatdate(self.now)}",
            f"Message-ID: <{unique}>",
            f"Subject: Report Domain: {self.domain}\r\n Submitter: {self.submitter}\r\n"
            f" Report-ID: <{self.report_id}>",
            *self.fields,
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            f'Content-Type: multipart/{self.kind};\r\n boundary="{_MARK}"',
            "",
            f"--{_MARK}",
            'Content-Type: text/plain; charset="us-ascii"',
            "",
            text,
            "",
            f"--{_MARK}",
            f"Content-Type: {self.media_type}",
            "Content-Transfer-Encoding: base64",
            f'Content-Disposition: attachment;\r\n filename="{self.filename}"',
            "",
        ]
        return _joined(head) + encodebytes(octets).replace(b"\n", b"\r\n") + _END


_END = f"\r\n--{_MARK}--\r\n".encode()


def _joined(lines: list[str]) -> bytes:
    """Return *lines* with CRLF. Raises GrammarError if one has what no header has."""
    text = "\r\n".join([*lines, ""])
    if not text.isascii() or not text.replace("\r\n", "").isprintable():
        raise GrammarError("addresses and names of a report must be printable ASCII")
    return text.encode()
