"""Checks that a server makes before it asks the application, and of what that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from ..errors import LocalProtocolError
from ..events import Connected, Question
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import (
    NO_MAIL_PARAMETERS,
    NO_RCPT_PARAMETERS,
    Command,
    Data,
    Ehlo,
    Help,
    Mail,
    Rcpt,
)
from ..grammar.domain import Domain
from ..grammar.extension_command import Auth, Bdat, StartTLS
from ..grammar.offer_rules import refusal_of
from ..grammar.parameters import Body
from ..grammar.reply import Reply
from ..limits import REPLY_LINE
from ..option_types import wrong_type
from . import server_replies
from .server_state import ServerState
from .terms import Terms

_EMPTY_CHUNK = Bdat(0)


def default_reply(terms: Terms, question: Question | Command) -> Reply:
    """Return the reply to *question* when the application answers None."""
    match question:
        case Connected() if terms.settings.lmtp:
            return server_replies.LMTP_READY
        case Help():
            names = terms.vocabulary.names(terms.offered)
            return Reply(214, "2.0.0", f"Commands: {' '.join(names)}")
        case Command():
            return terms.vocabulary.verbs[question.verb].default_reply
    return server_replies.STEPS[type(question)][0]


def check_answer(terms: Terms, question: Question, reply: Reply) -> None:
    """Raise LocalProtocolError if *reply* must not answer *question*, TypeError for no reply."""
    if not isinstance(reply, Reply):
        raise wrong_type("reply", reply, 'Reply(550, "5.7.1", "No"), or None for the default')
    if isinstance(question, Command):
        accepted = terms.vocabulary.verbs[question.verb].accepted_codes
    else:
        _, accepted = server_replies.STEPS[type(question)]
    if reply.positive and reply.code not in accepted:
        raise LocalProtocolError(f"{reply.code} does not answer {type(question).__name__}")
    if terms.settings.submission and reply.code == 521:
        raise LocalProtocolError("submission servers must not send 521 (RFC 6409 7)")
    if isinstance(question, Ehlo) and reply.positive:
        _check_greeting_text(terms, reply.ascii())


def _check_greeting_text(terms: Terms, reply: Reply) -> None:
    """Raise LocalProtocolError unless the text fits in the first line of the reply to EHLO: the
    client reads the next lines as extensions (RFC 5321 4.1.1.1)."""
    room = REPLY_LINE - len("250-\r\n") - len(f"{terms.settings.hostname} ")
    first, *others = reply.lines
    if others or len(first) > room:
        raise LocalProtocolError(
            f"the text of a positive reply to EHLO has one line, of at most {room} octets;"
            " set the options extensions or verbs to offer more"
        )


def check(state: ServerState, command: Command) -> Reply | None:
    """Check a command that is well-formed and in order. Return the reply that refuses it, or
    None."""
    kind = type(command)
    refusal = RULES[kind](state, command) if kind in RULES else None
    junk = state.terms.vocabulary.verbs[command.verb].junk or command == _EMPTY_CHUNK
    return refusal or (state.budget.count_junk() if junk else None)


def check_injection(state: ServerState, _: StartTLS) -> Reply | None:
    """Refuse STARTTLS if octets follow it: an attacker may have added them, to be taken for the
    client's after TLS is active (RFC 3207 6). Checked before the question and before the answer."""
    return server_replies.INJECTION if state.buffer else None


def _check_sender(state: ServerState, mail: Mail) -> Reply | None:
    settings = state.terms.settings
    limit = settings.limits.transactions
    if limit is not None and state.budget.transactions >= limit:
        return server_replies.TOO_MANY_TRANSACTIONS
    if not mail.path.isascii and not mail.parameters.smtputf8:
        return server_replies.SENDER_NEEDS_UTF8
    if settings.submission and not _is_qualified(mail.path):
        return server_replies.UNQUALIFIED_SENDER
    if mail.parameters is NO_MAIL_PARAMETERS:
        return None
    refusal = refusal_of(mail.parameters, state.terms.negotiated)
    return refusal or _check_size(state, mail.parameters.size or 0)


def _check_recipient(state: ServerState, rcpt: Rcpt) -> Reply | None:
    settings = state.terms.settings
    if not rcpt.path.isascii and not state.transaction.utf8:
        return server_replies.RECIPIENT_NEEDS_UTF8
    if settings.submission and not _is_qualified(rcpt.path):
        return server_replies.UNQUALIFIED_RECIPIENT
    if rcpt.parameters is not NO_RCPT_PARAMETERS:
        refusal = refusal_of(rcpt.parameters, state.terms.negotiated)
        if refusal is not None:
            return refusal
    too_many = len(state.transaction.rcpts) >= settings.limits.recipients
    return server_replies.TOO_MANY_RECIPIENTS if too_many else None


def _check_data(state: ServerState, _: Data) -> Reply | None:
    mail = state.transaction.mail
    binary = mail is not None and mail.parameters.body is Body.BINARY_MIME
    return server_replies.BINARYMIME_NEEDS_BDAT if binary else None  # RFC 3030 3


def _check_chunk(state: ServerState, bdat: Bdat) -> Reply | None:
    return _check_size(state, state.transaction.size + bdat.size)


def _check_mechanism(state: ServerState, auth: Auth) -> Reply | None:
    known = auth.mechanism in state.terms.mechanisms
    return None if known else server_replies.UNKNOWN_MECHANISM


RULES: Mapping[type[Command], Callable[[ServerState, Any], Reply | None]] = {
    Mail: _check_sender,
    Rcpt: _check_recipient,
    Data: _check_data,
    Bdat: _check_chunk,
    Auth: _check_mechanism,
    StartTLS: check_injection,
}
"""Check a command against limits and extensions. Each returns the reply that refuses it, or
None."""


def _is_qualified(path: ReversePath | ForwardPath) -> bool:
    """Return whether the domain of *path* has a dot. A server must not guess the missing part of a
    domain outside its own organization (RFC 6409 4.2)."""
    if path.mailbox is None:
        return True
    host = path.mailbox.domain
    return host is not None and (not isinstance(host, Domain) or "." in host.name)


def _check_size(state: ServerState, size: int) -> Reply | None:
    limit = state.terms.settings.limits.message_size
    return server_replies.TOO_BIG if limit is not None and size > limit else None


def strip_untrusted(terms: Terms, command: Command) -> Command:
    """Return *command* without the parameters that are trusted only after a login: AUTH becomes
    ``<>`` (RFC 4954 5), and a priority above 0 becomes 0 (RFC 6710 4.1)."""
    if terms.authenticated or not isinstance(command, Mail):
        return command
    received, trusted = command.parameters, command.parameters
    if received.auth is not None:
        trusted = evolve(trusted, auth=ReversePath(None))
    if (received.mt_priority or 0) > 0:
        trusted = evolve(trusted, mt_priority=0)
    return command if trusted is received else Mail(command.path, trusted)
