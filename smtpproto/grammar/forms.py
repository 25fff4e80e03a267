"""The usual form of command lines: one pattern for the whole line, CRLF included.

What a form matches needs no further check, and what it does not match may be a command all the
same. So a reader that finds no form reads the line with the parser of ``command_line``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import frozen

from ..limits import CHUNK_SIZE_DIGITS, DOMAIN
from ..option_types import maker
from .address import COMMON_MAILBOX, ReversePath, make_forward_path, make_reverse_path, of_common
from .command import NO_MAIL_PARAMETERS, Command, Data, Ehlo, Helo, Mail, Noop, Quit, Rcpt, Rset
from .domain import COMMON_DOMAIN, common_domain
from .extension_command import Bdat, Lhlo, StartTLS
from .parameters import Body, MailParameters
from .pattern import pattern

Match = re.Match[bytes]

_HOST = rf" (?=[^\r]{{1,{DOMAIN}}}\r)({COMMON_DOMAIN})"
_SIZE = " (?i:SIZE)=([0-9]{1,20})"
_BODY = " (?i:BODY)=((?i:8BITMIME|7BIT))"
_SENDER = rf" (?i:FROM):<({COMMON_MAILBOX})?>(?:{_SIZE})?(?:{_BODY})?(?(2)|(?:{_SIZE})?)"
_CHUNK = rf" ([1-9][0-9]{{0,{CHUNK_SIZE_DIGITS - 1}}}|0(?= ))( (?i:LAST))?"
_NULL_PATH = ReversePath(None)
_BODIES = {body.value.encode(): body for body in (Body.SEVEN_BIT, Body.EIGHT_BIT_MIME)}

_make_mail = maker(Mail, "path", "parameters")
_common_mail = of_common(maker(Mail, "parameters", path=make_reverse_path))
_common_rcpt = of_common(maker(Rcpt, path=make_forward_path))
_make_parameters = maker(MailParameters, "size", "body")
_make_bdat = maker(Bdat, "size", "last")


@frozen(eq=False)
class Form:
    """The usual form of a command."""

    line: re.Pattern[bytes]
    """The whole line, with CRLF."""
    make: Callable[[Match], Command]
    """Returns the command of a match."""
    parameters: frozenset[str] = frozenset()
    """The keywords of the parameters that the line may have."""


def _form(
    kind: type[Command], argument: str, make: Callable[[Match], Command], *parameters: str
) -> Form:
    line = pattern(rf"(?i:{kind.verb}){argument}\r\n".encode())
    return Form(line, make, frozenset(parameters))


def _bare(kind: type[Command]) -> Form:
    command = kind()  # frozen, and without an argument
    return _form(kind, "", lambda match: command)


def _hello(kind: type[Ehlo]) -> Form:
    make = maker(kind, "host")
    return _form(kind, _HOST, lambda match: make(common_domain(match[1].decode())))


def _mail(match: Match) -> Mail:
    sender, size, body, size_after_body = match.groups()
    size, parameters = size or size_after_body, NO_MAIL_PARAMETERS
    if size is not None or body is not None:
        parameters = _make_parameters(size and int(size), body and _BODIES[body.upper()])
    if sender is None:
        return _make_mail(_NULL_PATH, parameters)
    return _common_mail(sender.decode(), parameters)


def _rcpt(match: Match) -> Rcpt:
    return _common_rcpt(match[1].decode())


def _bdat(match: Match) -> Bdat:
    return _make_bdat(int(match[1]), match[2] is not None)


FORMS: Mapping[type[Command], Form] = {
    **{kind: _hello(kind) for kind in (Ehlo, Helo, Lhlo)},
    **{kind: _bare(kind) for kind in (Data, Rset, Noop, Quit, StartTLS)},
    Mail: _form(Mail, _SENDER, _mail, "SIZE", "BODY"),
    Rcpt: _form(Rcpt, rf" (?i:TO):<({COMMON_MAILBOX})>", _rcpt),
    Bdat: _form(Bdat, _CHUNK, _bdat),
}
