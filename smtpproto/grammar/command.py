"""Commands of RFC 5321 4.1.1: one class for each. A command's ``bytes()`` is its line without CRLF.

The extensions' commands are in ``extended``, the reader of lines in ``line``.
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

from attrs import field, frozen

from .address import ForwardPath, ReversePath, read_forward_path, read_reverse_path
from .ascii_case import upper
from .domain import AddressLiteral, Domain, Host, to_host
from .parameters import MailParameters, Parameter, RcptParameters, read_parameters
from .parse_context import ParseContext
from .printable import printable
from .reply import GrammarError, Reply

CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_BLANKS = re.compile(r" {2,}")
_UTF8_FLAG = re.compile(r"(.*[^ ]) SMTPUTF8(=.*)?", re.IGNORECASE | re.ASCII)

ARGUMENT = Reply(501, "5.5.4", "Syntax error in arguments")
CHARACTERS = Reply(501, "5.5.2", "Invalid characters in command")
_OF_MAIL, _OF_RCPT = MailParameters(), RcptParameters()  # none, the same for all: they are frozen
_SENDER = Reply(501, "5.1.7", "Syntax error in sender address")
_RECIPIENT = Reply(501, "5.1.3", "Syntax error in recipient address")


@frozen
class Command:
    """Base of all commands: a verb and what stands behind it."""

    verb: ClassVar[str]

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        """Build from what follows the verb and one space. Raises GrammarError."""
        if argument:
            raise GrammarError(f"{cls.verb} takes no argument", reply=ARGUMENT)
        return cls()

    def argument(self) -> str:
        """What follows the verb, "" for nothing."""
        return ""

    def __bytes__(self) -> bytes:
        return f"{self.verb} {self.argument()}".rstrip(" ").encode()

    def __str__(self) -> str:
        """The line as it may be shown: escaped, secrets masked."""
        return printable(bytes(self))


def _check_text(_: object, __: object, text: str) -> None:
    if CONTROL.search(text):
        raise GrammarError("control character in the argument of a command", reply=CHARACTERS)
    if text != text.strip(" "):
        raise GrammarError("blank before or after the argument of a command", reply=ARGUMENT)


@frozen
class TextCommand(Command):
    """A command whose argument is text. RFC 5321's String is one atom or quoted string; here any
    printable text, since names with spaces and addresses in brackets are what people send."""

    text: str = field(default="", validator=_check_text)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(argument.strip(" "))

    def argument(self) -> str:
        return self.text


@frozen
class _Name(TextCommand):
    """A command about a name. *smtputf8* says that the reply may be UTF-8 (RFC 6531 3.7.4.2)."""

    smtputf8: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.text:
            raise GrammarError(f"{self.verb} needs an argument", reply=ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        match = _UTF8_FLAG.fullmatch(argument.strip(" ")) if context.utf8 else None
        if match is None:
            return cls(argument.strip(" "))
        if match[2]:
            raise GrammarError("SMTPUTF8 takes no value", offset=match.start(2), reply=ARGUMENT)
        return cls(match[1], smtputf8=True)

    def argument(self) -> str:
        return f"{self.text} SMTPUTF8" if self.smtputf8 else self.text


@frozen
class Ehlo(Command):
    """``EHLO host``: the client names itself, in ASCII (RFC 6531 3.7.1)."""

    verb = "EHLO"
    host: Host = field(converter=to_host)

    @host.validator
    def _check(self, _: object, host: Host) -> None:
        if not host.isascii:
            raise GrammarError("a host names itself in ASCII (A-labels)", reply=ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        try:
            return cls(to_host(argument))
        except GrammarError as error:
            context.tolerate("loose_hello", error)
        return cls(Domain(argument.removesuffix("."), loose=True))

    def argument(self) -> str:
        return str(self.host)


@frozen
class Helo(Ehlo):
    """``HELO host``. Its grammar has domains only; literals are read too, as clients send them."""

    verb = "HELO"

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        command = super().read(argument, context)
        if isinstance(command.host, AddressLiteral):
            error = GrammarError("HELO takes no address literal", reply=ARGUMENT)
            context.tolerate("hello_literal", error)
        return command


@frozen
class Mail(Command):
    """``MAIL FROM:<reverse-path> parameters``: a transaction begins."""

    verb = "MAIL"
    path: ReversePath
    parameters: MailParameters = _OF_MAIL

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        start = _keyword("FROM:", argument, context, _SENDER)
        try:
            path, end = read_reverse_path(argument, start, context)
        except GrammarError as error:
            raise GrammarError(error.message, offset=error.offset, reply=_SENDER) from None
        rest = _parameters(argument, end, context, _SENDER)
        return cls(path, MailParameters.read(rest, context.parameters)) if rest else cls(path)

    def argument(self) -> str:
        return f"FROM:<{self.path}> {self.parameters}".rstrip(" ")


@frozen
class Rcpt(Command):
    """``RCPT TO:<forward-path> parameters``: one more recipient."""

    verb = "RCPT"
    path: ForwardPath
    parameters: RcptParameters = _OF_RCPT

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        start = _keyword("TO:", argument, context, _RECIPIENT)
        path, end = read_forward_path(argument, start, context)
        rest = _parameters(argument, end, context, _RECIPIENT)
        return cls(path, RcptParameters.read(rest, context.parameters)) if rest else cls(path)

    def argument(self) -> str:
        return f"TO:<{self.path}> {self.parameters}".rstrip(" ")


def _keyword(keyword: str, argument: str, context: ParseContext, reply: Reply) -> int:
    """Where the path begins behind *keyword*."""
    if upper(argument[: len(keyword)]) != keyword:
        raise GrammarError(f"{keyword!r} belongs here", reply=reply)
    at = len(keyword)
    while argument.startswith(" ", at):
        error = GrammarError("no space stands behind the colon", offset=at, reply=reply)
        context.tolerate("space_after_colon", error)
        at += 1
    return at


def _parameters(
    argument: str, end: int, context: ParseContext, reply: Reply
) -> tuple[Parameter, ...]:
    """The parameters behind a path that ends at *end*."""
    if end == len(argument):
        return ()
    if argument[end] != " ":
        offset = len(argument[:end].encode())
        raise GrammarError("a space stands before parameters", offset=offset, reply=reply)
    if blanks := _BLANKS.search(argument, end):
        offset = len(argument[: blanks.start()].encode()) + 1
        error = GrammarError("one space too many", offset=offset, reply=ARGUMENT)
        context.tolerate("extra_blanks", error)
        argument = argument[:end] + _BLANKS.sub(" ", argument[end:])
    return read_parameters(argument, end + 1)


@frozen
class Data(Command):
    """``DATA``: the content follows once the server has said 354."""

    verb = "DATA"


@frozen
class Rset(Command):
    """``RSET``: forget the transaction."""

    verb = "RSET"


@frozen
class Noop(TextCommand):
    """``NOOP [text]``: nothing but an answer."""

    verb = "NOOP"


@frozen
class Help(TextCommand):
    """``HELP [topic]``."""

    verb = "HELP"


@frozen
class Quit(Command):
    """``QUIT``: the last command."""

    verb = "QUIT"


@frozen
class Vrfy(_Name):
    """``VRFY name [SMTPUTF8]``: does this user exist?"""

    verb = "VRFY"


@frozen
class Expn(_Name):
    """``EXPN name [SMTPUTF8]``: who is on this list?"""

    verb = "EXPN"
