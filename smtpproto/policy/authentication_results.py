"""The Authentication-Results field: what a host has found out about a message (RFC 8601)."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterator

from attrs import field, frozen

from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.local_part import quote
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..option_types import checked
from .arc import ARCCheck, ARCResult
from .dkim_check import DKIMCheck
from .dmarc import DMARCCheck, DMARCResult
from .field_text import QUOTED, FieldReader, comment, folded, quoted, unquoted, word
from .spf import SPFCheck

_KEYWORD = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")  # RFC 5321 4.1.2, Ldh-str
_TOKEN = pattern(r"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")  # RFC 2045 5.1, RFC 6532 3.2
_NUMBER = pattern(r"[0-9]{1,9}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOMAIN = pattern(r"@[A-Za-z0-9._\x80-\U0010ffff-]+")
_ADDRESS = pattern(rf"(?:{_ATOM}(?:\.{_ATOM})*)?{_DOMAIN.pattern}")
_PVALUE = pattern(rf"{_ADDRESS.pattern}|{_TOKEN.pattern}")
_NAME = pattern(rb"authentication-results\s*:", re.IGNORECASE)
_LINE = pattern(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_END = pattern(rb"(?:\A|\r\n)(?=\r\n)")  # of a header section
_BARE_END = pattern(rb"(?:\A|[\r\n])(?=[\r\n])")  # without CRLF
_LINE_END = pattern(r"\r\n?|\n")
_SHOWN_SIGNATURE = 12  # characters; RFC 6008 4 wants eight or more
_VERSION = 1  # RFC 8601 2.2

_PTYPES = ("body", "dns", "header", "policy", "smtp")  # RFC 8601 2.3, RFC 8904 3
_COMMON = "none pass fail temperror permerror"
METHODS = {
    "arc": "none pass fail",
    "auth": _COMMON,
    "dkim": f"{_COMMON} neutral policy",
    "dmarc": _COMMON,
    "dnswl": "none pass temperror permerror",
    "iprev": "pass fail temperror permerror",
    "spf": f"{_COMMON} neutral policy softfail",
}
"""The registered methods that the library makes, and their results (RFC 8601 2.7, RFC 8904)."""


def _keyword(_: object, attribute: object, value: str) -> None:
    if not _KEYWORD.fullmatch(value):
        raise GrammarError(f"not a keyword of Authentication-Results: {value[:100]!r}")


@checked
@frozen
class Property:
    """``ptype "." property "=" pvalue``: a part of the message that a result is about."""

    ptype: str = field(converter=lower, validator=_keyword)
    """``smtp``, ``header``, ``body`` or ``policy``."""
    name: str = field(converter=lower, validator=_keyword)
    """For example ``mailfrom``, or the name of a field or tag."""
    value: str

    def __str__(self) -> str:
        return f"{self.ptype}.{self.name}={_pvalue(self.value)}"


def _pvalue(value: str) -> str:
    """Return *value* as it is written; of an address, only the local-part may be quoted (RFC 8601
    2.2)."""
    local_part, mark, domain = value.rpartition("@")
    if QUOTED.fullmatch(local_part) and _DOMAIN.fullmatch(mark + domain):
        text = unquoted(local_part)
        if quote(text) == local_part == quoted(text) and domain == printable(domain):
            return value
    return word(value, _ADDRESS if mark else _TOKEN)


@checked
@frozen(kw_only=True)
class MethodResult:
    """The result of one method. Raises GrammarError if a part is not a keyword."""

    method: str = field(converter=lower, validator=_keyword)
    """For example ``spf``."""
    result: str = field(converter=lower, validator=_keyword)
    """For example ``pass``."""
    version: int = 1
    """The version of the method."""
    reason: str = ""
    """Why, in words; "" for none."""
    comment: str = ""
    """For people."""
    properties: tuple[Property, ...] = ()

    @classmethod
    def of_spf(cls, check: SPFCheck) -> MethodResult:
        """Return the result of a check of SPF (RFC 8601 2.7.2). It has the domain alone, since SPF
        says nothing about the local-part."""
        own = Property("smtp", check.identity, check.domain)
        reason = "" if check.result.value == "pass" else check.reason
        return cls(method="spf", result=check.result.value, reason=reason, properties=(own,))

    @classmethod
    def of_dkim(cls, check: DKIMCheck) -> MethodResult:
        """Return the result for a signature (RFC 8601 2.7.1, RFC 6008)."""
        values: dict[str, str] = {}
        if (signature := check.signature) is not None:
            values = {
                "d": check.domain,
                "i": signature.identity,
                "s": signature.selector,
                "a": signature.algorithm,
                "b": b64encode(signature.signature).decode()[:_SHOWN_SIGNATURE],
            }
        properties = tuple(Property("header", it, value) for it, value in values.items() if value)
        reason = "" if check.passed else check.reason
        return cls(method="dkim", result=check.result.value, reason=reason, properties=properties)

    @classmethod
    def of_arc(cls, check: ARCCheck) -> MethodResult:
        """Return the result for a chain (RFC 8617 6)."""
        sealer = f"i={len(check.sets)} by {check.sets[-1].domain}" if check.sets else ""
        reason = "" if check.result is ARCResult.PASS else check.reason
        return cls(method="arc", result=check.result.value, comment=sealer, reason=reason)

    @classmethod
    def of_dmarc(cls, check: DMARCCheck) -> MethodResult:
        """Return the result of a check of DMARC (RFC 9989 9.1). If it failed, ``policy.dmarc`` is
        what the author's domain asks for."""
        properties = [Property("header", "from", check.author)] if check.author else []
        if check.result is DMARCResult.FAIL:
            properties.append(Property("policy", "dmarc", check.disposition.value))
        reason = "" if check.result is DMARCResult.PASS else check.reason
        return cls(
            method="dmarc",
            result=check.result.value,
            reason=reason,
            properties=tuple(properties),
        )

    @classmethod
    def of_login(cls, user: str) -> MethodResult:
        """Return the result for a client that has logged in as *user* (RFC 8601 2.7.4)."""
        return cls(method="auth", result="pass", properties=(Property("smtp", "auth", user),))

    def value_of(self, ptype: str, name: str) -> str:
        """Return the value of the first such property, or "" if there is none."""
        wanted = ptype.lower(), name.lower()
        return next((it.value for it in self.properties if (it.ptype, it.name) == wanted), "")

    @property
    def is_usable(self) -> bool:
        """Whether it may be used for decisions: method, version, result and the types of all
        properties are known (RFC 8601 2.3, 2.6, 4.1)."""
        known_types = all(it.ptype in _PTYPES for it in self.properties)
        return self.is_registered and self.version == 1 and known_types

    @property
    def is_registered(self) -> bool:
        """Whether method and result are in the registry, or are experimental (``x-``)."""
        return self.method.startswith("x-") or self.result in METHODS.get(self.method, "").split()

    def parts(self) -> list[str]:
        """Return what the field says of it, in pieces between which it may be folded."""
        version = "" if self.version == 1 else f"/{self.version}"
        found = [f"{self.method}{version}={self.result}"]
        if self.comment:
            found.append(comment(self.comment))
        if self.reason:
            found.append(f"reason={quoted(self.reason)}")
        return [*found, *map(str, self.properties)]


