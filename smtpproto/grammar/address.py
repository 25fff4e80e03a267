"""Mailboxes and paths (RFC 5321 4.1.2; RFC 6531 3.3 for the internationalised forms)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, Self, TypeVar

from attrs import asdict, field, frozen
from attrs.converters import optional

from .. import limits
from ..limits import Leniencies, Tolerance
from ..option_types import checked, maker
from .ascii_case import lower
from .domain import COMMON_DOMAIN, Domain, Host, common_domain, decode_utf8, parse_host, to_host
from .local_part import ATOM, BAD_MAILBOX, check_local_part, error_at, quote, read_local_part
from .parse_context import ParseContext
from .pattern import pattern
from .reply import GrammarError, accepts

_HOST = pattern(r"\[[^\]]*\]|[^\s<>,:;()\"\[\]\\@]*")
_ROUTE = pattern(r"@([^\s<>,:@]+)[,:]")
_POSTMASTER = "postmaster"
_ANYTHING_READABLE = Leniencies(**dict.fromkeys(asdict(Leniencies()), Tolerance.ACCEPT))

T = TypeVar("T")
_Read = Callable[[str, int, ParseContext], tuple[T, int]]


@frozen(eq=False, repr=False)
class _Address:
    """Addresses compare with each other and with strings by their canonical text."""

    @cached_property
    def canonical(self) -> str:
        """The text that all equal addresses have in common, and whose hash they have: with the
        least quoting, and the domain in lower case and with A-labels. So only this form of an
        address is found in a set or dict of strings."""
        return self._written(canonical=True)

    @cached_property
    def isascii(self) -> bool:
        """Whether the address can be written without SMTPUTF8."""
        return self._text.isascii()

    @cached_property
    def _text(self) -> str:
        return self._written(canonical=False)

    def _written(self, *, canonical: bool) -> str:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Address):
            return self.canonical == other.canonical
        if not isinstance(other, str):
            return NotImplemented
        return self.canonical == other or self.canonical == canonical_of(other)

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __bytes__(self) -> bytes:
        return self._text.encode()

    def __str__(self) -> str:
        return self._text


def canonical_of(text: str) -> str | None:
    """Return the canonical form of the address *text*; None if it is not an address."""
    if not text or lower(text) == _POSTMASTER:
        return lower(text)
    try:
        return read_leniently(text).canonical
    except GrammarError:
        return None


def read_leniently(text: str) -> Mailbox:
    """Read an address as any leniency allows it: one that was accepted before. Raises
    GrammarError."""
    if _COMMON.fullmatch(text):
        return common_mailbox(text)
    return _read_whole(_read_mailbox, text, ParseContext(leniencies=_ANYTHING_READABLE))


@checked
@frozen(eq=False)
class Mailbox(_Address):
    """``Local-part "@" ( Domain / address-literal )``.

    A mailbox is equal to a string that means the same address, in any quoting of the local-part and
    any case of the domain: ``mailbox == "bob@example.org"``.
    """

    local_part: str = field()
    """The local-part without quotes and backslashes, since all its quoted forms are equal (RFC 5321
    4.1.2). Case-sensitive, and at most 64 octets when written. The empty local-part is ``""``.
    ``bytes()`` writes the form with the least quoting."""
    domain: Host | None = field(converter=optional(to_host))
    """The domain or address literal. None for the local name of a mailbox, such as ``root``, which
    a client sends only if its leniencies allow :attr:`~smtpproto.Leniencies.missing_domain`."""
    long: bool = field(default=False, kw_only=True, repr=False)
    """Whether the local-part may be as long as a path. A client sends such a mailbox only if its
    leniencies allow :attr:`~smtpproto.Leniencies.long_local_part`."""

    def __attrs_post_init__(self) -> None:
        check_local_part(self.local_part, limits.PATH if self.long else limits.LOCAL_PART)

    @classmethod
    def parse(cls, data: bytes | str) -> Mailbox:
        """Read ``local-part@domain``, without brackets.

        Raises GrammarError. For text, it quotes the text and says what to write instead; for
        octets, it has the offset.
        """
        try:
            text = decode_utf8(data)
            if _COMMON.fullmatch(text):
                return common_mailbox(text)
            return _read_whole(_read_mailbox, text, ParseContext())
        except GrammarError as error:
            raise error if isinstance(data, bytes) else _explained(data, error) from None

    @cached_property
    def leniencies(self) -> tuple[str, ...]:
        """The names of the leniencies that a client needs to send this mailbox."""
        loose = isinstance(self.domain, Domain) and self.domain.loose and "_" in self.domain.name
        needed = {
            "missing_domain": self.domain is None,
            "domain_underscores": loose,
            "long_local_part": len(quote(self.local_part).encode()) > limits.LOCAL_PART,
        }
        return tuple(name for name, is_needed in needed.items() if is_needed)

    def _written(self, *, canonical: bool) -> str:
        local_part = quote(self.local_part)
        if self.domain is not None:
            return f"{local_part}@{self.domain.canonical if canonical else self.domain}"
        return _POSTMASTER if canonical and lower(local_part) == _POSTMASTER else local_part


_make_mailbox = maker(Mailbox, "local_part", "domain", "long")

COMMON_MAILBOX = (
    rf"(?=[^@]{{1,{limits.LOCAL_PART}}}@){ATOM}(?:\.{ATOM})*"
    rf"@(?=[^@<>]{{1,{limits.PATH - len('<@>') - limits.LOCAL_PART}}}(?:>|\Z)){COMMON_DOMAIN}"
)
"""A pattern of common mailboxes, alone or followed by ">": a Dot-string and a domain, both in
ASCII. It matches only what the grammar allows, in all limits."""
_COMMON = pattern(COMMON_MAILBOX)


def of_common(make: Callable[..., T]) -> Callable[..., T]:
    """Return a function that makes a value by *make*, for a text that :data:`COMMON_MAILBOX`
    matches. *make* is a maker of a common mailbox, or of what has one as a part."""

    def read(text: str, *others: object) -> T:
        local_part, at, name = text.partition("@")
        return make(name, text, local_part + at + name.lower(), True, local_part, (), *others)

    return read


_TAKEN = "_text", "canonical", "isascii"  # by the makers of mailboxes and of paths
_make_common = maker(Mailbox, *_TAKEN, "local_part", "leniencies", domain=common_domain)
common_mailbox: Callable[[str], Mailbox] = of_common(_make_common)
"""Returns the mailbox of a text that :data:`COMMON_MAILBOX` matches."""


@frozen(eq=False, repr=False)
class _Path(_Address):
    """A mailbox in angle brackets."""

    mailbox: Mailbox | None
    _empty: ClassVar[str]
    """What stands for no mailbox."""

    def __attrs_post_init__(self) -> None:
        if self.mailbox is not None and len(bytes(self.mailbox)) + len("<>") > limits.PATH:
            message = f"not an address: {str(self.mailbox)[:100]!r}: path of more than 256 octets"
            raise GrammarError(message, reply=BAD_MAILBOX)

    def _written(self, *, canonical: bool) -> str:
        if self.mailbox is None:
            return lower(self._empty) if canonical else self._empty
        return self.mailbox.canonical if canonical else str(self.mailbox)

    def __bytes__(self) -> bytes:
        return f"<{self._text}>".encode()


@checked
@frozen(eq=False)
class ReversePath(_Path):
    """The sender in MAIL: a mailbox, or None for the null path ``<>`` of notifications.

    At most 256 octets when written. Equal to its mailbox, and to the strings to which that is
    equal; the null path is equal to ``""``, which is its ``str()``.
    """

    _empty = ""
    mailbox: Mailbox | None = None

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<>``, and drop a source route (RFC 5321 C). Raises
        GrammarError."""
        return cls(_parse_path(read_reverse_path, data).mailbox)

    @classmethod
    def of(cls, value: ReversePath | Mailbox | str | None) -> ReversePath:
        """Return a path as it is, or make one from a mailbox or a bare address. The empty string
        and None are the null path. Raises GrammarError, and TypeError for any other type."""
        if isinstance(value, ReversePath):
            return value
        if isinstance(value, str) and _COMMON.fullmatch(value):
            return common_reverse_path(value)
        return ReversePath(_to_mailbox(value) if value not in ("", None) else None)


