"""Commands that extensions add: LHLO, STARTTLS, AUTH, BDAT, ETRN, XCLIENT, XFORWARD."""

from __future__ import annotations

import re
from typing import Self

from attrs import field, frozen

from ..limits import CHUNK_SIZE_DIGITS
from .ascii_case import upper
from .command import ARGUMENT, Command, Ehlo
from .domain import Domain
from .parse_context import ParseContext
from .reply import GrammarError
from .secret import Secret
from .xclient import XClientAttributes, XForwardAttributes
from .xtext import decode_base64, encode_base64

_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")
_CHUNK = re.compile(r"([0-9]+)(?: (.*))?")
_QUEUE = re.compile(r"[!-~]{1,255}")


@frozen
class Lhlo(Ehlo):
    """``LHLO host``: what LMTP has for EHLO (RFC 2033 4.1)."""

    verb = "LHLO"


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
            raise GrammarError("not a mechanism name", reply=ARGUMENT)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        mechanism, space, initial = argument.partition(" ")
        if not space:
            return cls(upper(mechanism))
        octets = b"" if initial == "=" else decode_base64(initial.encode()) if initial else None
        if octets is None or (not octets and initial != "="):
            raise GrammarError("an empty response is written as '='", reply=ARGUMENT)
        return cls(upper(mechanism), Secret(octets))

    def argument(self) -> str:
        if self.initial is None:
            return self.mechanism
        return f"{self.mechanism} {encode_base64(self.initial.reveal()).decode() or '='}"

    def __str__(self) -> str:
        return f"AUTH {self.mechanism}{'' if self.initial is None else ' ***'}"


class ChunkError(GrammarError):
    """A BDAT that cannot be taken. *size* octets follow it all the same; None if nobody can tell,
    so that what comes next cannot be read as commands."""

    def __init__(self, message: str, size: int | None) -> None:
        super().__init__(message, reply=ARGUMENT)
        self.size = size


@frozen
class Bdat(Command):
    """``BDAT chunk-size [LAST]`` (RFC 3030 2): *size* octets of content follow the line at once."""

    verb = "BDAT"
    size: int = field()
    last: bool = False

    @size.validator
    def _check(self, _: object, size: int) -> None:
        if not 0 <= size < 10**CHUNK_SIZE_DIGITS:
            raise ChunkError("not a chunk size", None)

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        match = _CHUNK.fullmatch(argument)
        if match is None or len(match[1]) > CHUNK_SIZE_DIGITS:
            raise ChunkError("BDAT needs the size of the chunk, in 1 to 20 digits", None)
        size, mark = int(match[1]), match[2]
        if mark is not None and upper(mark) != "LAST":
            raise ChunkError("nothing but LAST may follow the size of the chunk", size)
        return cls(size, mark is not None)

    def argument(self) -> str:
        return f"{self.size} LAST" if self.last else str(self.size)


@frozen
class Etrn(Command):
    """``ETRN node`` (RFC 1985): start the queue for a domain (``example.org``), for it and what is
    below it (``@example.org``), or one with a name of its own (``#queue``)."""

    verb = "ETRN"
    node: str = field()

    @node.validator
    def _check(self, _: object, node: str) -> None:
        if node.startswith("#"):
            if not _QUEUE.fullmatch(node, 1):
                raise GrammarError("not the name of a queue", reply=ARGUMENT)
        else:
            Domain(node.removeprefix("@"))

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(argument)

    def argument(self) -> str:
        return self.node


@frozen
class XClient(Command):
    """``XCLIENT attribute=value ...``: a trusted client speaks for another (Postfix)."""

    verb = "XCLIENT"
    attributes: XClientAttributes

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(XClientAttributes.read(argument))

    def argument(self) -> str:
        return str(self.attributes)


@frozen
class XForward(Command):
    """``XFORWARD attribute=value ...``: whom a message came from, for the log (Postfix)."""

    verb = "XFORWARD"
    attributes: XForwardAttributes

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(XForwardAttributes.read(argument))

    def argument(self) -> str:
        return str(self.attributes)
