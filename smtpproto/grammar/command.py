"""Commands of RFC 5321 4.1.1, one class for each.

``bytes(command)`` is its line without CRLF. The commands of extensions are in
``extension_command``; ``command_line`` reads lines.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar, Self

from attrs import Attribute, field, frozen

from ..option_types import checked
from .address import ForwardPath, ReversePath, read_forward_path, read_reverse_path
from .ascii_case import upper
from .domain import AddressLiteral, HelloHost, MalformedHost, parse_host, to_host
from .parameters import MailParameters, Parameter, RcptParameters, read_parameters
from .parse_context import ParseContext
from .pattern import pattern
from .printable import printable
from .reply import GrammarError, Reply

CONTROL = pattern(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CONTROL_OCTET = pattern(rb"[\x00-\x1f\x7f]")
_SPACES = pattern(r" {2,}")
_UTF8_FLAG = pattern(r"(.*[^ ]) SMTPUTF8(=.*)?", re.IGNORECASE | re.ASCII)

BAD_ARGUMENT = Reply(501, "5.5.4", "Syntax error in arguments")
BAD_CHARACTERS = Reply(501, "5.5.2", "Invalid characters in command")
_BAD_SENDER = Reply(501, "5.1.7", "Syntax error in sender address")
_BAD_RECIPIENT = Reply(501, "5.1.3", "Syntax error in recipient address")

# Frozen, so all commands without parameters share them.
NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS = MailParameters(), RcptParameters()


@frozen
class Command:
    """Base class of all commands: a verb and its argument."""

    verb: ClassVar[str]

    @classmethod
    def read_octets(cls, octets: bytes, context: ParseContext) -> Self:
        """Return the command whose argument is *octets*, as they follow the verb and one space.
        Raises GrammarError."""
        return cls.read(_decode_argument(octets), context)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        """Return the command with *argument*, the text after the verb and one space. Raises
        GrammarError."""
        if argument:
            raise GrammarError(f"{cls.verb} takes no argument", reply=BAD_ARGUMENT)
        return cls()

    def argument(self) -> str:
        """Return the text after the verb, "" if there is none."""
        return ""

    def __bytes__(self) -> bytes:
        return f"{self.verb} {self.argument()}".rstrip(" ").encode()

    @cached_property
    def line(self) -> bytes:
        """The line with its CRLF."""
        return bytes(self) + b"\r\n"

    def __str__(self) -> str:
        """Return the line as it may be shown: escaped, with secrets masked."""
        return printable(bytes(self))


def _decode_argument(octets: bytes) -> str:
    """Return *octets* as text. Raises GrammarError for control characters, and unless it is
    UTF-8."""
    try:
        argument = octets.decode()
    except UnicodeDecodeError as error:
        raise GrammarError("not UTF-8", offset=error.start, reply=BAD_CHARACTERS) from None
    if control := CONTROL.search(argument):
        offset = len(argument[: control.start()].encode())
        raise GrammarError("control character", offset=offset, reply=BAD_CHARACTERS)
    return argument


def _check_text(_instance: object, _attribute: Attribute[str], text: str) -> None:
    if CONTROL.search(text):
        message = "control character in the argument of a command"
        raise GrammarError(message, reply=BAD_CHARACTERS)
    if text != text.strip(" "):
        message = "space before or after the argument of a command"
        raise GrammarError(message, reply=BAD_ARGUMENT)


@checked
@frozen
class TextCommand(Command):
    """A command whose argument is text.

    RFC 5321's String is one atom or quoted string. Any printable text is accepted here, since
    clients send names with spaces and addresses in brackets.
    """

    text: str = field(default="", validator=_check_text)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(argument.strip(" "))

    def argument(self) -> str:
        return self.text


@checked
@frozen
class _NameCommand(TextCommand):
    """A command that asks about a name."""

    smtputf8: bool = field(default=False, kw_only=True)
    """Whether the reply may be UTF-8 (RFC 6531 3.7.4.2)."""

    def __attrs_post_init__(self) -> None:
        if not self.text:
            raise GrammarError(f"{self.verb} needs an argument", reply=BAD_ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        match = _UTF8_FLAG.fullmatch(argument.strip(" ")) if context.utf8 else None
        if match is None:
            return cls(argument.strip(" "))
        if match[2]:
            offset = match.start(2)
            raise GrammarError("SMTPUTF8 takes no value", offset=offset, reply=BAD_ARGUMENT)
        return cls(match[1], smtputf8=True)

    def argument(self) -> str:
        return f"{self.text} SMTPUTF8" if self.smtputf8 else self.text


def _to_hello(value: HelloHost | str) -> HelloHost:
    return value if isinstance(value, MalformedHost) else to_host(value)


def _check_ascii(_instance: object, _attribute: Attribute[HelloHost], host: HelloHost) -> None:
    if not (host.isascii or isinstance(host, MalformedHost)):
        message = "a host must name itself in ASCII, with A-labels"
        raise GrammarError(message, reply=BAD_ARGUMENT)


@checked
@frozen
class Ehlo(Command):
    """``EHLO host``: the client names itself, in ASCII (RFC 6531 3.7.1)."""

    verb = "EHLO"
    host: HelloHost = field(converter=_to_hello, validator=_check_ascii)

    @classmethod
    def read_octets(cls, octets: bytes, context: ParseContext) -> Self:
        try:
            return super().read_octets(octets, context)
        except GrammarError as error:
            if not octets or _CONTROL_OCTET.search(octets):
                raise
            context.tolerate("loose_hello", error)
        return cls(MalformedHost(octets))

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(parse_host(argument))

    def argument(self) -> str:
        return str(self.host)

    def __bytes__(self) -> bytes:
        return f"{self.verb} ".encode() + bytes(self.host)


class Helo(Ehlo):
    """``HELO host``. The grammar has domains only; address literals are read too, since clients
    send them."""

    verb = "HELO"

    @classmethod
    def read_octets(cls, octets: bytes, context: ParseContext) -> Self:
        command = super().read_octets(octets, context)
        if isinstance(command.host, AddressLiteral):
            error = GrammarError("HELO takes no address literal", reply=BAD_ARGUMENT)
            context.tolerate("hello_literal", error)
        return command


@checked
@frozen
class Mail(Command):
    """``MAIL FROM:<reverse-path> parameters``: starts a transaction."""

    verb = "MAIL"
    path: ReversePath
    parameters: MailParameters = NO_MAIL_PARAMETERS

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        start = _path_start("FROM:", argument, context, _BAD_SENDER)
        try:
            path, end = read_reverse_path(argument, start, context)
        except GrammarError as error:
            raise GrammarError(error.message, offset=error.offset, reply=_BAD_SENDER) from None
        rest = _read_parameters(argument, end, context, _BAD_SENDER)
        return cls(path, MailParameters.read(rest, context.parameters)) if rest else cls(path)

    def argument(self) -> str:
        return f"FROM:<{self.path}> {self.parameters}".rstrip(" ")


@checked
@frozen
class Rcpt(Command):
    """``RCPT TO:<forward-path> parameters``: adds a recipient."""

    verb = "RCPT"
    path: ForwardPath
    parameters: RcptParameters = NO_RCPT_PARAMETERS

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        start = _path_start("TO:", argument, context, _BAD_RECIPIENT)
        path, end = read_forward_path(argument, start, context)
        rest = _read_parameters(argument, end, context, _BAD_RECIPIENT)
        return cls(path, RcptParameters.read(rest, context.parameters)) if rest else cls(path)

    def argument(self) -> str:
        return f"TO:<{self.path}> {self.parameters}".rstrip(" ")


def _path_start(keyword: str, argument: str, context: ParseContext, reply: Reply) -> int:
    """Return where the path after *keyword* starts."""
    if upper(argument[: len(keyword)]) != keyword:
        raise GrammarError(f"expected {keyword!r}", reply=reply)
    at = len(keyword)
    while argument.startswith(" ", at):
        error = GrammarError("no space may follow the colon", offset=at, reply=reply)
        context.tolerate("space_after_colon", error)
        at += 1
    return at


def _read_parameters(
    argument: str, end: int, context: ParseContext, reply: Reply
) -> tuple[Parameter, ...]:
    """Return the parameters after a path that ends at *end*."""
    if end == len(argument):
        return ()
    if argument[end] != " ":
        offset = len(argument[:end].encode())
        raise GrammarError("a space must follow the path", offset=offset, reply=reply)
    if spaces := _SPACES.search(argument, end):
        offset = len(argument[: spaces.start()].encode()) + 1
        error = GrammarError("more than one space", offset=offset, reply=BAD_ARGUMENT)
        context.tolerate("extra_blanks", error)
        argument = argument[:end] + _SPACES.sub(" ", argument[end:])
    return read_parameters(argument, end + 1)


class Data(Command):
    """``DATA``: the client sends the content after the server's 354."""

    verb = "DATA"


class Rset(Command):
    """``RSET``: aborts the transaction."""

    verb = "RSET"


class Noop(TextCommand):
    """``NOOP [text]``: does nothing but ask for a reply."""

    verb = "NOOP"


class Help(TextCommand):
    """``HELP [topic]``."""

    verb = "HELP"


class Quit(Command):
    """``QUIT``: the last command of a session."""

    verb = "QUIT"


class Vrfy(_NameCommand):
    """``VRFY name [SMTPUTF8]``: asks whether a user exists."""

    verb = "VRFY"


class Expn(_NameCommand):
    """``EXPN name [SMTPUTF8]``: asks for the members of a mailing list."""

    verb = "EXPN"


COMMANDS = Ehlo, Helo, Mail, Rcpt, Data, Rset, Vrfy, Expn, Help, Noop, Quit
