"""Faults of a header section that receivers dislike (RFC 5322 3.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime

from ..grammar.address import Mailbox
from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.envelope import Envelope
from ..grammar.pattern import pattern
from ..grammar.printable import quoted
from ..grammar.reply import GrammarError
from .address_list import parse_address_list
from .fault import Fault, Severity
from .header import HeaderField

__all__ = ["faults_of_header"]

_ID = pattern(r"\s*<[^<>@\s]+@([^<>@\s]+)>\s*")
_EARLY, _LATE = 7 * 86400.0, 86400.0  # seconds between Date and now
_COMPOSE = "as smtpproto.compose does"


def faults_of_header(
    fields: Iterable[HeaderField], envelope: Envelope, now: float | None
) -> Iterator[Fault]:
    """Yield the faults of *fields*; *now*, in seconds since the epoch, is compared with Date."""
    by_name: dict[str, list[str]] = {}
    for field in fields:
        by_name.setdefault(lower(field.name), []).append(field.body.decode(errors="replace"))
    yield from _date(by_name.get("date", []), now)
    domains = _domains(by_name.get("from", []))
    yield from _from(len(by_name.get("from", [])), domains)
    yield from _other_domains(by_name.get("message-id", []), domains, envelope)
    if not by_name.get("subject", [""])[0].strip():
        text = "no Subject, which filters count as a sign of spam"
        yield _fault("no-subject", Severity.NOTE, text, "set one")
    if "bcc" in by_name or "resent-bcc" in by_name:
        text = "a Bcc field, which shows its recipients to all"
        mend = "remove it, and name them in the envelope"
        yield _fault("bcc", Severity.ERROR, text, mend)


def _date(dates: list[str], now: float | None) -> Iterator[Fault]:
    if not dates:
        yield _fault("no-date", Severity.WARNING, "no Date field", f"set it, {_COMPOSE}")
        return
    try:
        then = parsedate_to_datetime(dates[0].strip()).timestamp()
    except (ValueError, OverflowError):
        text = f"a Date that cannot be read: {quoted(dates[0].strip())}"
        yield _fault("bad-date", Severity.WARNING, text, "write it as in RFC 5322 3.3")
        return
    if now is not None and not now - _EARLY <= then <= now + _LATE:
        text = f"a Date that is {abs(now - then) / 86400:.0f} days off"
        yield _fault("date-off", Severity.WARNING, text, "correct the clock, or set Date anew")


def _from(number: int, domains: set[str]) -> Iterator[Fault]:
    if number == 1 and domains:
        return
    what = "no address in From that can be read" if number == 1 else f"{number} From fields"
    yield _fault("from", Severity.ERROR, what, "write one From field with one address")


def _other_domains(ids: list[str], domains: set[str], envelope: Envelope) -> Iterator[Fault]:
    """Yield the faults of the Message-ID, and domains that differ from *domains*, those of From."""
    found = _ID.fullmatch(ids[0]) if ids else None
    if found is None:
        what = "a Message-ID that is not <...@...>" if ids else "no Message-ID"
        yield _fault("no-message-id", Severity.WARNING, what, f"set it, {_COMPOSE}")
    elif domains and lower(found[1]) not in domains:
        what = f"the Message-ID has another domain than From: {quoted(found[1])}"
        yield _fault("message-id-domain", Severity.NOTE, what, "use the domain of the sender")
    sender = envelope.sender.mailbox
    if domains and sender is not None and _domain(sender) not in domains:
        what = f"the envelope sender has another domain than From: {quoted(_domain(sender))}"
        mend = "then DMARC passes only with a DKIM signature of the domain in From"
        yield _fault("envelope-domain", Severity.NOTE, what, mend)


def _domains(fields: list[str]) -> set[str]:
    """Return the domains of the addresses; none if a field cannot be read."""
    try:
        return {_domain(it) for text in fields for it in parse_address_list(text)}
    except GrammarError:
        return set()


def _domain(mailbox: Mailbox) -> str:
    domain = mailbox.domain
    return domain.canonical if isinstance(domain, Domain) else lower(str(domain))


def _fault(code: str, severity: Severity, what: str, mend: str) -> Fault:
    return Fault(code=code, severity=severity, what=what, mend=mend)
