"""The value of a DKIM-Signature field (RFC 6376 3.5, RFC 8616 5)."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.pattern import pattern
from ..grammar.printable import quoted
from ..grammar.reply import GrammarError
from ..limits import TEXT_LINE
from ..option_types import checked, maker
from .canonical import Canonicalization, canonical_fields
from .tag_list import parse_tag_list, without_blanks

__all__ = ["DKIMSignature"]

_KEPT, _KEPT_NAMES = 1024, 256  # domains, and lists of names (h=), that were read
_LINE = 76  # characters of a line of a field that is written
_QUERY = "dns/txt"
_REQUIRED = frozenset({"a", "b", "bh", "d", "h", "s"})
_COMMON = frozenset({"rsa-sha256", "ed25519-sha256"})
_FORMS = {form.value: form for form in Canonicalization}
_HEADERS = pattern(r"[!-:<-~]+")  # names and colons
_ALGORITHM = pattern(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z][A-Za-z0-9]*")
_LENGTH, _TIME = 76, 12  # digits of l=, and of t= and x=
_ESCAPE = pattern(rb"=(?:([0-9A-F]{2})|)")
_UNSAFE = pattern(rb"[^!-:<>-~\x80-\xff]")  # must be written as =XX (RFC 6376 2.11, RFC 8616 5)
_SIGNATURE_TAG = pattern(rb";[ \t\r\n]*b[ \t\r\n]*=([^;]*)")


@checked
@frozen(kw_only=True)
class DKIMSignature:
    """What a DKIM-Signature field says. :meth:`parse` reads one, :meth:`format` writes one."""

    algorithm: str
    """``a=``, perhaps one that is not supported."""
    domain: str
    """``d=``: the domain that takes responsibility, in A-labels or U-labels."""
    selector: str
    """``s=``: which of the keys of the domain."""
    headers: tuple[str, ...]
    """``h=``: the names of the signed fields."""
    body_hash: bytes
    """``bh=``"""
    signature: bytes = b""
    """``b=``"""
    header_form: Canonicalization = Canonicalization.RELAXED
    """``c=``, before the slash."""
    body_form: Canonicalization = Canonicalization.RELAXED
    """``c=``, after the slash."""
    identity: str = ""
    """``i=``: the user or agent, ``user@domain`` or ``@domain``; "" if it is not given."""
    body_octets: int | None = None
    """``l=``: how many octets of the body are signed. None: all."""
    timestamp: int | None = None
    """``t=``: when it was made, in seconds since the epoch."""
    expires: int | None = None
    """``x=``: when it expires, in seconds since the epoch."""

    @classmethod
    def parse(cls, value: bytes) -> DKIMSignature:
        """Read *value*, which follows the colon of the field. Raises GrammarError."""
        tags = parse_tag_list(value, utf8=True)
        if tags.get("v", "1") != "1":
            raise GrammarError(f"not version 1 of DKIM: v={quoted(tags['v'])}")
        require_tags(tags, {"v"})
        identity = _unescape(tags["i"]) if "i" in tags else ""
        if "i" in tags:
            _a_labels("i", identity.rpartition("@")[2] if "@" in identity else "")
        return make_signature(*signature_values(tags), identity)

    @property
    def domain_name(self) -> str:
        """:attr:`domain` as it is compared: in lower case, with A-labels."""
        return _a_labels("d", self.domain)

    @property
    def identity_domain(self) -> str:
        """The domain of :attr:`identity`, as it is compared."""
        return _a_labels("i", self.identity.rpartition("@")[2] or self.domain)

    @property
    def key_name(self) -> str:
        """The name of the TXT record with the key (RFC 6376 3.6.2.1)."""
        return f"{_a_labels('s', self.selector)}._domainkey.{self.domain_name}"

    @property
    def header_names(self) -> list[bytes]:
        """:attr:`headers` in lower case."""
        return ":".join(self.headers).lower().encode().split(b":")

    def format(self) -> bytes:
        """Return the DKIM-Signature field, folded, without its last CRLF.

        Without a :attr:`signature` it is what is signed; :func:`complete` adds the signature.
        """
        tags = {
            "v": 1,
            "a": self.algorithm,
            "c": f"{self.header_form.value}/{self.body_form.value}",
            "d": self.domain,
            "s": self.selector,
            "i": _escape(self.identity) or None,
            "t": self.timestamp,
            "x": self.expires,
            "l": self.body_octets,
        }
        field = write_signature("DKIM-Signature", tags, self.headers, self.body_hash)
        return complete(field, self.signature) if self.signature else field


def write_signature(
    name: str, tags: Mapping[str, object], headers: Iterable[str] = (), body_hash: bytes = b""
) -> bytes:
    """Return the field *name* without a signature and without its last CRLF: those of *tags* that
    are not None, and ``h=`` and ``bh=`` if there are *headers*."""
    parts = [f" {tag}={value};" for tag, value in tags.items() if value is not None]
    if headers:
        first, *others = headers
        parts += [f" h={first}", *(f":{it}" for it in others)]
        parts[-1] += ";"
        parts.append(f" bh={_base64(body_hash)};")
    return "".join(_folded(f"{name}:", [*parts, " b="])).encode()


def complete(field: bytes, signature: bytes) -> bytes:
    """Return *field*, which was written without a signature, with *signature*."""
    text, width = _base64(signature), _LINE - 1
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return b"".join([field, *(b"\r\n " + line.encode() for line in lines)])


def signed_octets(
    fields: Iterable[bytes],
    own: bytes,
    form: Canonicalization,
    known: dict[bytes, bytes] | None = None,
) -> bytes:
    """Return what is signed: *fields*, and of the signature's *own* field all but the value of
    ``b=``, each without its last CRLF, in the canonical *form* (RFC 6376 3.7). *known* is as in
    :func:`canonical_fields`."""
    name, _, value = own.partition(b":")
    if found := _SIGNATURE_TAG.search(b";" + value):
        start, end = found.span(1)
        value = value[: start - 1] + value[end - 1 :]
    return canonical_fields([*fields, name + b":" + value], form, known)


def is_within(domain: str, parent: str) -> bool:
    """Return whether *domain* is *parent*, or a subdomain of it; both as they are compared."""
    return domain == parent or domain.endswith("." + parent)


_VALUES = (
    "algorithm", "domain", "selector", "headers", "body_hash", "signature", "header_form",
    "body_form", "body_octets", "timestamp", "expires",
)  # fmt: skip
make_signature: Callable[..., DKIMSignature] = maker(DKIMSignature, *_VALUES, "identity")


def signature_values(tags: Mapping[str, str]) -> tuple[Any, ...]:
    """Return what DKIM and ARC have in common: what :data:`_VALUES` names.

    Raises GrammarError if a tag is missing or malformed.
    """
    require_tags(tags, _REQUIRED)
    header_form, body_form = _forms(tags.get("c", "simple/simple"))
    if "q" in tags:
        _check_query(tags["q"])
    timestamp, expires = _number(tags, "t", _TIME), _number(tags, "x", _TIME)
    if timestamp is not None and expires is not None and expires <= timestamp:
        raise GrammarError("the signature expires before it was made: x= is not after t=")
    return (
        *_key_values(tags), _header_names(tags), base64_value(tags, "bh"),
        base64_value(tags, "b"), header_form, body_form, _number(tags, "l", _LENGTH), timestamp,
        expires,
    )  # fmt: skip


def seal_values(tags: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the same for a seal of ARC, which signs neither chosen fields nor the body.

    Raises GrammarError if a tag is missing or malformed.
    """
    require_tags(tags, _REQUIRED - {"bh", "h"})
    form = Canonicalization.RELAXED
    return (
        *_key_values(tags), (), b"", base64_value(tags, "b"), form, form, None,
        _number(tags, "t", _TIME), None,
    )  # fmt: skip