def _no_bare_postmaster(mailbox: Mailbox | None) -> Mailbox | None:
    """Return None for the mailbox ``postmaster`` without a domain, which has a form of its own."""
    return None if mailbox is not None and mailbox.canonical == _POSTMASTER else mailbox


@checked
@frozen(eq=False)
class ForwardPath(_Path):
    """A recipient in RCPT: a mailbox, or None for the bare ``<Postmaster>`` (RFC 5321 4.5.1).

    At most 256 octets when written. Equal to its mailbox, and to the strings to which that is
    equal: ``recipient == "bob@example.org"``. The bare form is equal to ``"postmaster"``.
    """

    _empty = "Postmaster"
    mailbox: Mailbox | None = field(converter=_no_bare_postmaster)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read ``<mailbox>`` or ``<Postmaster>``, and drop a source route. Raises GrammarError."""
        return cls(_parse_path(read_forward_path, data).mailbox)

    @classmethod
    def of(cls, value: ForwardPath | Mailbox | str) -> ForwardPath:
        """Return a path as it is, or make one from a mailbox, a bare address or ``postmaster``.
        Raises GrammarError, and TypeError for any other type."""
        if isinstance(value, ForwardPath):
            return value
        if isinstance(value, str):
            if _COMMON.fullmatch(value):
                return common_forward_path(value)
            if lower(value) == _POSTMASTER:
                return ForwardPath(None)
        return ForwardPath(_to_mailbox(value))

    @property
    def local_part(self) -> str:
        """:attr:`Mailbox.local_part`, or ``Postmaster`` for the bare form."""
        return self._empty if self.mailbox is None else self.mailbox.local_part

    @property
    def domain(self) -> Host | None:
        """The domain or address literal. None for the bare ``<Postmaster>``, and for a mailbox
        without a domain."""
        return None if self.mailbox is None else self.mailbox.domain

    @property
    def is_postmaster(self) -> bool:
        """Whether the local-part is ``postmaster`` in any case (RFC 5321 4.5.1)."""
        return lower(self.local_part) == _POSTMASTER


make_reverse_path: Callable[..., ReversePath] = maker(ReversePath, *_TAKEN, mailbox=_make_common)
make_forward_path: Callable[..., ForwardPath] = maker(ForwardPath, *_TAKEN, mailbox=_make_common)
common_reverse_path: Callable[..., ReversePath] = of_common(make_reverse_path)
common_forward_path: Callable[..., ForwardPath] = of_common(make_forward_path)


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
    bracket = text.startswith("<", at)
    if not bracket:
        context.tolerate("missing_brackets", error_at("a path must start with '<'", text, at))
    start = _skip_route(text, at + 1, context) if bracket else at
    mailbox, end = _read_mailbox(text, start, context)
    if bracket and not text.startswith(">", end):
        raise error_at("a path must end with '>'", text, end)
    if not bracket and mailbox.domain is None:  # without either it could be anything
        raise error_at("'@' must follow the local-part", text, end)
    end += bracket
    if max(len(text[at:end].encode()), len(bytes(mailbox)) + len("<>")) > limits.PATH:
        raise error_at("path of more than 256 octets", text, at)
    return mailbox, end


def _skip_route(text: str, at: int, context: ParseContext) -> int:
    """Return the end of ``A-d-l ":"``, a source route, which is accepted and ignored (RFC 5321 C).

    ``A-d-l = At-domain *( "," At-domain )``
    """
    while match := _ROUTE.match(text, at):
        if not isinstance(_read_host(match[1], text, at + 1, context), Domain):
            raise error_at("a source route must be a list of '@domain'", text, at + 1)
        at = match.end()
        if text[at - 1] == ":":
            return at
        if not text.startswith("@", at):
            raise error_at("a source route must be a list of '@domain'", text, at)
    return at


def _read_mailbox(text: str, at: int, context: ParseContext) -> tuple[Mailbox, int]:
    local_part, end = read_local_part(text, at, context)
    size = len(max(text[at:end].encode(), quote(local_part).encode(), key=len))
    if size > limits.LOCAL_PART:
        error = error_at("local-part of more than 64 octets", text, at)
        context.tolerate("long_local_part", error)
    if size > limits.PATH:
        raise error_at("path of more than 256 octets", text, at)
    long = size > limits.LOCAL_PART
    if not text.startswith("@", end):
        context.tolerate("missing_domain", error_at("'@' must follow the local-part", text, end))
        return _make_mailbox(local_part, None, long), end
    found = _HOST.match(text, end + 1)
    name = found[0] if found else ""
    host = _read_host(name, text, end + 1, context)
    return _make_mailbox(local_part, host, long), end + 1 + len(name)


def _read_host(name: str, text: str, at: int, context: ParseContext) -> Host:
    """Parse *name*, which starts at *at* in *text*. The offset of an error is that in *text*."""
    try:
        return parse_host(name)
    except GrammarError as found:
        error = error_at(found.message, text, at, found.offset)
    kept = name.removesuffix(".")
    try:
        domain = Domain(kept, loose="_" in kept)
    except GrammarError:
        raise error from None
    if kept != name:
        context.tolerate("domain_final_dot", error)
    if domain.loose:
        context.tolerate("domain_underscores", error)
    return domain


def _read_whole(read: _Read[T], text: str, context: ParseContext) -> T:
    """Return the value that *read* finds in *text*, which must have nothing after it."""
    value, end = read(text, 0, context)
    if end != len(text):
        raise error_at("no text may follow the address", text, end)
    return value


def _parse_path(read: _Read[T], data: bytes | str) -> T:
    try:
        return _read_whole(read, decode_utf8(data), ParseContext())
    except GrammarError as error:
        error.located = isinstance(data, bytes)
        raise


# -- what applications pass ----------------------------------------------------------------------


def _to_mailbox(value: object) -> Mailbox:
    """Return *value*, or parse it if it is text. Raises GrammarError, or TypeError."""
    if isinstance(value, Mailbox):
        return value
    if not isinstance(value, str):
        text = f"not an address: {type(value).__name__}; pass str, a Mailbox or a path"
        raise TypeError(f"{text}, here its addr_spec" if hasattr(value, "addr_spec") else text)
    mailbox = Mailbox.parse(value)
    if not value[-1].isdigit():
        return mailbox
    from .address_advice import brackets_for  # noqa: PLC0415

    if brackets := brackets_for(value):  # it fits the grammar, but no such domain exists
        raise _not_an_address(value, f"an IP address must be in brackets; use {brackets}")
    return mailbox


def _explained(address: str, error: GrammarError) -> GrammarError:
    """Return the error for *address*, which says what to pass instead."""
    from .address_advice import advise  # noqa: PLC0415  # only errors need it

    def usable(text: str) -> bool:
        return accepts(_read_whole, _read_mailbox, text, ParseContext())

    found = _not_an_address(address, advise(address, error.message, usable))
    found.offset = error.offset
    context = ParseContext(leniencies=_ANYTHING_READABLE)
    with suppress(GrammarError):
        mailbox = _read_whole(_read_mailbox, address, context)
        if mailbox.leniencies:
            found.message += f"; to use it as it is, pass {_constructor(mailbox)}"
    return found


def _constructor(mailbox: Mailbox) -> str:
    """Return the Python expression that makes *mailbox*, which only leniencies allow."""
    domain = None if mailbox.domain is None else str(mailbox.domain)
    loose = "domain_underscores" in mailbox.leniencies
    long = ", long=True" if "long_local_part" in mailbox.leniencies else ""
    written = f"Domain({domain!r}, loose=True)" if loose else repr(domain)
    return f"Mailbox({mailbox.local_part!r}, {written}{long})"


def _not_an_address(address: str, advice: str) -> GrammarError:
    return GrammarError(f"not an address: {address[:100]!r}: {advice}", reply=BAD_MAILBOX)
