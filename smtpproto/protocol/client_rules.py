"""Checks that a client makes before it sends, and what it reads from a reply to EHLO."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import LocalProtocolError, NotOffered
from ..grammar.command import Command, Ehlo, Expn, Mail, Rcpt, Vrfy
from ..grammar.domain import MalformedHost
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth
from ..grammar.offer_rules import not_offered_reason
from ..grammar.parameters import Body, MailParameters
from ..grammar.parse_context import ParseContext
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import Leniencies, Tolerance

_CONTROL = pattern(rb"[\x00-\x1f\x7f]")


def check_octets(data: bytes, parameters: MailParameters) -> None:
    """Raise LocalProtocolError for content that the *parameters* of MAIL do not declare."""
    ascii_only = parameters.body in (None, Body.SEVEN_BIT) and not parameters.smtputf8
    if ascii_only and not data.isascii():
        raise LocalProtocolError("octets above 127; send MAIL with BODY=8BITMIME or SMTPUTF8")


def check_offered(command: Command, keyword: str | None, offered: Extensions) -> None:
    """Raise NotOffered unless the server offers what *command*, of the extension *keyword*,
    needs."""
    if keyword is not None and keyword not in offered:
        raise NotOffered(f"the server does not offer {keyword}", command=command.verb)
    if isinstance(command, Vrfy | Expn) and command.smtputf8 and "SMTPUTF8" not in offered:
        raise NotOffered("the server does not offer SMTPUTF8", command=command.verb)
    if isinstance(command, Auth) and command.mechanism not in offered.mechanisms:
        text = f"the server does not offer AUTH {command.mechanism}"
        raise NotOffered(text, command="AUTH")
    if isinstance(command, Mail | Rcpt) and (
        reason := not_offered_reason(command.parameters, offered)
    ):
        raise NotOffered(reason, command=command.verb)


def check_leniencies(command: Command, leniencies: Leniencies) -> None:
    """Raise LocalProtocolError for a value that only a leniency allows, unless *leniencies* do."""
    if isinstance(command, Ehlo) and isinstance(command.host, MalformedHost):
        text = f"not a name to send: {str(command.host)!r}; pass a domain or an address literal"
        raise LocalProtocolError(text, command=command.verb)
    if isinstance(command, Mail | Rcpt) and command.path.mailbox is not None:
        for name in command.path.mailbox.leniencies:
            if getattr(leniencies, name) is Tolerance.REJECT:
                text = f"{printable(str(command.path))} needs the leniency {name}"
                check = f"leniencies: set Leniencies({name}=Tolerance.ACCEPT) to send it"
                raise LocalProtocolError(text, command=command.verb, check=check)


def read_offer(
    reply: Reply, context: ParseContext, *, secure: bool, ignored: Collection[str] = ()
) -> Extensions:
    """Return the offer in a reply to EHLO, without the keywords *ignored*. Without TLS, REQUIRETLS
    is ignored too (RFC 8689 2), and with TLS, STARTTLS (RFC 3207 4.2)."""
    offered = Extensions.from_reply(reply, context.tolerate)
    return offered.without("STARTTLS" if secure else "REQUIRETLS", *ignored)


def line_of(command: Command, offered: Extensions, parameters: MailParameters) -> bytes:
    """Return the line of *command*, in a transaction with *parameters*. Raise LocalProtocolError if
    it is too long, or has octets that it must not have."""
    line = bytes(command) + b"\r\n"
    limit = offered.line_limit(command.verb)
    if len(line) > limit:
        text = f"command line of {len(line)} octets; the limit is {limit}"
        raise LocalProtocolError(text, command=command.verb)
    if _CONTROL.search(line, 0, len(line) - 2):  # an application's own verb may contain any
        raise LocalProtocolError("control character in a command", command=command.verb)
    if not line.isascii() and not _may_be_utf8(command, parameters):
        raise LocalProtocolError("not ASCII; this needs SMTPUTF8", command=command.verb)
    return line


def _may_be_utf8(command: Command, parameters: MailParameters) -> bool:
    if isinstance(command, Mail):
        return command.parameters.smtputf8
    if isinstance(command, Rcpt):
        return parameters.smtputf8
    return isinstance(command, Vrfy | Expn) and command.smtputf8
