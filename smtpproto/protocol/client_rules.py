"""Checks that a client makes before it sends, and how it reads the offer of a server."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import GrammarError, LocalProtocolError, NotOffered
from ..grammar.command import Command, Data, Ehlo, Expn, Mail, Rcpt, Vrfy
from ..grammar.domain import MalformedHost
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth
from ..grammar.offer_rules import not_offered_reason
from ..grammar.parameters import Body, MailParameters
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import COMMAND_LINE, Leniencies, Tolerance

_CONTROL = pattern(rb"[\x00-\x1f\x7f]")

Tolerate = Callable[[str, GrammarError], None]


def check_octets(data: bytes, parameters: MailParameters) -> None:
    """Raise LocalProtocolError for content that the *parameters* of MAIL do not declare."""
    ascii_only = parameters.body in (None, Body.SEVEN_BIT) and not parameters.smtputf8
    if ascii_only and not data.isascii():
        raise LocalProtocolError("octets above 127; send MAIL with BODY=8BITMIME or SMTPUTF8")


def check_leniencies(command: Mail | Rcpt, leniencies: Leniencies) -> None:
    """Raise LocalProtocolError for an address that only a leniency allows, unless *leniencies*
    do."""
    if command.path.mailbox is not None:
        for name in command.path.mailbox.leniencies:
            if getattr(leniencies, name) is Tolerance.REJECT:
                text = f"{printable(str(command.path))} needs the leniency {name}"
                check = f"leniencies: set Leniencies({name}=Tolerance.ACCEPT) to send it"
                raise LocalProtocolError(text, command=command.verb, check=check)


def read_offer(
    reply: Reply, tolerate: Tolerate, secure: bool, ignored: frozenset[str] = frozenset()
) -> Extensions:
    """Return the offer in a reply to EHLO, without the keywords *ignored*. Without TLS, REQUIRETLS
    is ignored too (RFC 8689 2), and with TLS, STARTTLS (RFC 3207 4.2)."""
    offered = Extensions.from_reply(reply, tolerate)
    return offered.without("STARTTLS" if secure else "REQUIRETLS", *ignored)


def line_of(
    command: Command, offered: Extensions, leniencies: Leniencies, parameters: MailParameters
) -> bytes:
    """Return the line of *command*, in a transaction with *parameters*.

    Raises NotOffered if the server does not offer what *command* needs. Raises LocalProtocolError
    if its line is too long, or has octets that it must not have, or a value that only a leniency
    allows.
    """
    if isinstance(command, Mail | Rcpt):
        if command.parameters.given and (why := not_offered_reason(command.parameters, offered)):
            raise NotOffered(why, command=command.verb)
        if command.path.mailbox is not None and command.path.mailbox.leniencies:
            check_leniencies(command, leniencies)
    else:
        _check_value(command, offered, parameters)
    line = command.line
    size = len(line)
    if size > COMMAND_LINE and size > (limit := offered.line_limit(command.verb)):
        text = f"command line of {size} octets; the limit is {limit}"
        raise LocalProtocolError(text, command=command.verb)
    if _CONTROL.search(line, 0, size - 2):  # an application's own verb may contain any
        raise LocalProtocolError("control character in a command", command=command.verb)
    if not line.isascii() and not _may_be_utf8(command, parameters):
        raise LocalProtocolError("not ASCII; this needs SMTPUTF8", command=command.verb)
    return line


def _check_value(command: Command, offered: Extensions, parameters: MailParameters) -> None:
    """Raise LocalProtocolError for a value of *command* that must not be sent to this server, or
    in a transaction with *parameters*."""
    match command:
        case Data() if parameters.body is Body.BINARY_MIME:
            raise LocalProtocolError("BODY=BINARYMIME needs BDAT (RFC 3030 3)", command="DATA")
        case Vrfy() | Expn() if command.smtputf8 and "SMTPUTF8" not in offered.keywords:
            raise NotOffered("the server does not offer SMTPUTF8", command=command.verb)
        case Auth(mechanism) if mechanism not in offered.mechanisms:
            raise NotOffered(f"the server does not offer AUTH {mechanism}", command="AUTH")
        case Ehlo(MalformedHost() as host):
            text = f"not a name to send: {str(host)!r}; pass a domain or an address literal"
            raise LocalProtocolError(text, command=command.verb)


def _may_be_utf8(command: Command, parameters: MailParameters) -> bool:
    if isinstance(command, Mail):
        return command.parameters.smtputf8
    if isinstance(command, Rcpt):
        return parameters.smtputf8
    return isinstance(command, Vrfy | Expn) and command.smtputf8


def code_fits(row: str, code: int, *, content: bool) -> bool:
    """Return whether a reply with *code* may answer *row*, a command or a step.

    Only 3yz accepts DATA, and only if *content* may follow: in LMTP without an accepted recipient
    it would have no reply (RFC 2033 4.2). Besides that, only AUTH has intermediate replies.
    """
    intermediate = 300 <= code < 400
    if row == "DATA":
        return code >= 400 or (intermediate and content)
    return not intermediate or row in ("AUTH", "AUTH_RESPONSE")
