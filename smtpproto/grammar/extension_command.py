"""Commands of extensions and of LMTP: LHLO, STARTTLS, AUTH, BDAT, ETRN, XCLIENT, XFORWARD."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from .. import grammar
from ..limits import CHUNK_SIZE_DIGITS
from ..option_types import checked
from .ascii_case import upper
from .command import BAD_ARGUMENT, Command, Ehlo
from .domain import Domain
from .parse_context import ParseContext
from .pattern import pattern
from .reply import GrammarError
from .secret import Secret
from .xtext import decode_base64, encode_base64

_MECHANISM = pattern(r"[A-Z0-9_-]{1,20}")
_CHUNK = pattern(r"([0-9]+)(?: (.*))?")
_QUEUE = pattern(r"[!-~]{1,255}")


class Lhlo(Ehlo):
    """``LHLO host``: LMTP's counterpart of EHLO (RFC 2033 4.1)."""

    verb = "LHLO"


class StartTLS(Command):
    """``STARTTLS`` (RFC 3207)."""

    verb = "STARTTLS"


@checked
@frozen
class Auth(Command):
    """``AUTH mechanism [initial-response]`` (RFC 4954)."""

    verb = "AUTH"
    mechanism: str
    initial: Secret | None = None
    """The decoded initial response. None is no response, which differs from an empty one (sent as
    "=")."""

    def __attrs_post_init__(self) -> None:
        if not _MECHANISM.fullmatch(self.mechanism):
            raise GrammarError("not a mechanism name", reply=BAD_ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        mechanism, space, initial = argument.partition(" ")
        if not space:
            return cls(upper(mechanism))
        octets = b"" if initial == "=" else decode_base64(initial.encode()) if initial else None
        if octets is None or (not octets and initial != "="):
            raise GrammarError("an empty response must be written as '='", reply=BAD_ARGUMENT)
        return cls(upper(mechanism), Secret(octets))

    def argument(self) -> str:
        if self.initial is None:
            return self.mechanism
        return f"{self.mechanism} {encode_base64(self.initial.reveal()).decode() or '='}"

    def __str__(self) -> str:
        return f"AUTH {self.mechanism}{'' if self.initial is None else ' ***'}"


class ChunkError(GrammarError):
    """A BDAT command that is refused although its chunk follows."""

    size: int | None
    """The octets that follow. None if the size cannot be read: then it is unknown where the next
    command starts."""

    def __init__(self, message: str, size: int | None) -> None:
        super().__init__(message, reply=BAD_ARGUMENT)
        self.size = size


@checked
@frozen
class Bdat(Command):
    """``BDAT chunk-size [LAST]`` (RFC 3030 2): *size* octets of content follow the line."""

    verb = "BDAT"
    size: int
    last: bool = False

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.size < 10**CHUNK_SIZE_DIGITS:
            raise ChunkError("not a chunk size", None)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        match = _CHUNK.fullmatch(argument)
        if match is None or len(match[1]) > CHUNK_SIZE_DIGITS:
            raise ChunkError(f"BDAT needs a chunk size of 1 to {CHUNK_SIZE_DIGITS} digits", None)
        size, mark = int(match[1]), match[2]
        if mark is not None and upper(mark) != "LAST":
            raise ChunkError("only LAST may follow the chunk size", size)
        return cls(size, mark is not None)

    def argument(self) -> str:
        return f"{self.size} LAST" if self.last else str(self.size)


@checked
@frozen
class Etrn(Command):
    """``ETRN node`` (RFC 1985): starts a queue.

    *node* is a domain (``example.org``), a domain with its subdomains (``@example.org``), or the
    name of a queue (``#queue``).
    """

    verb = "ETRN"
    node: str

    def __attrs_post_init__(self) -> None:
        if not self.node.startswith("#"):
            Domain(self.node.removeprefix("@"))
        elif not _QUEUE.fullmatch(self.node, 1):
            raise GrammarError("not the name of a queue", reply=BAD_ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(argument)

    def argument(self) -> str:
        return self.node


@checked
@frozen
class XClient(Command):
    """``XCLIENT attribute=value ...`` (Postfix): a trusted client acts for another one."""

    verb = "XCLIENT"
    attributes: grammar.XClientAttributes

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(grammar.XClientAttributes.read(argument))

    def argument(self) -> str:
        return str(self.attributes)


@checked
@frozen
class XForward(Command):
    """``XFORWARD attribute=value ...`` (Postfix): a trusted client states the origin of a message,
    for the log."""

    verb = "XFORWARD"
    attributes: grammar.XForwardAttributes

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(grammar.XForwardAttributes.read(argument))

    def argument(self) -> str:
        return str(self.attributes)


COMMANDS = Lhlo, StartTLS, Auth, Bdat, Etrn, XClient, XForward
