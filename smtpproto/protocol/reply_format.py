"""Replies as a server sends them: with host name and enhanced code, and in ASCII if necessary."""

from __future__ import annotations

from ..errors import GrammarError
from ..events import Connected, Question
from ..grammar.command import Command, Expn, Rcpt, Vrfy
from ..grammar.printable import printable
from ..grammar.reply import EnhancedCode, Reply
from . import server_replies
from .server_replies import GREETING
from .terms import Terms

_WITHOUT_ENHANCED_CODE = frozenset({GREETING, "EHLO", "HELO", "LHLO"})  # RFC 2034 3
_WITH_HOST_NAME = frozenset({220, 221, 421})  # RFC 5321 4.2.3
# Replies in place of those whose path needs UTF-8: an escaped path would be a different one.
_WITHOUT_PATH = {
    251: Reply(250, "2.1.5", "Recipient OK"),
    551: Reply(550, "5.1.6", "Mailbox has moved"),
}
_NAME_NEEDS_UTF8 = Reply(252, "2.6.8", "The name needs SMTPUTF8 to be shown")
_REPLY_NEEDS_UTF8 = Reply(550, "5.6.8", "The reply needs SMTPUTF8 to be shown")


def format_reply(terms: Terms, reply: Reply, verb: str) -> Reply:
    """Return *reply* as it is sent, in answer to a command *verb*, to GREETING or to ""."""
    lines = list(reply.lines)
    if reply.code in _WITH_HOST_NAME and verb != "STARTTLS":
        lines[0] = f"{terms.settings.hostname} {lines[0]}"
    if verb in ("EHLO", "HELO", "LHLO") and reply.positive:
        lines = [f"{terms.settings.hostname} {lines[0]}"]  # check_answer has allowed no others
        lines += [] if verb == "HELO" else terms.offered.lines()
    enhanced = reply.enhanced
    restarts_session = verb == "XCLIENT" and reply.positive  # the session begins again
    without_code = verb in _WITHOUT_ENHANCED_CODE or restarts_session or reply.intermediate
    if without_code or "ENHANCEDSTATUSCODES" not in terms.offered:
        enhanced = None
    elif enhanced is None:
        enhanced = EnhancedCode(reply.code // 100, 0, 0)
    if enhanced is not reply.enhanced or tuple(lines) != reply.lines:
        reply = Reply(reply.code, enhanced, lines)
    return reply


def in_allowed_characters(reply: Reply, question: Question | None, *, utf8: bool) -> Reply:
    """Return *reply* in ASCII, unless it is one of those that may have UTF-8, and the client asked
    for that: 251 and 551 to RCPT, and replies to VRFY and EXPN (RFC 6531 3.7.4)."""
    if reply.text.isascii():
        return reply
    match question:
        case Rcpt() if reply.code in _WITHOUT_PATH:
            return reply if utf8 else _WITHOUT_PATH[reply.code]
        case Vrfy(smtputf8=asked) | Expn(smtputf8=asked):
            if asked:
                return reply
            return _NAME_NEEDS_UTF8 if reply.positive else _REPLY_NEEDS_UTF8
    return reply.ascii()


def error_reply(error: GrammarError) -> Reply:
    """Return the reply that *error* suggests, with its message and offset."""
    reply = error.reply or server_replies.SYNTAX_ERROR
    return Reply(reply.code, reply.enhanced, f"{reply.text}: {printable(str(error))}")


def name_of(question: Question) -> str:
    """Return the verb of *question*, GREETING for the greeting, or "" for anything else."""
    if isinstance(question, Command):
        return question.verb
    return GREETING if isinstance(question, Connected) else ""
