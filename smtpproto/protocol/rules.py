"""Why a server refuses a command without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from ..grammar.address import ReversePath
from ..grammar.command import Command, Data, Mail, Rcpt
from ..grammar.conditions import refusal_of
from ..grammar.extended import Auth, Bdat, StartTLS
from ..grammar.parameters import Body
from ..grammar.reply import Reply
from . import replies
from .phases import HELLO_FIRST, NO_SERVICE

if TYPE_CHECKING:
    from .server import ServerProtocol


def out_of_order(server: ServerProtocol, name: str) -> Reply | None:
    """Why this verb may not be used now, whatever its argument."""
    cell = server.vocabulary.transitions[server.phase, name]
    if cell is NO_SERVICE:
        return cell
    verb = server.vocabulary.verbs[name]
    if server.require_tls and not server.secure and "tls" not in verb.early:
        return replies.NEED_TLS
    if server.require_auth and not server.authenticated and "auth" not in verb.early:
        return replies.NEED_AUTH
    if verb.keyword is not None and (refusal := _unavailable(server, name, verb.keyword)):
        return refusal
    return cell if isinstance(cell, Reply) else None


def _unavailable(server: ServerProtocol, name: str, keyword: str) -> Reply | None:
    """Why a verb that an extension adds may not be used."""
    if name == "STARTTLS" and server.secure:
        return replies.TLS_ACTIVE
    if name == "AUTH" and server.authenticated:
        return replies.AUTH_DONE
    if name == "AUTH" and server.mechanisms and not (server.secure or server.auth_in_clear):
        return replies.AUTH_IN_CLEAR
    if keyword not in server.offered:
        return replies.NOT_IMPLEMENTED
    return None if keyword in server.negotiated else HELLO_FIRST  # HELO negotiates nothing


def unacceptable(server: ServerProtocol, command: Command) -> Reply | None:
    """Why a command that is well-formed and in order is refused."""
    match command:
        case Mail():
            return _unacceptable_sender(server, command)
        case Rcpt():
            return _unacceptable_recipient(server, command)
        case Data() if _body(server) is Body.BINARY_MIME:
            return replies.BINARY_BY_DATA  # RFC 3030 3
        case Bdat(size):
            return _too_big(server, server.transaction.size + size)
        case Auth(mechanism) if mechanism not in server.mechanisms:
            return replies.NO_MECHANISM
        case StartTLS() if server.behind:
            return replies.INJECTION
    return None


def _body(server: ServerProtocol) -> Body | None:
    mail = server.transaction.mail
    return None if mail is None else mail.parameters.body


def _unacceptable_sender(server: ServerProtocol, mail: Mail) -> Reply | None:
    limit = server.limits.transactions
    if limit is not None and server.transactions >= limit:
        return replies.TOO_MANY_TRANSACTIONS
    if not mail.path.isascii and not mail.parameters.smtputf8:
        return replies.ASCII_SENDER
    return refusal_of(mail.parameters, server.negotiated) or _too_big(
        server, mail.parameters.size or 0
    )


def _unacceptable_recipient(server: ServerProtocol, rcpt: Rcpt) -> Reply | None:
    if not rcpt.path.isascii and not server.transaction.utf8:
        return replies.ASCII_RECIPIENT
    too_many = len(server.transaction.rcpts) >= server.limits.recipients
    return replies.TOO_MANY_RECIPIENTS if too_many else None


def _too_big(server: ServerProtocol, size: int) -> Reply | None:
    limit = server.limits.message_size
    return replies.TOO_BIG if limit is not None and size > limit else None


def believed(server: ServerProtocol, command: Command) -> Command:
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
