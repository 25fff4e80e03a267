"""The SPF record: its version, and its terms, which are directives and modifiers (RFC 7208 4.6, 5,
6 and 12)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any

from attrs import frozen

from .. import limits
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError, accepts
from .spf_macro import MacroString

_TERM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9._-]*)([:=/].*)?", re.DOTALL)
_SPLIT = re.compile(r"[^ ]+")
_LENGTH = re.compile(r"(?:/([0-9]+))?\Z")
_LENGTHS = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_NUMBER = pattern(r"0|[1-9][0-9]{0,2}")
_QNUM = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IP4 = re.compile(rf"{_QNUM}\.{_QNUM}\.{_QNUM}\.{_QNUM}")
_IP6 = pattern(r"[0-9A-Fa-f:.]+")
_KEPT = 512  # records whose terms are remembered
_KEPT_SIZE = 2048  # octets of the largest of them


class SPFResult(enum.Enum):
    """The results of a check (RFC 7208 2.6)."""

    NONE = "none"
    """There is no record to check against."""
    NEUTRAL = "neutral"
    """The domain says nothing about this client."""
    PASS = "pass"
    """The client may send for the domain."""
    FAIL = "fail"
    """The client may not."""
    SOFTFAIL = "softfail"
    """The domain believes that the client may not."""
    TEMPERROR = "temperror"
    """The DNS failed: check again later."""
    PERMERROR = "permerror"
    """The domain's records cannot be read, or ask for too much."""


QUALIFIERS = {
    "": SPFResult.PASS,
    "+": SPFResult.PASS,
    "-": SPFResult.FAIL,
    "~": SPFResult.SOFTFAIL,
    "?": SPFResult.NEUTRAL,
}  # RFC 7208 4.6.2


@frozen
class Directive:
    """A mechanism with its qualifier (RFC 7208 4.6.2)."""

    text: str
    """As it was written."""
    offset: int
    """Of its first octet in the record."""
    result: SPFResult
    """What its qualifier makes of a match."""
    mechanism: str
    """``all``, ``include``, ``a``, ``mx``, ``ptr``, ``ip4``, ``ip6`` or ``exists``."""
    domain: MacroString | None = None
    """The domain-spec. None: the domain of the record."""
    network: int = 0
    """The address of ip4 and ip6, as a number."""
    ip4_length: int = 32
    """The bits of an IPv4 network, 0 to 32."""
    ip6_length: int = 128
    """The bits of an IPv6 network, 0 to 128."""


@frozen
class Modifier:
    """``name "=" value`` (RFC 7208 6)."""

    text: str
    offset: int
    name: str
    """In lower case."""
    value: MacroString


Term = Directive | Modifier


@frozen
class SPFRecord:
    """A record of which each term is well formed."""

    text: str
    terms: tuple[Term, ...]
    """In their order."""
    directives: tuple[Directive, ...]
    redirect: Modifier | None
    exp: Modifier | None

    @classmethod
    def parse(cls, data: bytes | str) -> SPFRecord:
        """Read a record. Raises GrammarError with the offset of the first fault."""
        record = _parse_and_keep(data) if len(data) <= _KEPT_SIZE else _parse(data)
        if isinstance(record, GrammarError):
            raise GrammarError(record.message, offset=record.offset)
        return record

    def __str__(self) -> str:
        return self.text


def is_spf(octets: bytes) -> bool:
    """Return whether a TXT record is one of SPF: whether its version is ``v=spf1`` (RFC 7208
    4.5)."""
    return octets[:6].lower() == b"v=spf1" and octets[6:7] in (b"", b" ")


def _parse(data: bytes | str) -> SPFRecord | GrammarError:
    terms: list[Term] = []
    once: dict[str, Modifier] = {}
    for term in read_terms(data):
        if isinstance(term, GrammarError):
            return term
        if isinstance(term, Modifier) and term.name in ("redirect", "exp"):
            once[term.name] = term
        terms.append(term)
    directives = tuple(term for term in terms if isinstance(term, Directive))
    text = data if isinstance(data, str) else data.decode()
    return SPFRecord(text, tuple(terms), directives, once.get("redirect"), once.get("exp"))


_parse_and_keep = lru_cache(maxsize=_KEPT)(_parse)


