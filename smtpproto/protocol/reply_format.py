"""What a server says, in the form that the place wants: named, coded, in the characters allowed."""

from __future__ import annotations

from ..errors import GrammarError
from ..events import Connected, Question
from ..grammar.command import Command, Ehlo, Expn, Helo, Help, Rcpt, Vrfy
from ..grammar.extension_command import StartTLS, XClient
from ..grammar.printable import printable
from ..grammar.reply import EnhancedCode, Reply
from . import server_replies
from .server_state import ServerState

_UNCODED = (Connected, Ehlo)  # answered without enhanced code (RFC 2034 3)
_NAMED = frozenset({220, 221, 421})  # replies that name the host (RFC 5321 4.2.3)
_PATHS = {251: Reply(250, "2.1.5", "Recipient OK"), 551: Reply(550, "5.1.6", "Mailbox has moved")}
_UTF8_NAME = Reply(252, "2.6.8", "The name needs SMTPUTF8 to be shown")
_UTF8_NO_NAME = Reply(550, "5.6.8", "The reply needs SMTPUTF8 to be shown")


def format_reply(
    server: ServerState, reply: Reply, question: Question | None, *, coded: bool = True
) -> Reply:
    """*reply* to *question*, as it goes on the wire. Not *coded*: without enhanced code."""
    reply = _permitted(reply, question, utf8=server.transaction.utf8)
    lines = list(reply.lines)
    if reply.code in _NAMED and not isinstance(question, StartTLS):
        lines[0] = f"{server.hostname} {lines[0]}"
    if isinstance(question, Ehlo) and reply.positive:
        lines = [f"{server.hostname} {lines[0]}"[:500]]  # one line: what follows are keywords
        lines += [] if isinstance(question, Helo) else server.offered.lines()
    enhanced = reply.enhanced
    greets = isinstance(question, XClient) and reply.positive  # the session begins again
    if not coded or isinstance(question, _UNCODED) or greets or reply.intermediate:
        enhanced = None
    elif enhanced is None:
        enhanced = EnhancedCode(reply.code // 100, 0, 0)
    if enhanced != reply.enhanced or tuple(lines) != reply.lines:
        reply = Reply(reply.code, enhanced, lines)
    return reply


def _permitted(reply: Reply, question: Question | None, *, utf8: bool) -> Reply:
    """UTF-8 goes only to who asked for it (RFC 6531 3.7.4)."""
    if all(line.isascii() for line in reply.lines):
        return reply
    match question:
        case Rcpt():
            plain = _PATHS.get(reply.code, reply)  # else the path in it would be a wrong one
            return reply if utf8 else plain.ascii()
        case Vrfy(smtputf8=asked) | Expn(smtputf8=asked):
            return reply if asked else _UTF8_NAME if reply.positive else _UTF8_NO_NAME
    return reply.ascii()


def default_reply(server: ServerState, question: Question | Command) -> Reply:
    """The yes of an application without words of its own."""
    match question:
        case Connected():
            return server_replies.LMTP_READY if server.lmtp else server_replies.SMTP_READY
        case Help():
            return server_replies.commands(server.vocabulary.names(server.offered))
        case Command():
            return server.vocabulary.verbs[question.verb].default_reply
    return server_replies.USUAL[type(question)]


def accepted_codes(server: ServerState, question: Question) -> frozenset[int]:
    """The codes that say yes to *question*."""
    if isinstance(question, Command):
        return server.vocabulary.verbs[question.verb].accepted_codes
    return server_replies.YES[type(question)]


def with_detail(error: GrammarError) -> Reply:
    """The reply that the error suggests, saying also what was wrong and where."""
    reply = error.reply or server_replies.SYNTAX_ERROR
    return Reply(reply.code, reply.enhanced, f"{reply.text}: {printable(str(error))}")
