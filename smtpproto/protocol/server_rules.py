"""Why a server refuses a command without asking anybody."""

from __future__ import annotations

from attrs import evolve

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import Command, Data, Mail, Rcpt
from ..grammar.domain import Domain
from ..grammar.extension_command import Auth, Bdat, StartTLS
from ..grammar.offer_rules import refusal_of
from ..grammar.reply import Reply
from ..limits import COMMAND_LINE
from . import server_replies
from .phases import HELLO_FIRST, NO_SERVICE
from .server_state import ServerState


def too_long(server: ServerState, line: bytes) -> bool:
    """Whether a command line has more octets than its verb may have (RFC 5321 4.5.3.1.4)."""
    if len(line) + 2 <= COMMAND_LINE:
        return False
    verb = line.partition(b" ")[0].rstrip().upper().decode("latin-1")
    limit = server.limits.auth_line if verb == "AUTH" else server.offered.line_limit(verb)
    return len(line) + 2 > limit


def out_of_order(server: ServerState, name: str) -> Reply | None:
    """Why this verb may not be used now, whatever its argument."""
    cell = server.vocabulary.transitions[server.phase, name]
    if cell is NO_SERVICE:
        return cell
    if server.no_service is not None and name != "QUIT":
        return server.no_service
    verb = server.vocabulary.verbs[name]
    if server.require_tls and not server.secure and "tls" not in verb.early:
        return server_replies.NEED_TLS
    wanted = server.require_auth or server.submission
    if wanted and not server.authenticated and "auth" not in verb.early:
        return server_replies.NEED_AUTH
    if verb.keyword is not None and (refusal := _unavailable(server, name, verb.keyword)):
        return refusal
    return cell if isinstance(cell, Reply) else None


def _unavailable(server: ServerState, name: str, keyword: str) -> Reply | None:
    """Why a verb that an extension adds may not be used."""
    if name == "STARTTLS" and server.secure:
        return server_replies.TLS_ACTIVE
    if name == "AUTH" and server.authenticated:
        return server_replies.AUTH_DONE
    if name == "AUTH" and server.mechanisms and not (server.secure or server.auth_in_clear):
        return server_replies.AUTH_IN_CLEAR
    if keyword not in server.offered:
        return server_replies.NOT_IMPLEMENTED
    return None if keyword in server.negotiated else HELLO_FIRST  # HELO negotiates nothing


def unacceptable(server: ServerState, command: Command) -> Reply | None:
    """Why a command that is well-formed and in order is refused."""
    match command:
        case Mail():
            return _unacceptable_sender(server, command)
        case Rcpt():
            return _unacceptable_recipient(server, command)
        case Data() if server.transaction.binary:
            return server_replies.BINARY_BY_DATA  # RFC 3030 3
        case Bdat(size):
            return _too_big(server, server.transaction.size + size)
        case Auth(mechanism) if mechanism not in server.mechanisms:
            return server_replies.NO_MECHANISM
        case StartTLS() if server.has_unread_input:
            return server_replies.INJECTION
    return None


def _unacceptable_sender(server: ServerState, mail: Mail) -> Reply | None:
    limit = server.limits.transactions
    if limit is not None and server.transactions >= limit:
        return server_replies.TOO_MANY_TRANSACTIONS
    if not mail.path.isascii and not mail.parameters.smtputf8:
        return server_replies.ASCII_SENDER
    if server.submission and not _is_qualified(mail.path):
        return server_replies.UNQUALIFIED_SENDER
    refusal = refusal_of(mail.parameters, server.negotiated)
    return refusal or _too_big(server, mail.parameters.size or 0)


def _unacceptable_recipient(server: ServerState, rcpt: Rcpt) -> Reply | None:
    if not rcpt.path.isascii and not server.transaction.utf8:
        return server_replies.ASCII_RECIPIENT
    if server.submission and not _is_qualified(rcpt.path):
        return server_replies.UNQUALIFIED_RECIPIENT
    if (refusal := refusal_of(rcpt.parameters, server.negotiated)) is not None:
        return refusal
    too_many = len(server.transaction.rcpts) >= server.limits.recipients
    return server_replies.TOO_MANY_RECIPIENTS if too_many else None


def _is_qualified(path: ReversePath | ForwardPath) -> bool:
    """Whether its domain has a dot: others are not for a stranger to complete (RFC 6409 4.2)."""
    host = None if path.mailbox is None else path.mailbox.domain
    return not isinstance(host, Domain) or "." in host.name


def _too_big(server: ServerState, size: int) -> Reply | None:
    limit = server.limits.message_size
    return server_replies.TOO_BIG if limit is not None and size > limit else None


def strip_untrusted(server: ServerState, command: Command) -> Command:
    """*command* without what a client that has not logged in says and nobody believes: whom it
    speaks for (RFC 4954 5), and that its message goes before others' (RFC 6710 4.1)."""
    if server.authenticated or not isinstance(command, Mail):
        return command
    told, meant = command.parameters, command.parameters
    if told.auth is not None:
        meant = evolve(meant, auth=ReversePath(None))
    if (told.mt_priority or 0) > 0:
        meant = evolve(meant, mt_priority=0)
    return command if meant is told else Mail(command.path, meant)
