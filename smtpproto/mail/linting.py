"""Faults of a message that receivers reject or dislike, although it can be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..errors import GrammarError
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.envelope import Envelope
from ..grammar.pattern import pattern
from ..limits import TEXT_LINE
from .fault import Fault, Severity
from .header import header_fields
from .header_faults import faults_of_header
from .preparation import Source, pieces_of, prepare

_CONTROL = pattern(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIELD = pattern(rb"\A(return-path|mime-version)[ \t]*:", re.IGNORECASE)
_TEXT_TYPE = pattern(rb"\Acontent-type[ \t]*:[ \t]*text/(html|plain)", re.IGNORECASE)
_ENCODING = pattern(rb"content-transfer-encoding[ \t]*:[ \t]*(?:8bit|binary)", re.IGNORECASE)
_READABLE = 78  # octets of a line (RFC 5322 2.1.1)
_FAULTS = {
    "long-local-part": (
        Severity.WARNING,
        "local-part of more than 64 octets",
        "use a shorter address (RFC 5321 4.5.3.1.1)",
    ),
    "return-path": (
        Severity.WARNING,
        "a Return-Path field, which only final delivery adds",
        "remove it",
    ),
    "long-line": (
        Severity.ERROR,
        "more than 998 octets",
        "break the line, or encode the part in base64",
    ),
    "line-78": (
        Severity.NOTE,
        "more than 78 octets",
        "break the line, or encode the part as quoted-printable",
    ),
    "control": (Severity.WARNING, "a control character", "remove it, or encode the part"),
    "no-mime": (
        Severity.ERROR,
        "octets above 127 without a MIME-Version field",
        "add MIME-Version: 1.0, and a Content-Type with the charset",
    ),
    "undeclared-8bit": (
        Severity.WARNING,
        "octets above 127 without Content-Transfer-Encoding: 8bit",
        "declare it, or encode the part",
    ),
    "html-alone": (
        Severity.WARNING,
        "HTML without plain text, which filters count as a sign of spam",
        "add the text, as smtpproto.compose does",
    ),
    "not-a-field": (
        Severity.ERROR,
        "a line in the header section that is no field",
        "remove it, or put an empty line before it",
    ),
}


def lint(
    message: Source, envelope: Envelope | None = None, *, now: float | None = None
) -> list[Fault]:
    """Return the faults of *message*, each once, with the number of the line where it is first.

    Lines of more than 998 octets and local-parts of more than 64 (RFC 5321 4.5.3.1) are sent only
    if leniencies allow them. The other faults do not prevent sending, but receivers dislike them.
    With *now*, in seconds since the epoch, a Date that is far off is one, too. What depends on the
    DNS, ``smtpproto check`` finds. A file is read to its end, and then set back to its position.

    Raises GrammarError for a message in pieces, which may be readable only once, and where ``send``
    raises it.
    """
    content, envelope = prepare(message, envelope, long_lines=True)
    if content.size is None:
        raise GrammarError("a message in pieces may be readable only once; pass octets or a file")
    header, found = list[bytes](), dict[str, int]()
    lines = _lines(content.source)  # type: ignore[arg-type]  # it has a size
    for number, code in _faults(lines, header):
        found.setdefault(code, number)
    paths: list[ReversePath | ForwardPath] = [envelope.sender, *envelope.recipients]
    long = [path for path in paths if path.mailbox is not None and path.mailbox.long]
    return [
        *(_fault("long-local-part", about=f": {path}") for path in long),
        *_header_faults(header, envelope, now),
        *(_fault(code, line=number) for code, number in found.items()),
    ]


def _fault(code: str, *, line: int = 0, about: str = "") -> Fault:
    severity, what, mend = _FAULTS[code]
    return Fault(code=code, severity=severity, what=f"{what}{about}", mend=mend, line=line)


def _header_faults(header: list[bytes], envelope: Envelope, now: float | None) -> list[Fault]:
    try:
        fields = header_fields(b"\r\n".join(header))
    except GrammarError:
        return [_fault("not-a-field")]
    return list(faults_of_header(fields, envelope, now))


def _lines(source: bytes | BinaryIO) -> Iterator[bytes]:
    """Yield the lines of *source*, which may end with CRLF, LF or CR."""
    start = None if isinstance(source, bytes) else source.tell()
    held = bytearray()
    for piece in pieces_of(source):
        end = piece.rfind(b"\n") + 1
        held += piece[: end or None]
        if end:
            yield from bytes(held).splitlines()
            held[:] = piece[end:]
    yield from bytes(held).splitlines()
    if start is not None:
        source.seek(start)  # type: ignore[union-attr]


def _faults(lines: Iterable[bytes], header: list[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the codes of the content's faults, each with the number of its line. Put the lines of
    the header section into *header*."""
    in_header, fields, kinds = True, set[bytes](), dict[bytes, int]()
    eight_bit, declared = 0, False
    for number, line in enumerate(lines, 1):
        in_header = in_header and bool(line)
        if in_header:
            header.append(line)
            fields.update(it.lower() for it in _FIELD.findall(line))
        elif not line.isascii():
            eight_bit = eight_bit or number
        for kind in _TEXT_TYPE.findall(line):
            kinds.setdefault(kind.lower(), number)
        declared = declared or _ENCODING.match(line) is not None
        for code in _faults_of_line(line, fields):
            yield number, code
    if eight_bit and not (declared and b"mime-version" in fields):
        yield eight_bit, "undeclared-8bit" if b"mime-version" in fields else "no-mime"
    if b"html" in kinds and b"plain" not in kinds:
        yield kinds[b"html"], "html-alone"


def _faults_of_line(line: bytes, fields: set[bytes]) -> Iterator[str]:
    if b"return-path" in fields:
        yield "return-path"
    if len(line) > _READABLE:
        yield "long-line" if len(line) + 2 > TEXT_LINE else "line-78"
    if _CONTROL.search(line):
        yield "control"
