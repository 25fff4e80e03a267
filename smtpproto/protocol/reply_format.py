"""Replies as a server sends them: with host name and enhanced code, and in ASCII if necessary."""

from __future__ import annotations

from ..errors import GrammarError
from ..events import Connected, Question
from ..grammar.command import Command, Ehlo, Expn, Helo, Help, Rcpt, Vrfy
from ..grammar.extension_command import StartTLS, XClient
from ..grammar.printable import printable
from ..grammar.reply import EnhancedCode, Reply
from . import server_replies
from .server_state import ServerState

HELLOS = frozenset({"EHLO", "HELO", "LHLO"})
_WITHOUT_ENHANCED_CODE = (Connected, Ehlo)  # RFC 2034 3
_WITH_HOST_NAME = frozenset({220, 221, 421})  # RFC 5321 4.2.3
# Replies in place of those whose path needs UTF-8: an escaped path would be a different one.
_WITHOUT_PATH = {
    251: Reply(250, "2.1.5", "Recipient OK"),
    551: Reply(550, "5.1.6", "Mailbox has moved"),
}
_NAME_NEEDS_UTF8 = Reply(252, "2.6.8", "The name needs SMTPUTF8 to be shown")
_REPLY_NEEDS_UTF8 = Reply(550, "5.6.8", "The reply needs SMTPUTF8 to be shown")


def format_reply(
    server: ServerState, reply: Reply, question: Question | None, *, with_code: bool = True
) -> Reply:
    """Return *reply* to *question* as it is sent.

    *with_code*: add an enhanced code, if the server offers them.
    """
    reply = _in_allowed_characters(reply, question, utf8=server.transaction.utf8)
    lines = list(reply.lines)
    if reply.code in _WITH_HOST_NAME and not isinstance(question, StartTLS):
        lines[0] = f"{server.settings.hostname} {lines[0]}"
    if isinstance(question, Ehlo) and reply.positive:
        lines = [
            f"{server.settings.hostname} {lines[0]}"
        ]  # check_answer has allowed no other lines
        lines += [] if isinstance(question, Helo) else server.terms.offered.lines()
    enhanced = reply.enhanced
    restarts_session = isinstance(question, XClient) and reply.positive  # the session begins again
    without_code = (
        isinstance(question, _WITHOUT_ENHANCED_CODE) or restarts_session or reply.intermediate
    )
    if not with_code or without_code or "ENHANCEDSTATUSCODES" not in server.terms.offered:
        enhanced = None
    elif enhanced is None:
        enhanced = EnhancedCode(reply.code // 100, 0, 0)
    if enhanced != reply.enhanced or tuple(lines) != reply.lines:
        reply = Reply(reply.code, enhanced, lines)
    return reply


def _in_allowed_characters(reply: Reply, question: Question | None, *, utf8: bool) -> Reply:
    """Return *reply* in ASCII, unless it is one of those that may have UTF-8, and the client asked
    for that: 251 and 551 to RCPT, and replies to VRFY and EXPN (RFC 6531 3.7.4)."""
    if all(line.isascii() for line in reply.lines):
        return reply
    match question:
        case Rcpt() if reply.code in _WITHOUT_PATH:
            return reply if utf8 else _WITHOUT_PATH[reply.code]
        case Vrfy(smtputf8=asked) | Expn(smtputf8=asked):
            if asked:
                return reply
            return _NAME_NEEDS_UTF8 if reply.positive else _REPLY_NEEDS_UTF8
    return reply.ascii()


def default_reply(server: ServerState, question: Question | Command) -> Reply:
    """Return the reply to *question* when the application answers None."""
    match question:
        case Connected():
            return server_replies.LMTP_READY if server.settings.lmtp else server_replies.SMTP_READY
        case Help():
            return server_replies.command_list(server.terms.vocabulary.names(server.terms.offered))
        case Command():
            return server.terms.vocabulary.verbs[question.verb].default_reply
    return server_replies.DEFAULT_REPLIES[type(question)]


def accepted_codes(server: ServerState, question: Question) -> frozenset[int]:
    """Return the codes of replies that accept *question*."""
    if isinstance(question, Command):
        return server.terms.vocabulary.verbs[question.verb].accepted_codes
    return server_replies.ACCEPTED_CODES[type(question)]


def error_reply(error: GrammarError) -> Reply:
    """Return the reply that *error* suggests, with its message and offset."""
    reply = error.reply or server_replies.SYNTAX_ERROR
    return Reply(reply.code, reply.enhanced, f"{reply.text}: {printable(str(error))}")
