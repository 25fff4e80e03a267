"""Mailboxes and paths (RFC 5321 4.1.2; RFC 6531 3.3 for the internationalised forms)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self, TypeVar

from attrs import Attribute, field, frozen

from .. import limits
from .ascii_case import lower
from .domain import Domain, Host, decode_utf8, parse_host, to_host
from .parse_context import ParseContext
from .reply import GrammarError, Reply

_BAD_MAILBOX = Reply(501, "5.1.3", "Syntax error in mailbox address")

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_UTF8}-]+"
_LOOSE_DOTS = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.{_UTF8}-]+")
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_STRING = re.compile(rf'"((?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*)"')
_LOCAL_PART = re.compile(rf"[ -~{_UTF8}]*")  # without quotes and backslashes
_HOST = re.compile(r"\[[^\]]*\]|[^\s<>,:;()\"\[\]\\@]*")
_ROUTE = re.compile(r"@([^\s<>,:@]+)[,:]")
_POSTMASTER = "postmaster"

H = TypeVar("H")


@frozen
class Mailbox:
    """``Local-part "@" ( Domain / address-literal )``."""

    local_part: str = field()
    """The local-part without quotes and backslashes, since all its quoted forms are equal (RFC 5321
    4.1.2). Case-sensitive, and at most 64 octets when written. The empty local-part is ``""``.
    ``bytes()`` writes the form with the least quoting."""

    domain: Host = field(converter=to_host)

    long: bool = field(default=False, kw_only=True, eq=False, repr=False)
    """Whether a leniency allowed the local-part to be as long as a path. A client sends such a
    mailbox only if its own leniencies allow it."""

    def __attrs_post_init__(self) -> None:
        if not _LOCAL_PART.fullmatch(self.local_part):
            message = "a local-part must not contain control characters"
            raise GrammarError(message, reply=_BAD_MAILBOX)
        limit = limits.PATH if self.long else limits.LOCAL_PART
        if len(quote(self.local_part).encode()) > limit:
            message = "local-part of more than 64 octets"
            raise GrammarError(message, offset=64, reply=_BAD_MAILBOX)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``local-part@domain``, without brackets. Raises GrammarError."""
        text = decode_utf8(data)
        mailbox, end = _read_mailbox(text, 0, ParseContext())
        if end != len(text):
            raise _error("no text may follow the mailbox", text, end)
        return cls(mailbox.local_part, mailbox.domain)

    @property
    def isascii(self) -> bool:
        """Whether the mailbox can be written without SMTPUTF8."""
        return self.local_part.isascii() and self.domain.isascii

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __str__(self) -> str:
        return f"{quote(self.local_part)}@{self.domain}"


def quote(local_part: str) -> str:
    """Write *local_part* as a Dot-string if possible, else as a Quoted-string."""
    if _DOT_STRING.fullmatch(local_part):
        return local_part
    escaped = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _check_path_length(
    _instance: object, _attribute: Attribute[Mailbox | None], mailbox: Mailbox | None
) -> None:
    if mailbox is not None and len(bytes(mailbox)) + len("<>") > limits.PATH:
        raise GrammarError("path of more than 256 octets", reply=_BAD_MAILBOX)


@frozen
class ReversePath:
    """The sender in MAIL: a mailbox, or None for the null path ``<>`` of notifications.

    At most 256 octets when written.
    """

    mailbox: Mailbox | None = field(default=None, validator=_check_path_length)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<>``, and drop a source route (RFC 5321 C). Raises
        GrammarError."""
        text = decode_utf8(data)
        path, end = read_reverse_path(text, 0, ParseContext())
        if end != len(text):
            raise _error("no text may follow the path", text, end)
        return cls(path.mailbox)

    @classmethod
    def of(cls, value: ReversePath | Mailbox | str | None) -> ReversePath:
        """Return a path as it is, or make one from a mailbox or a bare address. The empty string
        and None are the null path. Raises GrammarError."""
        if isinstance(value, ReversePath):
            return value
        if isinstance(value, str):
            value = _parse_address(value) if value else None
        if not isinstance(value, Mailbox | None):
            raise _not_an_address(value)
        return ReversePath(value)

    @property
    def isascii(self) -> bool:
        """Whether the path can be written without SMTPUTF8."""
        return self.mailbox is None or self.mailbox.isascii

    def __bytes__(self) -> bytes:
        return f"<{self}>".encode()

    def __str__(self) -> str:
        """Return the bare address, "" for the null path."""
        return "" if self.mailbox is None else str(self.mailbox)


@frozen
class ForwardPath:
    """A recipient in RCPT: a mailbox, or None for the bare ``<Postmaster>`` (RFC 5321 4.5.1).

    At most 256 octets when written.
    """

    mailbox: Mailbox | None = field(validator=_check_path_length)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<Postmaster>``, and drop a source route. Raises GrammarError."""
        text = decode_utf8(data)
        path, end = read_forward_path(text, 0, ParseContext())
        if end != len(text):
            raise _error("no text may follow the path", text, end)
        return cls(path.mailbox)

    @classmethod
    def of(cls, value: ForwardPath | Mailbox | str) -> ForwardPath:
        """Return a path as it is, or make one from a mailbox, a bare address or ``postmaster``.
        Raises GrammarError."""
        if isinstance(value, ForwardPath):
            return value
        if isinstance(value, str):
            if lower(value) == _POSTMASTER:
                return ForwardPath(None)
            value = _parse_address(value)
        if not isinstance(value, Mailbox):
            raise _not_an_address(value)
        return ForwardPath(value)

    @property
    def local_part(self) -> str:
        """:attr:`Mailbox.local_part`, or ``Postmaster`` for the bare form."""
        return "Postmaster" if self.mailbox is None else self.mailbox.local_part

    @property
    def domain(self) -> Host | None:
        """The domain or address literal, or None for the bare ``<Postmaster>``."""
        return None if self.mailbox is None else self.mailbox.domain

    @property
    def is_postmaster(self) -> bool:
        """Whether the local-part is ``postmaster`` in any case (RFC 5321 4.5.1)."""
        return lower(self.local_part) == _POSTMASTER

    @property
    def isascii(self) -> bool:
        """Whether the path can be written without SMTPUTF8."""
        return self.mailbox is None or self.mailbox.isascii

    def __bytes__(self) -> bytes:
        return f"<{self}>".encode()

    def __str__(self) -> str:
        """Return the bare address."""
        return "Postmaster" if self.mailbox is None else str(self.mailbox)


