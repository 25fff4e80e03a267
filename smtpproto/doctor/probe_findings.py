"""What follows from the sessions of a probe: findings about one port of a server."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from attrs import evolve

from ..diagnosis.cause import Cause
from ..diagnosis.diagnosis import Diagnosis
from ..errors import NotOffered, Refusal, SMTPError, TLSFailed
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..sasl import BY_NAME
from ..tls.certificate_facts import read_certificate
from .extension_words import in_words, octets_in_words
from .finding import Finding, Severity, Subject, note, ok, warning
from .session import Session
from .tls_findings import day_of, judge_expiry

__all__ = [
    "failed", "judge_change", "judge_greeting", "judge_groups", "judge_logins", "judge_no_tls",
    "judge_offer", "judge_replies", "judge_tls_session",
]  # fmt: skip

_LITTLE = 1 << 20  # octets
_WIDTH = 69  # columns of a detail
_SUBMISSION = (465, 587)
_PASSWORDS = {"PLAIN", "LOGIN"}
_BY_PHASE = {
    "TLS": Subject.STARTTLS,
    "hello": Subject.EHLO,
    "login": Subject.LOGIN,
    "probe": Subject.DRY_RUN,
}


def failed(session: Session, error: SMTPError, severity: Severity = Severity.ERROR) -> Finding:
    """Return the finding for a connection that failed."""
    diagnosis = error.diagnosis
    subject = _BY_PHASE.get(error.phase, Subject.PORT)
    if isinstance(error, TLSFailed) and error.certificate_fault:
        subject = Subject.CERTIFICATE
    what = error.message if error.reply is None else f"{error.message}: {error.reply}"
    return _diagnosed(subject, severity, session.where, what, diagnosis)


def _diagnosed(
    subject: Subject, severity: Severity, about: str, what: str, diagnosis: Diagnosis
) -> Finding:
    first, *others = diagnosis.causes
    more = [line for it in others for line in _told(it)]
    return Finding(
        subject=subject,
        severity=severity,
        about=about,
        what=what,
        why=first.what,
        mend=f"{first.mend} (Who must act: {first.who.value}.)",
        detail="\n".join(more),
        fault=diagnosis.fault,
    )


def _told(cause: Cause) -> list[str]:
    """Return a further cause as lines."""
    text = f"Or: {cause.what} {cause.mend} (Who must act: {cause.who.value}.)"
    return wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False)


def judge_greeting(session: Session) -> Finding:
    """Return the finding for a greeting."""
    tls = " under TLS" if session.tls else ""
    return ok(Subject.PORT, session.where, f"greets{tls} with {session.greeting}")


def judge_offer(session: Session) -> Iterator[Finding]:
    """Judge what the server offers by EHLO."""
    where, offered = session.where, session.extensions or Extensions()
    if not offered.keywords:
        mend = "Let the server answer EHLO: without it there is no TLS, no login and no 8-bit mail."
        found = warning(
            Subject.EHLO,
            where,
            "the server offers nothing, or knows no EHLO",
            "Clients fall back to HELO, and can use no extension.",
            mend,
        )
        yield evolve(found, fault="no-extensions")
        return
    detail = "\n".join(in_words(offered))
    number, tls = len(offered.keywords), " under TLS" if session.tls else ""
    offers = ok(Subject.EHLO, where, f"offers {number} extension{'s' * (number > 1)}{tls}")
    yield evolve(offers, detail=detail)
    for keyword in offered.malformed:
        text = f"the line of EHLO cannot be read: {keyword} {offered.keywords[keyword]}"
        mend = "Correct the parameters of this keyword in the server's configuration."
        found = warning(Subject.EHLO, where, text, "Clients ignore the extension.", mend)
        yield evolve(found, fault="malformed-extension")
    if offered.size is not None and offered.size < _LITTLE:
        text = f"messages may have {octets_in_words(offered.size)} only"
        why = "Most messages with a picture are larger, and are refused."
        mend = "Raise the limit of the server: 10 MiB and more are usual."
        yield evolve(warning(Subject.EHLO, where, text, why, mend), fault="size-tiny")


def judge_groups(session: Session, answered: bool | None) -> Iterator[Finding]:
    """Judge whether commands that are sent together are all answered; None: it was not tried."""
    if answered is False:
        text = "offers PIPELINING, and does not answer each command of a group"
        why = (
            "Clients wait for the missing replies until they give up, and mail is delayed or lost."
        )
        mend = (
            "Let the server, or a filter before it, answer each command, or not offer PIPELINING."
        )
        found = warning(Subject.EHLO, session.where, text, why, mend)
        yield evolve(found, severity=Severity.ERROR, fault="pipelining-broken")


def judge_no_tls(session: Session) -> Finding:
    """Judge a server that does not offer STARTTLS."""
    error = NotOffered("does not offer STARTTLS")
    error.fault = "starttls-not-offered"
    return _diagnosed(
        Subject.STARTTLS, Severity.WARNING, session.where, error.message, error.diagnosis
    )


def judge_tls_session(session: Session, now: float) -> Iterator[Finding]:
    """Judge TLS and the certificate of a session; *now* is in seconds since the epoch."""
    assert session.tls is not None
    where = session.where
    yield ok(Subject.STARTTLS, where, f"{session.tls.version}, {session.tls.cipher}")
    facts = read_certificate(session.tls.peer_certificate or b"")
    if facts is None:
        yield note(Subject.CERTIFICATE, where, "the certificate cannot be read")
        return
    text = (
        f"is for {', '.join(facts.names) or 'no name'}, issued by {facts.issuer}, valid from"
        f" {day_of(facts.begins)} until {day_of(facts.ends)}"
    )
    if not session.tls.verified:
        yield note(Subject.CERTIFICATE, where, text)
        return
    yield judge_expiry(session, now) or ok(Subject.CERTIFICATE, where, f"{text}; it was verified")


def judge_logins(session: Session, in_clear: Extensions | None) -> Iterator[Finding]:
    """Judge the mechanisms for logins; *in_clear* is what is offered before TLS; None: TLS began at
    once."""
    where, names = session.where, (session.extensions or Extensions()).mechanisms
    before = () if in_clear is None else in_clear.mechanisms
    if exposed := sorted(_PASSWORDS.intersection(before)):
        text = f"offers {', '.join(exposed)} before TLS"
        why = "Clients may send passwords that everybody on the way can read."
        mend = "Let the server offer AUTH only after STARTTLS."
        yield evolve(warning(Subject.LOGIN, where, text, why, mend), fault="login-in-clear-offered")
    if not names:
        if session.port in _SUBMISSION:
            text = "offers no logins, although this is a port for submission"
            yield note(Subject.LOGIN, where, text, "Offer AUTH, or use the port for servers, 25.")
        return
    known = [it for it in names if it in BY_NAME]
    when = "after TLS only" if session.tls and not before else "with these mechanisms"
    if not known:
        text = f"offers only mechanisms that this library does not know: {', '.join(names)}"
        why = "Clients that know no other cannot log in."
        mend = "Offer PLAIN after TLS, or SCRAM-SHA-256."
        yield evolve(warning(Subject.LOGIN, where, text, why, mend), fault="no-mechanism")
    elif names == ("LOGIN",):
        text = "offers LOGIN only, which no RFC describes"
        yield evolve(note(Subject.LOGIN, where, text, "Offer PLAIN, too."), fault="only-login")
    else:
        yield ok(Subject.LOGIN, where, f"logins are possible {when}: {', '.join(names)}")


def judge_change(before: Session, after: Session) -> Iterator[Finding]:
    """Judge what a server offers under TLS otherwise than before it."""
    first, second = before.extensions or Extensions(), after.extensions or Extensions()
    lost = [it for it in first.without("STARTTLS", "AUTH") if it not in second]
    if lost:
        text = f"does not offer any more after TLS: {', '.join(lost)}"
        why = "Two programs may answer, one before TLS and another after it; clients get less."
        mend = "Let both have the same configuration."
        found = warning(Subject.EHLO, after.where, text, why, mend)
        yield evolve(found, fault="offers-differ")
    elif first.size != second.size:
        text = "announces another SIZE after TLS"
        found = note(Subject.EHLO, after.where, text, "Let both have the same limit.")
        yield evolve(found, fault="offers-differ")


def judge_replies(session: Session) -> Iterator[Finding]:
    """Judge the replies to RCPT of a dry run."""
    for address, reply in session.replies.items():
        yield _judge_reply(session, address, reply)


def _judge_reply(session: Session, address: str, reply: Reply) -> Finding:
    if reply.positive:
        return ok(Subject.DRY_RUN, session.where, f"would take a message for {address}: {reply}")
    error = Refusal("refused", reply, command=f"RCPT TO:<{address}>")
    severity = Severity.NOTE if reply.transient else Severity.ERROR
    text = f"refuses a message for {address}: {reply}"
    return _diagnosed(Subject.DRY_RUN, severity, session.where, text, error.diagnosis)
