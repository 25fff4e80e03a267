"""Commands (RFC 5321 4.1.1, RFC 3207, RFC 4954): one class for each, and the reader of lines.

A command's ``bytes()`` is its line without CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import ClassVar, Self

from attrs import field, frozen

from ..errors import GrammarError
from ..secret import Secret
from .address import ForwardPath, ReversePath, read_forward_path, read_reverse_path
from .case import upper
from .domain import Host, to_host
from .parameters import MailParameters, RcptParameters, read_parameters
from .printable import printable
from .reply import Reply
from .xtext import decode_base64, encode_base64

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")

_UNKNOWN = Reply(500, "5.5.1", "Command unrecognized")
_NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
_ARGUMENT = Reply(501, "5.5.4", "Syntax error in arguments")
_CHARACTERS = Reply(501, "5.5.2", "Invalid characters in command")
_SENDER = Reply(501, "5.1.7", "Syntax error in sender address")
_RECIPIENT = Reply(501, "5.1.3", "Syntax error in recipient address")

RETIRED = frozenset({"TURN", "SEND", "SOML", "SAML"})  # RFC 5321 F.1, F.6


@frozen
class Command:
    """Base of all commands: a verb and what stands behind it."""

    verb: ClassVar[str]

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        """Build from what follows the verb and one space. *parameters* are those that MAIL and
        RCPT may have (None: any that is known). Raises GrammarError."""
        if argument:
            raise GrammarError(f"{cls.verb} takes no argument", reply=_ARGUMENT)
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
    if _CONTROL.search(text):
        raise GrammarError("control character in the argument of a command", reply=_CHARACTERS)
    if text != text.strip(" "):
        raise GrammarError("blank before or after the argument of a command", reply=_ARGUMENT)


@frozen
class _Text(Command):
    """A command whose argument is text. RFC 5321's String is one atom or quoted string; here any
    printable text, since names with spaces and addresses in brackets are what people send."""

    text: str = field(default="", validator=_check_text)

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        return cls(argument.strip(" "))

    def argument(self) -> str:
        return self.text


@frozen
class _Name(_Text):
    """A command that needs such a text."""

    def __attrs_post_init__(self) -> None:
        if not self.text:
            raise GrammarError(f"{self.verb} needs an argument", reply=_ARGUMENT)


@frozen
class Ehlo(Command):
    """``EHLO host``: the client names itself, in ASCII (RFC 6531 3.7.1)."""

    verb = "EHLO"
    host: Host = field(converter=to_host)

    @host.validator
    def _check(self, _: object, host: Host) -> None:
        if not host.isascii:
            raise GrammarError("a host names itself in ASCII (A-labels)", reply=_ARGUMENT)

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        return cls(to_host(argument))

    def argument(self) -> str:
        return str(self.host)


@frozen
class Helo(Ehlo):
    """``HELO host``. Its grammar has domains only; literals are read too, as clients send them."""

    verb = "HELO"


@frozen
class Mail(Command):
    """``MAIL FROM:<reverse-path> parameters``: a transaction begins."""

    verb = "MAIL"
    path: ReversePath
    parameters: MailParameters = field(factory=MailParameters)

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        start = _keyword("FROM:", argument, _SENDER)
        try:
            path, end = read_reverse_path(argument, start)
        except GrammarError as error:
            raise GrammarError(error.message, offset=error.offset, reply=_SENDER) from None
        if end == len(argument):
            return cls(path)
        rest = read_parameters(argument, _space(argument, end, _SENDER))
        return cls(path, MailParameters.read(rest, parameters))

    def argument(self) -> str:
        return f"FROM:<{self.path}> {self.parameters}".rstrip(" ")


@frozen
class Rcpt(Command):
    """``RCPT TO:<forward-path> parameters``: one more recipient."""

    verb = "RCPT"
    path: ForwardPath
    parameters: RcptParameters = field(factory=RcptParameters)

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        start = _keyword("TO:", argument, _RECIPIENT)
        path, end = read_forward_path(argument, start)
        if end == len(argument):
            return cls(path)
        rest = read_parameters(argument, _space(argument, end, _RECIPIENT))
        return cls(path, RcptParameters.read(rest, parameters))

    def argument(self) -> str:
        return f"TO:<{self.path}> {self.parameters}".rstrip(" ")


def _keyword(keyword: str, argument: str, reply: Reply) -> int:
    if upper(argument[: len(keyword)]) != keyword:
        raise GrammarError(f"{keyword!r} belongs here", reply=reply)
    return len(keyword)


def _space(argument: str, at: int, reply: Reply) -> int:
    if argument[at] != " ":
        raise GrammarError(
            "a space stands before parameters", offset=len(argument[:at].encode()), reply=reply
        )
    return at + 1


@frozen
class Data(Command):
    """``DATA``: the content follows once the server has said 354."""

    verb = "DATA"


@frozen
class Rset(Command):
    """``RSET``: forget the transaction."""

    verb = "RSET"


@frozen
class Noop(_Text):
    """``NOOP [text]``: nothing but an answer."""

    verb = "NOOP"


@frozen
class Help(_Text):
    """``HELP [topic]``."""

    verb = "HELP"


@frozen
class Quit(Command):
    """``QUIT``: the last command."""

    verb = "QUIT"


@frozen
class Vrfy(_Name):
    """``VRFY name``: does this user exist?"""

    verb = "VRFY"


@frozen
class Expn(_Name):
    """``EXPN name``: who is on this list?"""

    verb = "EXPN"


@frozen
class StartTLS(Command):
    """``STARTTLS`` (RFC 3207)."""

    verb = "STARTTLS"


@frozen
class Auth(Command):
    """``AUTH mechanism [initial-response]`` (RFC 4954). *initial* is the decoded response; None for
    none, which differs from an empty one (sent as "=")."""

    verb = "AUTH"
    mechanism: str = field()
    initial: Secret | None = None

    @mechanism.validator
    def _check(self, _: object, mechanism: str) -> None:
        if not _MECHANISM.fullmatch(mechanism):
            raise GrammarError("not a mechanism name", reply=_ARGUMENT)

    @classmethod
    def read(cls, argument: str, parameters: Container[str] | None) -> Self:
        mechanism, space, initial = argument.partition(" ")
        if not space:
            return cls(upper(mechanism))
        octets = b"" if initial == "=" else decode_base64(initial.encode()) if initial else None
        if octets is None or (not octets and initial != "="):
            raise GrammarError("an empty response is written as '='", reply=_ARGUMENT)
        return cls(upper(mechanism), Secret(octets))

    def argument(self) -> str:
        if self.initial is None:
            return self.mechanism
        return f"{self.mechanism} {encode_base64(self.initial.reveal()).decode() or '='}"

    def __str__(self) -> str:
        return f"AUTH {self.mechanism}{'' if self.initial is None else ' ***'}"


COMMANDS: Mapping[str, type[Command]] = {
    command.verb: command
    for command in (
        Ehlo, Helo, Mail, Rcpt, Data, Rset, Vrfy, Expn, Help, Noop, Quit, StartTLS, Auth,
    )
}  # fmt: skip


def read_verb(line: bytes) -> str:
    """The verb that *line* (without CRLF) begins with, upper case. Raises GrammarError with reply
    500 if it is none, 502 if this library does not implement it."""
    verb = line.partition(b" ")[0].rstrip(b"\t").upper().decode("ascii", "replace")
    if verb in COMMANDS:
        return verb
    if verb in RETIRED:
        raise GrammarError(f"{verb} is not implemented", reply=_NOT_IMPLEMENTED)
    raise GrammarError("not a command", reply=_UNKNOWN)


def parse_command(line: bytes, parameters: Container[str] | None = None) -> Command:
    """Read one command line, without CRLF.

    Blanks at the end are passed over (RFC 5321 4.1.1). *parameters* are those that MAIL and RCPT
    may have (None: any that is known). Raises GrammarError; its offset counts from the start of
    the line.
    """
    verb = read_verb(line)
    line = line.rstrip(b" \t")
    shift = len(verb) + 1
    try:
        argument = line[shift:].decode()
    except UnicodeDecodeError as error:
        raise GrammarError("not UTF-8", offset=shift + error.start, reply=_CHARACTERS) from None
    if control := _CONTROL.search(argument):
        offset = shift + len(argument[: control.start()].encode())
        raise GrammarError("control character", offset=offset, reply=_CHARACTERS)
    try:
        return COMMANDS[verb].read(argument, parameters)
    except GrammarError as error:
        offset = min(shift + error.offset, len(line))  # a verb alone has no octet behind it
        raise GrammarError(error.message, offset=offset, reply=error.reply) from None