def read_reverse_path(text: str, at: int, context: ParseContext) -> tuple[ReversePath, int]:
    """Read the Reverse-path that starts at *at*; return it and its end. Raises GrammarError."""
    if text.startswith("<>", at):
        return ReversePath(None), at + 2
    mailbox, end = _read_path(text, at, context)
    return ReversePath(mailbox), end


def read_forward_path(text: str, at: int, context: ParseContext) -> tuple[ForwardPath, int]:
    """Read the Forward-path or ``<Postmaster>`` that starts at *at*; return it and its end. Raises
    GrammarError."""
    end = at + len(_POSTMASTER) + 2
    if lower(text[at:end]) == f"<{_POSTMASTER}>":
        return ForwardPath(None), end
    mailbox, end = _read_path(text, at, context)
    return ForwardPath(mailbox), end


def _read_path(text: str, at: int, context: ParseContext) -> tuple[Mailbox, int]:
    """Read ``"<" [ A-d-l ":" ] Mailbox ">"``."""
    if not text.startswith("<", at):
        context.tolerate("missing_brackets", _error("a path must start with '<'", text, at))
        return _read_mailbox(text, at, context)
    start = _skip_route(text, at + 1)
    mailbox, end = _read_mailbox(text, start, context)
    if not text.startswith(">", end):
        raise _error("a path must end with '>'", text, end)
    if len(text[at : end + 1].encode()) > limits.PATH:
        raise _error("path of more than 256 octets", text, at)
    return mailbox, end + 1


def _skip_route(text: str, at: int) -> int:
    """Return the end of ``A-d-l ":"``, a source route, which is accepted and ignored (RFC 5321 C).

    ``A-d-l = At-domain *( "," At-domain )``
    """
    while match := _ROUTE.match(text, at):
        _parse_at(Domain.parse, match[1], text, at + 1)
        at = match.end()
        if text[at - 1] == ":":
            return at
        if not text.startswith("@", at):
            raise _error("a source route must be a list of '@domain'", text, at)
    return at


def _read_mailbox(text: str, at: int, context: ParseContext) -> tuple[Mailbox, int]:
    local_part, end = _read_local_part(text, at, context)
    long = len(text[at:end].encode()) > limits.LOCAL_PART
    if long:
        error = _error("local-part of more than 64 octets", text, at)
        context.tolerate("long_local_part", error)
    if not text.startswith("@", end):
        raise _error("'@' must follow the local-part", text, end)
    found = _HOST.match(text, end + 1)
    name = found[0] if found else ""
    host = _parse_at(parse_host, name, text, end + 1)
    return Mailbox(local_part, host, long=long), end + 1 + len(name)


def _read_local_part(text: str, at: int, context: ParseContext) -> tuple[str, int]:
    """Return the local-part at *at*, without quotes and backslashes, and its end."""
    if quoted := _QUOTED_STRING.match(text, at):
        return re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    loose = _LOOSE_DOTS.match(text, at)
    if loose is None:
        raise _error("not a local-part", text, at)
    dotted = _DOT_STRING.match(text, at)
    if dotted is None:
        context.tolerate("loose_dots", _error("not a local-part", text, at))
    elif dotted.end() != loose.end():
        error = _error("'@' must follow the local-part", text, dotted.end())
        context.tolerate("loose_dots", error)
    return loose[0], loose.end()


def _parse_at(parse: Callable[[str], H], name: str, text: str, at: int) -> H:
    """Parse *name*, which starts at *at* in *text*. The offset of an error is that in *text*."""
    try:
        return parse(name)
    except GrammarError as error:
        raise _error(error.message, text, at, error.offset) from None


def _parse_address(address: str) -> Mailbox:
    """Parse an address that the caller passed. The text of an error includes the address."""
    try:
        return Mailbox.parse(address)
    except GrammarError as error:
        message = f"not an address: {address[:100]!r}: {error.message}"
        raise GrammarError(message, offset=error.offset, reply=error.reply) from None


def _not_an_address(value: object) -> GrammarError:
    message = f"not an address: {type(value).__name__}; pass str, a Mailbox or a path"
    return GrammarError(message, reply=_BAD_MAILBOX)


def _error(message: str, text: str, at: int, offset: int = 0) -> GrammarError:
    """Return an error at *offset* octets after the character *at* of *text*."""
    start = len(text[:at].encode("utf-8", "replace"))
    return GrammarError(message, offset=start + offset, reply=_BAD_MAILBOX)


def suggested_path(reply: Reply) -> ForwardPath | None:
    """Return the forward path that a 251 or 551 reply suggests (RFC 5321 3.4), or None.

    It is the new address of a recipient whose mailbox has moved. None means that *reply* has
    another code or no path. A person should decide whether to use the path (RFC 5321 7.4).
    """
    for candidate in re.findall(r"<[^<>]*>", reply.text) if reply.code in (251, 551) else ():
        try:
            return ForwardPath.parse(candidate)
        except GrammarError:
            continue
    return None