def _key_values(tags: Mapping[str, str]) -> tuple[str, str, str]:
    """Return ``a=``, ``d=`` and ``s=``. Raises GrammarError if one of them is malformed."""
    algorithm, domain, selector = tags["a"], tags["d"], tags["s"]
    if algorithm not in _COMMON and not _ALGORITHM.fullmatch(algorithm):
        raise _malformed("a", algorithm)
    _a_labels("d", domain)
    _a_labels("s", selector)
    return algorithm, domain, selector


def require_tags(tags: Mapping[str, str], names: Set[str]) -> None:
    """Raise GrammarError if one of *names* is not among *tags*."""
    if not names <= tags.keys():
        raise GrammarError(f"the tag {min(names - tags.keys())}= is missing")


def base64_value(tags: Mapping[str, str], name: str) -> bytes:
    """Return the octets that the tag *name* has in base64. Raises GrammarError."""
    text = without_blanks(tags[name])
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        octets = b""
    if not octets or len(text) % 4:
        raise _malformed(name, tags[name])
    return octets


def _forms(text: str) -> tuple[Canonicalization, Canonicalization]:
    header, slash, body = text.partition("/")
    try:
        return _FORMS[header], _FORMS[body if slash else "simple"]
    except KeyError:
        raise GrammarError(f"not a known canonicalization: c={quoted(text)}") from None