def read_terms(data: bytes | str) -> Iterator[Term | GrammarError]:
    """Yield each term of a record, or the fault in its place, with the offset."""
    text = data if isinstance(data, str) else data.decode("latin-1")
    if len(text) > limits.SPF_RECORD:
        yield _error(f"a record of more than {limits.SPF_RECORD} octets", limits.SPF_RECORD)
        return
    if not is_spf(text[:7].encode("utf-8", "replace")):
        yield _error("not an SPF record: it does not begin with v=spf1", 0)
        return
    seen: set[str] = set()
    for match in _SPLIT.finditer(text, 6):
        try:
            term = _term(match[0], match.start())
        except GrammarError as error:
            yield _error(error.message, match.start() + error.offset)
            continue
        if isinstance(term, Modifier) and term.name in ("redirect", "exp"):
            if term.name in seen:  # RFC 7208 6
                yield _error(f"{term.name}= more than once", match.start())
                continue
            seen.add(term.name)
        yield term


def _error(message: str, offset: int) -> GrammarError:
    return GrammarError(message, offset=offset)


def _term(text: str, offset: int) -> Term:
    """Read a term; the offsets of errors are in *text*."""
    match = _TERM.fullmatch(text)
    if match is None:
        raise _error("not a term of an SPF record", 0)
    qualifier, name, at = match[1], match[2].lower(), match.end(2)
    if text[at : at + 1] == "=" and not qualifier:
        parse = MacroString.parse_domain if name in ("redirect", "exp") else MacroString.parse
        return Modifier(text, offset, name, _macros(parse, text, at + 1))
    read = _READERS.get(name)
    if read is None or text[at : at + 1] == "=":
        raise _error(f"there is no mechanism {name!r}", match.start(2))
    return Directive(text, offset, QUALIFIERS[qualifier], name, **read(text, at))


def _macros(parse: Callable[[str], MacroString], text: str, at: int) -> MacroString:
    try:
        return parse(text[at:])
    except GrammarError as error:
        raise _error(error.message, at + error.offset) from None


def _read_nothing(text: str, at: int) -> dict[str, Any]:
    if at < len(text):
        raise _error("nothing may follow this mechanism", at)
    return {}


def _read_domain(text: str, at: int) -> dict[str, Any]:
    """Read ``":" domain-spec``."""
    if text[at : at + 1] != ":":
        raise _error("this mechanism needs ':' and a domain", at)
    return {"domain": _macros(MacroString.parse_domain, text, at + 1)}


def _read_optional_domain(text: str, at: int) -> dict[str, Any]:
    return _read_domain(text, at) if at < len(text) else {}


def _read_hosts(text: str, at: int) -> dict[str, Any]:
    """Read ``[ ":" domain-spec ] [ dual-cidr-length ]``."""
    match = _LENGTHS.search(text, at)
    assert match is not None  # it also matches nothing
    return {
        **_read_optional_domain(text[: match.start()], at),
        "ip4_length": _length(match, 1, 32),
        "ip6_length": _length(match, 2, 128),
    }


def _length(match: re.Match[str], group: int, most: int) -> int:
    written = match[group]
    if written is None:
        return most
    if not _NUMBER.fullmatch(written) or int(written) > most:
        raise _error(f"not a length of a prefix: 0 to {most}", match.start(group))
    return int(written)


def _read_ip4(text: str, at: int) -> dict[str, Any]:
    """Read ``":" ip4-network [ ip4-cidr-length ]``."""
    address, length = _read_network(text, at, 32)
    found = _IP4.fullmatch(address)
    if found is None:
        raise _error("not an IPv4 address", at + 1)
    first, second, third, last = map(int, found.groups())
    return {"network": first << 24 | second << 16 | third << 8 | last, "ip4_length": length}


def _read_ip6(text: str, at: int) -> dict[str, Any]:
    """Read ``":" ip6-network [ ip6-cidr-length ]``."""
    address, length = _read_network(text, at, 128)
    if not _IP6.fullmatch(address) or not accepts(IPv6Address, address):
        raise _error("not an IPv6 address", at + 1)
    return {"network": int(IPv6Address(address)), "ip6_length": length}


def _read_network(text: str, at: int, most: int) -> tuple[str, int]:
    if text[at : at + 1] != ":":
        raise _error("this mechanism needs ':' and an address", at)
    match = _LENGTH.search(text, at)
    assert match is not None  # it also matches nothing
    return text[at + 1 : match.start()], _length(match, 1, most)


_READERS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "all": _read_nothing,
    "include": _read_domain,
    "a": _read_hosts,
    "mx": _read_hosts,
    "ptr": _read_optional_domain,
    "ip4": _read_ip4,
    "ip6": _read_ip6,
    "exists": _read_domain,
}
MECHANISMS = frozenset(_READERS)
