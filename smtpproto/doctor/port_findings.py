"""Whether hosts answer, and how they greet; and what follows from their sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from ..errors import ConnectFailed, TimedOut
from ..grammar.reply import Reply
from .facts import Facts
from .finding import Finding, Subject, error, note, ok, warning
from .session import Session, server_sessions, submission_sessions
from .tls_findings import judge_tls

__all__ = ["check"]

_NEVER = "If no host is reached at all, the network from which you ask may block port 25."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Connect to the hosts of the domain, and judge what they say."""
    if not facts.options.connects:
        return
    sessions: list[Session] = []
    now = facts.runtime.utc()
    async for session in server_sessions(facts):
        sessions.append(session)
        for finding in (
            *judge_greeting(session),
            *judge_tls(session, now, enforced=facts.enforces_tls),
        ):
            yield finding
    for finding in (*_together(facts.domain, sessions), *judge_roles(sessions)):
        yield finding
    if any(it.error is None for it in sessions):
        submission = [it async for it in submission_sessions(facts)]
        for finding in judge_submission(facts.domain, submission, now):
            yield finding


def judge_greeting(session: Session) -> Iterator[Finding]:
    """Judge whether the host answers, and its greeting."""
    failure, where = session.error, session.where
    if failure is None:
        offers = sorted(str(it) for it in session.extensions or ())
        greeting = f"greets with {session.greeting}"
        yield ok(Subject.PORT, where, f"{greeting}, and offers {', '.join(offers) or 'nothing'}")
        if not offers:
            mend = "Let the server answer EHLO: without it there is no TLS and no 8-bit content."
            yield note(Subject.PORT, where, "the server knows no EHLO", mend)
    elif failure.reply is not None:
        text = f"refuses us with {failure.reply}, at the {failure.phase or 'greeting'}"
        judge = error if failure.reply.permanent else warning
        why = "Other senders may be refused as well; after 5yz they do not come again."
        mend = "Let the host take mail from everybody, or remove its MX record."
        yield judge(Subject.PORT, where, text, why, mend)
    elif isinstance(failure, TimedOut | ConnectFailed):
        text = f"is not reached: {failure.message}"
        why = "Senders must wait for their time-out, and then try another host, or later."
        mend = f"Start the server, and let firewalls pass port {session.port}. {_NEVER}"
        yield error(Subject.PORT, where, text, why, mend)
    else:
        text = f"the session failed: {failure.message}"
        mend = "Look into the server's log."
        yield error(Subject.PORT, where, text, "Senders cannot hand over mail.", mend)


def _together(domain: str, sessions: Sequence[Session]) -> Iterator[Finding]:
    if sessions and all(it.error is not None for it in sessions):
        text = "none of the hosts takes mail from here now"
        why = "Nobody can send mail to the domain, or only not from here."
        mend = "See each host above, and ask from another network."
        yield error(Subject.PORT, domain, text, why, mend)


def judge_submission(domain: str, sessions: Sequence[Session], now: float) -> Iterator[Finding]:
    """Judge the ports for submission; many domains have other hosts for that."""
    reached = [it for it in sessions if it.error is None]
    for session in reached:
        yield ok(Subject.PORT, session.where, f"greets with {session.greeting}")
        yield from judge_tls(session, now)
    if sessions and not reached:
        text = "no host that takes its mail answers on the ports for submission, 465 and 587"
        yield note(Subject.PORT, domain, text, "This is fine if another host takes submissions.")


def judge_roles(sessions: Sequence[Session]) -> Iterator[Finding]:
    """Judge the replies for postmaster and abuse."""
    for session in sessions:
        for address, reply in session.replies.items():
            yield _judge_role(address, reply, session.host)


def _judge_role(address: str, reply: Reply, host: str) -> Finding:
    if reply.positive:
        return ok(Subject.POSTMASTER, address, f"{host} accepts it")
    text = f"{host} refuses it with {reply}"
    if reply.transient:
        return note(Subject.POSTMASTER, address, text, "Ask again later: it may be greylisting.")
    mend = f"Create the mailbox, or an alias for {address}."
    if address.startswith("postmaster@"):
        why = (
            "Each domain with mail must have it (RFC 5321 4.5.1); reports and complaints go there."
        )
        return error(Subject.POSTMASTER, address, text, why, mend)
    why = "Complaints go there (RFC 2142 4); who gets no answer blocks the domain."
    return warning(Subject.POSTMASTER, address, text, why, mend)
