"""Checks that a server makes before it asks the application, and of what that answers.

Each check of a command returns the reply that refuses it, or None.
"""

from __future__ import annotations

from typing import Literal

from attrs import evolve

from ..errors import GrammarError, LocalProtocolError
from ..events import AuthResponse, Question
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import Command, Data, Ehlo, Mail, Rcpt
from ..grammar.domain import Domain
from ..grammar.extension_command import Auth, Bdat, StartTLS
from ..grammar.offer_rules import refusal_of
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64
from ..limits import COMMAND_LINE, REPLY_LINE
from ..option_types import require_type
from ..wire.lines import Overlong
from . import server_replies
from .phases import HELLO_FIRST, NO_SERVICE, Phase
from .reply_format import accepted_codes
from .server_state import ServerState
from .terms import Terms


def is_too_long(server: ServerState, line: bytes) -> bool:
    """Return whether a command line exceeds the limit of its verb (RFC 5321 4.5.3.1.4)."""
    if len(line) + 2 <= COMMAND_LINE:
        return False
    verb = line.partition(b" ")[0].rstrip().upper().decode("latin-1")
    terms = server.terms
    limit = terms.settings.limits.auth_line if verb == "AUTH" else terms.offered.line_limit(verb)
    return len(line) + 2 > limit


def check_answer(server: ServerState, question: Question, reply: Reply) -> None:
    """Raise LocalProtocolError if *reply* must not answer *question*, TypeError for no reply."""
    require_type("reply", reply, Reply, 'Reply(550, "5.7.1", "No"), or None for the default')
    if reply.positive and reply.code not in accepted_codes(server, question):
        raise LocalProtocolError(f"{reply.code} does not answer {type(question).__name__}")
    if server.settings.submission and reply.code == 521:
        raise LocalProtocolError("submission servers must not send 521 (RFC 6409 7)")
    if isinstance(question, Ehlo) and reply.positive:
        _check_greeting_text(server, reply.ascii())


def _check_greeting_text(server: ServerState, reply: Reply) -> None:
    """Raise LocalProtocolError unless the text fits in the first line of the reply to EHLO: the
    client reads the next lines as extensions (RFC 5321 4.1.1.1)."""
    room = REPLY_LINE - len("250-\r\n") - len(f"{server.settings.hostname} ")
    first, *others = reply.lines
    if others or len(first) > room:
        raise LocalProtocolError(
            f"the text of a positive reply to EHLO has one line, of at most {room} octets;"
            " set the options extensions or verbs to offer more"
        )


def read_auth_response(line: bytes | Literal[Overlong.LINE]) -> AuthResponse | Reply:
    """Return the response of a SASL exchange that *line* holds in base64, or the reply that ends
    the exchange (RFC 4954 4)."""
    if isinstance(line, Overlong):
        return server_replies.AUTH_LINE_TOO_LONG
    if line == b"*":
        return server_replies.AUTH_CANCELLED
    try:
        return AuthResponse(Secret(decode_base64(line)))
    except GrammarError as error:
        return error.reply or server_replies.SYNTAX_ERROR


def check_order(terms: Terms, phase: Phase, name: str) -> Reply | None:
    """Check whether the verb *name* is allowed in *phase*, whatever its argument."""
    cell = terms.vocabulary.transitions[phase, name]
    refusal = None if isinstance(cell, Phase) else cell
    if refusal is NO_SERVICE:
        return refusal
    if terms.no_service is not None and name != "QUIT":
        return terms.no_service
    verb, settings = terms.vocabulary.verbs[name], terms.settings
    if settings.require_tls and not terms.secure and "tls" not in verb.allowed_before:
        return server_replies.NEED_TLS
    need_auth = settings.require_auth or settings.submission
    if need_auth and not terms.authenticated and "auth" not in verb.allowed_before:
        return server_replies.NEED_AUTH
    if verb.keyword is not None:
        return _check_available(terms, name, verb.keyword) or refusal
    return refusal


def _check_available(terms: Terms, name: str, keyword: str) -> Reply | None:
    """Check whether a verb that the extension *keyword* adds is available."""
    if name == "STARTTLS" and terms.secure:
        return server_replies.TLS_ACTIVE
    if name == "AUTH" and terms.authenticated:
        return server_replies.ALREADY_AUTHENTICATED
    if name == "AUTH" and terms.mechanisms and not (terms.secure or terms.settings.auth_in_clear):
        return server_replies.AUTH_NEEDS_TLS
    if keyword not in terms.offered:
        return server_replies.NOT_IMPLEMENTED
    return None if keyword in terms.negotiated else HELLO_FIRST  # HELO negotiates nothing


def check_command(server: ServerState, command: Command) -> Reply | None:
    """Check a command that is well-formed and in order against limits and extensions."""
    match command:
        case Mail():
            return _check_sender(server, command)
        case Rcpt():
            return _check_recipient(server, command)
        case Data() if server.transaction.binary:
            return server_replies.BINARYMIME_NEEDS_BDAT  # RFC 3030 3
        case Bdat(size):
            return _check_size(server, server.transaction.size + size)
        case Auth(mechanism) if mechanism not in server.terms.mechanisms:
            return server_replies.UNKNOWN_MECHANISM
        case StartTLS() if server.has_unread_input:
            return server_replies.INJECTION
    return None


def _check_sender(server: ServerState, mail: Mail) -> Reply | None:
    limit = server.settings.limits.transactions
    if limit is not None and server.transactions >= limit:
        return server_replies.TOO_MANY_TRANSACTIONS
    if not mail.path.isascii and not mail.parameters.smtputf8:
        return server_replies.SENDER_NEEDS_UTF8
    if server.settings.submission and not _is_qualified(mail.path):
        return server_replies.UNQUALIFIED_SENDER
    refusal = refusal_of(mail.parameters, server.terms.negotiated)
    return refusal or _check_size(server, mail.parameters.size or 0)


def _check_recipient(server: ServerState, rcpt: Rcpt) -> Reply | None:
    if not rcpt.path.isascii and not server.transaction.utf8:
        return server_replies.RECIPIENT_NEEDS_UTF8
    if server.settings.submission and not _is_qualified(rcpt.path):
        return server_replies.UNQUALIFIED_RECIPIENT
    if (refusal := refusal_of(rcpt.parameters, server.terms.negotiated)) is not None:
        return refusal
    too_many = len(server.transaction.rcpts) >= server.settings.limits.recipients
    return server_replies.TOO_MANY_RECIPIENTS if too_many else None


def _is_qualified(path: ReversePath | ForwardPath) -> bool:
    """Return whether the domain of *path* has a dot. A server must not guess the missing part of a
    domain outside its own organization (RFC 6409 4.2)."""
    if path.mailbox is None:
        return True
    host = path.mailbox.domain
    return host is not None and (not isinstance(host, Domain) or "." in host.name)


def _check_size(server: ServerState, size: int) -> Reply | None:
    limit = server.settings.limits.message_size
    return server_replies.TOO_BIG if limit is not None and size > limit else None


def strip_untrusted(server: ServerState, command: Command) -> Command:
    """Return *command* without the parameters that are trusted only after a login: AUTH becomes
    ``<>`` (RFC 4954 5), and a priority above 0 becomes 0 (RFC 6710 4.1)."""
    if server.terms.authenticated or not isinstance(command, Mail):
        return command
    received, trusted = command.parameters, command.parameters
    if received.auth is not None:
        trusted = evolve(trusted, auth=ReversePath(None))
    if (received.mt_priority or 0) > 0:
        trusted = evolve(trusted, mt_priority=0)
    return command if trusted is received else Mail(command.path, trusted)
