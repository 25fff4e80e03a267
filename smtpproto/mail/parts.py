"""The parts of a message that may be a report, read with patience and in bounds."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from .charsets import text_in

__all__ = [
    "ReadPart",
    "header_section",
    "parameters",
    "parts_of",
    "read_fields",
    "read_header",
]

_MAX_PARTS = 100
_MAX_DEPTH = 8  # of parts in parts
_MAX_HEADER = 128 * 1024
_MAX_FIELD = 4096  # octets of a field

_FIELD = pattern(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_HEADER_END = pattern(rb"(?:\A|\n)\r?\n")
_MEDIA_TYPE = pattern(r"[ \t]*([^\s;/]+/[^\s;/]+)")
_PARAMETER = pattern(r';[ \t]*([A-Za-z0-9_*-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')


@frozen
class ReadPart:
    """A part of a message that holds no parts, or the message itself."""

    header: Mapping[str, str]
    """The fields by their names in lower case, unfolded; the first of each name."""
    type: str
    """In lower case, for example ``text/plain``."""
    body: bytes
    """Decoded; line ends are as they were."""

    @property
    def text(self) -> str:
        """The body as text, with LF line ends."""
        its = dict(parameters(self.header.get("content-type", "")))
        return text_in(its.get("charset", "utf-8"), self.body).replace("\r\n", "\n")

    @property
    def filename(self) -> str:
        """In lower case; "" if there is none. Octets that RFC 2231 encodes are left so."""
        pairs = parameters(self.header.get("content-disposition", ""))
        name = "".join(value for key, value in pairs if key.partition("*")[0] == "filename")
        return lower(name or dict(parameters(self.header.get("content-type", ""))).get("name", ""))


def parts_of(content: bytes) -> list[ReadPart]:
    """Return the message, whose body is then empty if it has parts, and its parts, also those of
    its parts. Messages in it are not opened. At most 100 parts are read."""
    found: list[ReadPart] = []
    _collect(content, found, "text/plain", 0)
    return found


def _collect(octets: bytes, found: list[ReadPart], default: str, depth: int) -> None:
    if len(found) >= _MAX_PARTS:
        return
    end = _HEADER_END.search(octets, 0, _MAX_HEADER)
    header = read_header(header_section(octets))
    body = octets[end.end() :] if end else b""
    if end is None and not header:  # no header at all
        body = octets
    kind = header.get("content-type", default)
    media = _MEDIA_TYPE.match(kind)
    name = lower(media[1]) if media else default
    boundary = dict(parameters(kind)).get("boundary", "")
    inner = _split(body, boundary) if name.startswith("multipart/") and boundary else []
    if not inner or depth >= _MAX_DEPTH:
        name = "text/plain" if name.startswith("multipart/") else name
        encoding = lower(header.get("content-transfer-encoding", "")).strip()
        found.append(ReadPart(header, name, _decode(body, encoding)))
        return
    found.append(ReadPart(header, name, b""))
    for part in inner:
        _collect(part, found, "text/plain", depth + 1)


def header_section(content: bytes) -> bytes:
    """Return the header section of a message or a part, at most 128 KiB."""
    end = _HEADER_END.search(content, 0, _MAX_HEADER)
    return content[: end.start() if end else _MAX_HEADER]


def read_header(octets: bytes) -> dict[str, str]:
    """Return the fields of a header section by their names in lower case, unfolded; the first of
    each name. Lines that are no fields are ignored."""
    header: dict[str, str] = {}
    for name, text in read_fields(octets):
        header.setdefault(lower(name), text)
    return header


def read_fields(octets: bytes) -> list[tuple[str, str]]:
    """Return the names and texts of the fields of a header section, unfolded. Lines that are no
    fields are ignored, and what a field has beyond 4 KiB."""
    fields: list[tuple[str, list[bytes]]] = []
    for line in octets.split(b"\n"):
        line = line.removesuffix(b"\r")  # noqa: PLW2901
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif match := _FIELD.fullmatch(line):
            fields.append((match[1].decode(), [match[2]]))
    return [(name, _unfolded(lines)) for name, lines in fields]


def _unfolded(lines: list[bytes]) -> str:
    return b"".join(lines)[:_MAX_FIELD].decode("utf-8", "backslashreplace").strip(" \t")


def parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a media type."""
    for found in _PARAMETER.finditer(text):
        quoted = re.sub(r"\\(.)", r"\1", found[2] or "")
        yield lower(found[1]), quoted or found[3] or ""


def _split(body: bytes, boundary: str) -> list[bytes]:
    """Return what stands between the lines of *boundary*, without the line ends before them."""
    mark = re.escape(boundary.encode())
    line = re.compile(rb"(?:\A|\r?\n)--" + mark + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    parts: list[bytes] = []
    start: int | None = None
    for found in line.finditer(body):
        if start is not None:
            parts.append(body[start : max(start, found.start())])
        if found[1] or len(parts) == _MAX_PARTS:
            return parts
        newline = body.find(b"\n", found.end()) + 1
        start = newline or len(body)
    return parts if start is None else [*parts, body[start:]]


def _decode(body: bytes, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(body)
    except binascii.Error:
        pass
    return body
