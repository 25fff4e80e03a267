"""What the doctor finds, and how it is told."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from textwrap import wrap

from attrs import evolve, field, frozen

from ..grammar.printable import printable
from ..mail.fault import Severity

__all__ = ["Examination", "Finding", "Severity", "Subject"]

_INDENT = " " * 11
_WIDTH = 80  # columns
_TEXT, _LINES = 4000, 500  # characters of a text, and lines of a detail


class Subject(enum.Enum):
    """What a finding is about, in the order in which it is told."""

    MX = "mx"
    PTR = "ptr"
    PORT = "port"
    STARTTLS = "starttls"
    CERTIFICATE = "certificate"
    EHLO = "ehlo"
    LOGIN = "login"
    DRY_RUN = "dry-run"
    POSTMASTER = "postmaster"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    ARC = "arc"
    MTA_STS = "mta-sts"
    TLS_RPT = "tls-rpt"
    DANE = "dane"
    RECEIVED = "received"
    AUTHENTICATION_RESULTS = "authentication-results"
    LIST = "list"
    RECEIVER = "receiver"

    @property
    def title(self) -> str:
        """What people call it."""
        return _TITLES[self]


_TITLES = {
    Subject.MX: "Hosts that take mail (MX)",
    Subject.PTR: "Names of addresses (PTR)",
    Subject.PORT: "Ports and greetings",
    Subject.STARTTLS: "TLS (STARTTLS)",
    Subject.CERTIFICATE: "Certificates",
    Subject.EHLO: "What the server offers (EHLO)",
    Subject.LOGIN: "Logins (AUTH)",
    Subject.DRY_RUN: "Whether it would take a message",
    Subject.POSTMASTER: "Addresses that every domain has",
    Subject.SPF: "SPF",
    Subject.DKIM: "DKIM",
    Subject.DMARC: "DMARC",
    Subject.ARC: "The chain of hosts that passed it on (ARC)",
    Subject.MTA_STS: "MTA-STS",
    Subject.TLS_RPT: "Reports about TLS (TLS-RPT)",
    Subject.DANE: "DANE",
    Subject.RECEIVED: "The way of the message (Received)",
    Subject.AUTHENTICATION_RESULTS: "What others found (Authentication-Results)",
    Subject.LIST: "Unsubscribing",
    Subject.RECEIVER: "What large receivers will say",
}


def _told(text: str) -> str:
    """Return *text* as one line that can be shown, and not much more than a screen."""
    return printable(text if len(text) <= _TEXT else f"{text[:_TEXT]}...")


def _told_lines(text: str) -> str:
    lines = text.split("\n", _LINES)
    if len(lines) > _LINES:
        lines[-1] = "..."
    return "\n".join(map(_told, lines))


@frozen(kw_only=True)
class Finding:
    """One thing that the doctor has found. All text is printable, and cut if it is very long."""

    subject: Subject
    severity: Severity
    about: str = field(converter=_told)
    """The name, address or selector that it is about."""
    what: str = field(converter=_told)
    """What is."""
    why: str = field(default="", converter=_told)
    """Why it matters; "" if all is well."""
    mend: str = field(default="", converter=_told)
    """What to do; "" if there is nothing to do."""
    record: str = field(default="", converter=_told)
    """The record to publish, as a line of a zone; "" if there is none."""
    detail: str = field(default="", converter=_told_lines)
    """More, on several lines, for example the tree of SPF."""
    fault: str = ""
    """A short name for what is wrong, for programs, as in :attr:`.Diagnosis.fault`; "" if all is
    well, or if there is no name."""

    def publishing(self, record: str) -> Finding:
        """Return it with the record to publish."""
        return evolve(self, record=record)

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON; what is empty is left out."""
        values = {
            "subject": self.subject.value,
            "severity": self.severity.value,
            "about": self.about,
            "what": self.what,
            "why": self.why,
            "mend": self.mend,
            "record": self.record,
            "detail": self.detail,
            "fault": self.fault,
        }
        return {name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _wrapped(f"  {self.severity.value:<8} ", f"{self.about}: {self.what}")
        if self.why:
            yield from _wrapped(_INDENT, f"Why: {self.why}")
        if self.mend:
            yield from _wrapped(_INDENT, f"Do: {self.mend}")
        if self.record:
            yield f"{_INDENT}Publish: {self.record}"  # whole, so that it can be copied
        yield from (f"{_INDENT}{line}" for line in self.detail.splitlines())


@frozen(kw_only=True)
class Examination:
    """All that was found about a domain, a message or a server. ``str()`` tells it, the worst
    first."""

    about: str = field(converter=printable)
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(it.severity is severity for it in self.findings)

    def of(self, subject: Subject) -> tuple[Finding, ...]:
        """Return the findings about *subject*."""
        return tuple(it for it in self.findings if it.subject is subject)

    @property
    def worst(self) -> Severity:
        """The severity of the worst finding."""
        found = {it.severity for it in self.findings}
        return max(found, key=[*Severity].index, default=Severity.OK)

    @property
    def summary(self) -> str:
        """How many findings there are of each severity, in words."""
        counts = [(self.count(it), it.value) for it in reversed(Severity)]
        return ", ".join(f"{number} {_plural(name, number)}" for number, name in counts if number)

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "about": self.about,
            "worst": self.worst.value,
            "counts": {it.value: self.count(it) for it in Severity},
            "findings": [it.as_dict() for it in self.findings],
        }

    def __str__(self) -> str:
        groups = [sorted(found, key=_rank) for it in Subject if (found := self.of(it))]
        groups.sort(key=lambda found: _rank(found[0]))  # the worst first
        summary = f"{self.about}: {self.summary or 'nothing was found'}"
        return "\n\n".join([summary, *map(_group, groups)])


def _rank(finding: Finding) -> int:
    return -[*Severity].index(finding.severity)


def _group(findings: Sequence[Finding]) -> str:
    return "\n".join([findings[0].subject.title, *map(str, findings)])


def _wrapped(start: str, text: str) -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=f"{_INDENT}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plural(name: str, number: int) -> str:
    return name if number == 1 or name == "ok" else f"{name}s"


def ok(subject: Subject, about: str, what: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject=subject, severity=Severity.OK, about=about, what=what)


def note(subject: Subject, about: str, what: str, mend: str = "") -> Finding:
    """Return a finding that its reader may judge."""
    return Finding(subject=subject, severity=Severity.NOTE, about=about, what=what, mend=mend)


def warning(subject: Subject, about: str, what: str, why: str, mend: str) -> Finding:
    """Return a finding because of which some mail may be lost."""
    return evolve(error(subject, about, what, why, mend), severity=Severity.WARNING)


def error(subject: Subject, about: str, what: str, why: str, mend: str) -> Finding:
    """Return a finding because of which mail is lost."""
    return Finding(
        subject=subject, severity=Severity.ERROR, about=about, what=what, why=why, mend=mend
    )