@checked
@frozen
class AuthenticationResults:
    """An Authentication-Results field.

    ``bytes()`` writes it, with its name and CRLF, for a place above all other fields of the
    message. Values are quoted where they need it, and cut where they would not fit into a line;
    control characters are escaped. It raises GrammarError for a result that is not registered.
    """

    authserv_id: str
    """The name of the host, or of the organisation, that has found this out."""
    results: tuple[MethodResult, ...] = ()
    """None: nothing was found out. Of a field that was read, only those that
    :attr:`~MethodResult.is_usable` tells may be used."""

    @classmethod
    def parse(cls, body: str) -> AuthenticationResults:
        """Read the body of a field. Comments are left out, but for those after a result.

        Methods, results and properties that are not registered are read as well. Properties without
        a type, such as Microsoft's ``action=none``, are left out. Raises
        GrammarError, also for a version that is not known (RFC 8601 2.6).
        """
        reader = FieldReader(body)
        authserv_id = _read_id(reader)
        if _no_result(reader):
            return cls(authserv_id)
        results = [_read_result(reader)]
        while not reader.ended():
            results.append(_read_result(reader))
        return cls(authserv_id, tuple(results))

    def __bytes__(self) -> bytes:
        groups = [[f"{word(self.authserv_id, _TOKEN)};"]]
        for result in self.results:
            if not result.is_registered:
                text = f"{result.method}={result.result} is not a registered result"
                raise GrammarError(f"{text} of Authentication-Results")
            *others, last = result.parts()
            groups.append([*others, last + ";"])
        groups[-1][-1] = (
            groups[-1][-1].removesuffix(";") if self.results else groups[0][0] + " none"
        )
        return folded("Authentication-Results", *groups)


