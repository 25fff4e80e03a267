"""Mailboxes and paths (RFC 5321 4.1.2; RFC 6531 3.3 for the internationalised forms)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self, TypeVar

from attrs import field, frozen

from .. import limits
from .ascii_case import lower
from .domain import Domain, Host, parse_host, text_of, to_host
from .parse_context import ParseContext
from .reply import GrammarError, Reply

_SYNTAX = Reply(501, "5.1.3", "Syntax error in mailbox address")

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_UTF8}-]+"
_LOOSE_DOTS = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.{_UTF8}-]+")
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_STRING = re.compile(rf'"((?:[ !#-\[\]-~{_UTF8}]|\\[ -~])+)"')
_MEANING = re.compile(rf"[ -~{_UTF8}]+")
_HOST = re.compile(r"\[[^\]]*\]|[^\s<>,:;()\"\[\]\\@]*")
_ROUTE = re.compile(r"@([^\s<>,:@]+)[,:]")
_POSTMASTER = "postmaster"

H = TypeVar("H")


@frozen
class Mailbox:
    """``Local-part "@" ( Domain / address-literal )``.

    *local_part* is the meaning, without quotes and backslashes, since all quoted forms are
    equal (RFC 5321 4.1.2); case-sensitive. ``bytes()`` writes the form with the least quoting.
    At most 64 octets when written, or what a path may have if *long* says so; not empty.
    """

    local_part: str = field()
    domain: Host = field(converter=to_host)
    long: bool = field(default=False, kw_only=True, eq=False, repr=False)
    """Made by leniency: a client sends it only where its own leniencies say so."""

    def __attrs_post_init__(self) -> None:
        if not _MEANING.fullmatch(self.local_part):
            raise GrammarError("local-part is empty or has control characters", reply=_SYNTAX)
        limit = limits.PATH if self.long else limits.LOCAL_PART
        if len(quote(self.local_part).encode()) > limit:
            raise GrammarError("local-part of more than 64 octets", offset=64, reply=_SYNTAX)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``local-part@domain``, without brackets. Raises GrammarError."""
        text = text_of(data)
        mailbox, end = _read_mailbox(text, 0, ParseContext())
        if end != len(text):
            raise _error("nothing may follow the mailbox", text, end)
        return cls(mailbox.local_part, mailbox.domain)

    @property
    def isascii(self) -> bool:
        """Whether it can be written without SMTPUTF8."""
        return self.local_part.isascii() and self.domain.isascii

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __str__(self) -> str:
        return f"{quote(self.local_part)}@{self.domain}"


def quote(local_part: str) -> str:
    """Write *local_part* as Dot-string if it can be, else as Quoted-string."""
    if _DOT_STRING.fullmatch(local_part):
        return local_part
    escaped = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _check_path(_: object, __: object, mailbox: Mailbox | None) -> None:
    if mailbox is not None and len(bytes(mailbox)) + len("<>") > limits.PATH:
        raise GrammarError("path of more than 256 octets", reply=_SYNTAX)


@frozen
class ReversePath:
    """The sender of MAIL: a mailbox, or None for the null path ``<>`` of notifications. At most 256
    octets when written."""

    mailbox: Mailbox | None = field(default=None, validator=_check_path)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<>``; a source route is read and dropped (RFC 5321 C)."""
        text = text_of(data)
        path, end = read_reverse_path(text, 0, ParseContext())
        if end != len(text):
            raise _error("nothing may follow the path", text, end)
        return cls(path.mailbox)

    @classmethod
    def of(cls, value: ReversePath | Mailbox | str | None) -> ReversePath:
        """Take a path as it is, or make one of a mailbox or a bare address; "" or None is null."""
        if isinstance(value, ReversePath):
            return value
        if isinstance(value, str):
            value = Mailbox.parse(value) if value else None
        if not isinstance(value, Mailbox | None):
            raise _not_an_address(value)
        return ReversePath(value)

    @property
    def isascii(self) -> bool:
        """Whether it can be written without SMTPUTF8."""
        return self.mailbox is None or self.mailbox.isascii

    def __bytes__(self) -> bytes:
        return f"<{self}>".encode()

    def __str__(self) -> str:
        """The bare address, "" for the null path."""
        return "" if self.mailbox is None else str(self.mailbox)


@frozen
class ForwardPath:
    """A recipient of RCPT: a mailbox, or None for the bare ``<Postmaster>`` (RFC 5321 4.5.1). At
    most 256 octets when written."""

    mailbox: Mailbox | None = field(validator=_check_path)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<Postmaster>``; a source route is read and dropped."""
        text = text_of(data)
        path, end = read_forward_path(text, 0, ParseContext())
        if end != len(text):
            raise _error("nothing may follow the path", text, end)
        return cls(path.mailbox)

    @classmethod
    def of(cls, value: ForwardPath | Mailbox | str) -> ForwardPath:
        """Take a path as it is, or make one of a mailbox or a bare address."""
        if isinstance(value, ForwardPath):
            return value
        if isinstance(value, str):
            if lower(value) == _POSTMASTER:
                return ForwardPath(None)
            value = Mailbox.parse(value)
        if not isinstance(value, Mailbox):
            raise _not_an_address(value)
        return ForwardPath(value)

    @property
    def local_part(self) -> str:
        """The local-part's meaning; ``Postmaster`` for the bare form."""
        return "Postmaster" if self.mailbox is None else self.mailbox.local_part

    @property
    def domain(self) -> Host | None:
        """The domain or literal; None for the bare ``<Postmaster>``."""
        return None if self.mailbox is None else self.mailbox.domain

    @property
    def is_postmaster(self) -> bool:
        """Whether the local-part is postmaster in any case (RFC 5321 4.5.1)."""
        return lower(self.local_part) == _POSTMASTER

    @property
    def isascii(self) -> bool:
        """Whether it can be written without SMTPUTF8."""
        return self.mailbox is None or self.mailbox.isascii

    def __bytes__(self) -> bytes:
        return f"<{self}>".encode()

    def __str__(self) -> str:
        """The bare address."""
        return "Postmaster" if self.mailbox is None else str(self.mailbox)


