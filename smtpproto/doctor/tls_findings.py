"""STARTTLS and certificates of the hosts that take mail (RFC 3207, RFC 7817)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from ..tls.validity import expiry
from .finding import Finding, Subject, error, ok, warning
from .session import Session

__all__ = ["day_of", "judge_expiry", "judge_tls"]

Judge = Callable[[Subject, str, str, str, str], Finding]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOON = 14 * 86400.0  # seconds; a certificate is renewed earlier
_UNVERIFIED = (
    "Senders that demand a valid certificate (MTA-STS, REQUIRETLS) do not deliver; others can be "
    "deceived."
)


def judge_tls(session: Session, now: float, *, enforced: bool = False) -> Iterator[Finding]:
    """Judge the TLS of a session; *now* is in seconds since the epoch. *enforced*: an MTA-STS
    policy demands that the certificate is valid."""
    judge = error if enforced else warning
    if session.error is not None:
        return
    where = session.where
    if session.tls_error:
        yield _failed(session, judge)
    elif session.tls_refused is not None:
        text = f"offers STARTTLS, and refuses it with {session.tls_refused}"
        why = "Mail comes in clear, or not at all."
        mend = "Give the server its certificate and key, and look into its log."
        yield error(Subject.STARTTLS, where, text, why, mend)
    elif session.tls is None:
        text = "does not offer STARTTLS"
        why = "Anybody on the way reads the mail; senders that demand TLS do not deliver."
        mend = "Give the server a certificate, and switch STARTTLS on."
        yield judge(Subject.STARTTLS, where, text, why, mend)
    else:
        yield ok(Subject.STARTTLS, where, f"{session.tls.version}, {session.tls.cipher}")
        yield _valid(session, now)


def _failed(session: Session, judge: Judge) -> Finding:
    """Judge a handshake that failed: the certificate, or all else."""
    text, lower = session.tls_error, session.tls_error.lower()
    if "certificate" not in lower and "hostname" not in lower:
        why = "Senders fall back to clear text, or do not deliver."
        mend = "Look into the server's log; it must speak TLS 1.2 or later."
        return error(Subject.STARTTLS, session.where, f"TLS fails: {text}", why, mend)
    return judge(Subject.CERTIFICATE, session.where, text, _UNVERIFIED, _mend(lower, session.host))


def _mend(reason: str, host: str) -> str:
    if "expired" in reason:
        return "Renew the certificate, and let a program renew it from now on (ACME)."
    if "mismatch" in reason or "not valid for" in reason:
        return f"Use a certificate that has the name {host}."
    return (
        f"Use a certificate of a public CA for {host}, and send its intermediate certificates too."
    )


def _valid(session: Session, now: float) -> Finding:
    assert session.tls is not None
    if (soon := judge_expiry(session, now)) is not None:
        return soon
    end = expiry(session.tls.peer_certificate or b"")
    until = "" if end is None else f" until {day_of(end)}"
    return ok(Subject.CERTIFICATE, session.where, f"is valid for {session.host}{until}")


def judge_expiry(session: Session, now: float) -> Finding | None:
    """Return the finding for a certificate that expires soon, or None."""
    assert session.tls is not None
    end = expiry(session.tls.peer_certificate or b"")
    if end is None or end - now > _SOON:
        return None
    mend = "Renew the certificate, and find out why no program has."
    text = f"expires soon, on {day_of(end)}"
    return warning(Subject.CERTIFICATE, session.where, text, _UNVERIFIED, mend)


def day_of(time: float) -> str:
    """Return the day of a *time* in seconds since the epoch."""
    return str((_EPOCH + timedelta(seconds=time)).date())