def _check_query(text: str) -> None:
    if _QUERY not in (method.strip(" \t") for method in text.split(":")):
        raise GrammarError(f"the key cannot be asked for in these ways: q={quoted(text)}")


def _header_names(tags: Mapping[str, str]) -> tuple[str, ...]:
    text = tags["h"]
    return (_names if len(text) <= TEXT_LINE else _names.__wrapped__)(text)


@lru_cache(_KEPT_NAMES)
def _names(text: str) -> tuple[str, ...]:
    text = text.replace(" :", ":").replace(": ", ":")  # what folding leaves
    if " " in text or "\t" in text:
        text = ":".join([name.strip(" \t") for name in text.split(":")])
    names = tuple(text.split(":"))
    if "" in names or not _HEADERS.fullmatch(text):
        raise _malformed("h", text)
    return names


def _number(tags: Mapping[str, str], name: str, digits: int) -> int | None:
    text = tags.get(name)
    if text is None:
        return None
    if not (len(text) <= digits and text.isascii() and text.isdigit()):
        raise _malformed(name, text)
    return int(text)


@lru_cache(_KEPT)
def _a_labels(tag: str, text: str) -> str:
    """Return a domain in lower case and A-labels (RFC 8616 5). Raises GrammarError."""
    try:
        name = lower(Domain(text, loose=True).a_labels().name)
    except GrammarError:
        raise _malformed(tag, text) from None
    if tag == "d" and "." not in name:
        raise _malformed(tag, text)
    return name


def _escape(text: str) -> str:
    """Return *text* in dkim-quoted-printable (RFC 6376 2.11)."""
    return _UNSAFE.sub(lambda found: b"=%02X" % ord(found[0]), text.encode()).decode()


def _unescape(text: str) -> str:
    def octet(found: Any) -> bytes:
        if not found[1]:
            raise _malformed("i", text)
        return bytes.fromhex(found[1].decode())

    try:
        return _ESCAPE.sub(octet, without_blanks(text).encode()).decode()
    except UnicodeDecodeError:
        raise _malformed("i", text) from None


def _folded(start: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield *parts* after *start*, on lines that are not too long. A part may begin a line."""
    length = len(start)
    yield start
    for part in parts:
        if length + len(part) > _LINE:
            yield "\r\n "
            part, length = part.removeprefix(" "), 1  # noqa: PLW2901
        yield part
        length += len(part)


def _base64(octets: bytes) -> str:
    return binascii.b2a_base64(octets, newline=False).decode()


def _malformed(tag: str, value: str) -> GrammarError:
    return GrammarError(f"the tag {tag}= is malformed: {quoted(value)}")