def strip_results(header: bytes, authserv_id: str) -> bytes:
    """Return *header*, a header section, without the Authentication-Results fields that claim to
    be of *authserv_id* (RFC 8601 5). What follows an empty line is kept.

    A field of an unknown version is removed too, and one whose authserv-id cannot be read with
    certainty, since some reader may take it for one of *authserv_id*. For the same reason a CR or
    LF alone counts as a line end, but an empty line of these ends no section that has a CRLF. What
    begins with a blank would continue the field that is put before it, so an empty line is put
    first.
    """
    if header.startswith((b" ", b"\t")):
        return b"\r\n" + header
    own = _canonical(authserv_id)
    found = (_END if b"\r\n" in header else _BARE_END).search(header)
    end = len(header) if found is None else found.end()
    kept: list[bytes] = []
    for field_octets in _fields(header[:end]):
        name = _NAME.match(field_octets)
        if name is None or not _claims(field_octets[name.end() :], own):
            kept.append(field_octets)
    return b"".join(kept) + header[end:]


def _fields(section: bytes) -> Iterator[bytes]:
    """Yield each field with its line ends."""
    start = 0
    for line in _LINE.finditer(section):
        if line[0][:1] not in (b" ", b"\t"):  # else it is of the field before
            yield section[start : line.start()]
            start = line.start()
    yield section[start:]


def _claims(body: bytes, own: str) -> bool:
    text = _LINE_END.sub("\r\n", body.decode("utf-8", "replace")).removesuffix("\r\n")
    try:
        name = _read_id(FieldReader(text))
    except GrammarError:
        return True
    if name.isascii():
        return _canonical(name) == own
    may_be_own = "xn--" in own or not own.isascii()
    return _without_disguise(name) == own or (may_be_own and _canonical(name) == own)


def _without_disguise(name: str) -> str:
    """Return *name* as it looks to a reader who does not see what is invisible or wide."""
    found = unicodedata.normalize("NFKC", name).replace("\u3002", ".")
    seen = "".join(it for it in found if unicodedata.category(it)[0] not in "CZ")
    return lower(seen.removesuffix("."))


def _canonical(authserv_id: str) -> str:
    name = authserv_id.removesuffix(".")
    try:
        return Domain(name, loose=True).canonical
    except GrammarError:
        return lower(name)


def _read_id(reader: FieldReader) -> str:
    """Read ``authserv-id [ CFWS authres-version ]``, up to a semicolon or the end."""
    authserv_id = reader.word(_TOKEN, "an authserv-id")
    reader.comments()
    if reader.text[reader.at : reader.at + 1].isdigit():
        version = reader.match(_NUMBER, "a version")
        if int(version) != _VERSION:
            raise reader.error(f"version {version} of Authentication-Results is not known")
    if not reader.ended() and reader.text[reader.at] != ";":
        raise reader.error("';' must be here")
    return authserv_id


def _no_result(reader: FieldReader) -> bool:
    """Read ``";" "none"`` if it is all that is left."""
    start = reader.at
    if reader.took(";") and reader.matches(_KEYWORD).lower() == "none" and reader.ended():
        return True
    reader.at = start
    return False


def _read_result(reader: FieldReader) -> MethodResult:
    """Read ``";" methodspec [ reasonspec ] *propspec``."""
    reader.expect(";")
    method = reader.match(_KEYWORD, "a method")
    version = int(reader.match(_NUMBER, "a version")) if reader.took("/") else 1
    reader.expect("=")
    result = reader.match(_KEYWORD, "a result")
    comments = reader.comments()
    reason, properties = "", list[Property]()
    while not reader.ended() and reader.text[reader.at] != ";":
        name = reader.match(_KEYWORD, "a property")
        if name.lower() == "reason" and not properties and not reason and reader.took("="):
            reason = reader.word(_TOKEN, "a reason")
            continue
        if name.lower() != "reason" and reader.took("="):
            reader.word(_PVALUE, "a value")
            continue
        reader.expect(".")
        properties.append(_read_property(reader, name))
    return MethodResult(
        method=method,
        version=version,
        result=result,
        reason=reason,
        comment=" ".join(comments),
        properties=tuple(properties),
    )


def _read_property(reader: FieldReader, ptype: str) -> Property:
    name = reader.match(_KEYWORD, "a property")
    reader.expect("=")
    reader.comments()
    was_quoted = reader.text[reader.at : reader.at + 1] == '"'
    value = reader.word(_PVALUE, "a value")
    if was_quoted and (domain := _DOMAIN.match(reader.text, reader.at)):
        reader.at = domain.end()
        value = quote(value) + domain[0]
    return Property(ptype, name, value)
