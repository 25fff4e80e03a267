"""Faults of a message that other systems may reject, although it can be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..errors import GrammarError
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.envelope import Envelope
from ..grammar.pattern import pattern
from ..limits import TEXT_LINE
from .preparation import Source, pieces_of, prepare

_CONTROL = pattern(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIELD = pattern(rb"(return-path|mime-version)[ \t]*:", re.IGNORECASE)


def lint(message: Source, envelope: Envelope | None = None) -> list[str]:
    """Return the faults of *message*, each once, with the number of the line where it is first.

    Lines of more than 998 octets and local-parts of more than 64 (RFC 5321 4.5.3.1) are sent only
    if leniencies allow them. The other faults do not prevent sending: control characters (4.1.1.4),
    a Return-Path field before delivery (4.4), and octets above 127 without MIME (2.4). A file is
    read to its end, and then set back to its position.

    Raises GrammarError for a message in pieces, which may be readable only once, and where ``send``
    raises it.
    """
    content, envelope = prepare(message, envelope, long_lines=True)
    if content.size is None:
        raise GrammarError("a message in pieces may be readable only once; pass octets or a file")
    found: dict[str, int] = {}
    for number, fault in _faults(_lines(content.source)):  # type: ignore[arg-type]  # it has a size
        found.setdefault(fault, number)
    paths: list[ReversePath | ForwardPath] = [envelope.sender, *envelope.recipients]
    long = (path for path in paths if path.mailbox is not None and path.mailbox.long)
    return [
        *(f"local-part of more than 64 octets: {path}" for path in long),
        *(f"line {number}: {fault}" for fault, number in found.items()),
    ]


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


def _faults(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the faults of the content, each with the number of its line."""
    in_header, fields = True, set[bytes]()
    for number, line in enumerate(lines, 1):
        in_header = in_header and bool(line)
        if in_header and (field := _FIELD.match(line)):
            fields.add(field[1].lower())
        if b"return-path" in fields:
            yield number, "a Return-Path field, which only final delivery adds"
        if len(line) + 2 > TEXT_LINE:
            yield number, "more than 998 octets"
        if _CONTROL.search(line):
            yield number, "a control character"
        if not in_header and not line.isascii() and b"mime-version" not in fields:
            yield number, "octets above 127 without a MIME-Version field"