def read_reverse_path(text: str, at: int, context: ParseContext) -> tuple[ReversePath, int]:
    """Read a Reverse-path that starts at *at*; give it and where it ends. Raises GrammarError."""
    if text.startswith("<>", at):
        return ReversePath(None), at + 2
    mailbox, end = _read_path(text, at, context)
    return ReversePath(mailbox), end


def read_forward_path(text: str, at: int, context: ParseContext) -> tuple[ForwardPath, int]:
    """Read a Forward-path or ``<Postmaster>`` that starts at *at*; give it and its end."""
    end = at + len(_POSTMASTER) + 2
    if lower(text[at:end]) == f"<{_POSTMASTER}>":
        return ForwardPath(None), end
    mailbox, end = _read_path(text, at, context)
    return ForwardPath(mailbox), end


def _read_path(text: str, at: int, context: ParseContext) -> tuple[Mailbox, int]:
    """``"<" [ A-d-l ":" ] Mailbox ">"``."""
    if not text.startswith("<", at):
        context.tolerate("missing_brackets", _error("a path starts with '<'", text, at))
        return _read_mailbox(text, at, context)
    start = _skip_route(text, at + 1)
    mailbox, end = _read_mailbox(text, start, context)
    if not text.startswith(">", end):
        raise _error("a path ends with '>'", text, end)
    if len(text[at : end + 1].encode()) > limits.PATH:
        raise _error("path of more than 256 octets", text, at)
    return mailbox, end + 1


def _skip_route(text: str, at: int) -> int:
    """``A-d-l = At-domain *( "," At-domain )``, then ":" (RFC 5321 C: accepted and ignored)."""
    while match := _ROUTE.match(text, at):
        _host(Domain.parse, match[1], text, at + 1)
        at = match.end()
        if text[at - 1] == ":":
            return at
        if not text.startswith("@", at):
            raise _error("a source route is a list of '@domain'", text, at)
    return at


def _read_mailbox(text: str, at: int, context: ParseContext) -> tuple[Mailbox, int]:
    local_part, end = _read_local_part(text, at, context)
    long = len(text[at:end].encode()) > limits.LOCAL_PART
    if long:
        error = _error("local-part of more than 64 octets", text, at)
        context.tolerate("long_local_part", error)
    if not text.startswith("@", end):
        raise _error("'@' belongs after the local-part", text, end)
    found = _HOST.match(text, end + 1)
    name = found[0] if found else ""
    host = _host(parse_host, name, text, end + 1)
    return Mailbox(local_part, host, long=long), end + 1 + len(name)


def _read_local_part(text: str, at: int, context: ParseContext) -> tuple[str, int]:
    """The meaning of the local-part at *at*, and where it ends."""
    if quoted := _QUOTED_STRING.match(text, at):
        return re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    loose = _LOOSE_DOTS.match(text, at)
    if loose is None:
        raise _error("not a local-part", text, at)
    dotted = _DOT_STRING.match(text, at)
    if dotted is None:
        context.tolerate("loose_dots", _error("not a local-part", text, at))
    elif dotted.end() != loose.end():
        error = _error("'@' belongs after the local-part", text, dotted.end())
        context.tolerate("loose_dots", error)
    return loose[0], loose.end()


def _host(parse: Callable[[str], H], name: str, text: str, at: int) -> H:
    """Read the host at *at*, so that an error tells the place in the whole text."""
    try:
        return parse(name)
    except GrammarError as error:
        raise _error(error.message, text, at, error.offset) from None


def _not_an_address(value: object) -> GrammarError:
    return GrammarError(f"not an address: {type(value).__name__}", reply=_SYNTAX)


def _error(message: str, text: str, at: int, beyond: int = 0) -> GrammarError:
    offset = len(text[:at].encode("utf-8", "replace")) + beyond
    return GrammarError(message, offset=offset, reply=_SYNTAX)


def suggested_path(reply: Reply) -> ForwardPath | None:
    """The path that a 251 or 551 tells of, where the mailbox is now (RFC 5321 3.4); None if there
    is none that can be read. Whether to use it is for a person to decide (RFC 5321 7.4)."""
    for candidate in re.findall(r"<[^<>]*>", reply.text) if reply.code in (251, 551) else ():
        try:
            return ForwardPath.parse(candidate)
        except GrammarError:
            continue
    return None
