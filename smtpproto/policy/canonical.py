"""The canonical forms of header fields and bodies that are hashed (RFC 6376 3.4).

The body comes in slices of any size, with CRLF line ends. In most of them the relaxed form changes
nothing; to find that out costs no more than hashing them, and far less for base64.
"""

from __future__ import annotations

import enum
from codecs import utf_16_le_decode
from collections.abc import Callable, Iterable
from hashlib import sha256

__all__ = ["BodyHash", "Canonicalization", "RelaxedBody", "SimpleBody", "canonical_fields"]

_TWO_SPACES = "\u2020"
_HELD = 4096  # empty lines that are written at once


class Canonicalization(enum.Enum):
    """How much a message may change on its way without breaking a signature."""

    SIMPLE = "simple"
    """Almost nothing."""
    RELAXED = "relaxed"
    """The case of field names, the folding of fields, and the number of blanks between words and at
    the ends of lines."""


def canonical_fields(
    fields: Iterable[bytes], form: Canonicalization, known: dict[bytes, bytes] | None = None
) -> bytes:
    """Return header *fields*, each without its last CRLF, in the canonical *form* (RFC 6376 3.4.1,
    3.4.2), joined by CRLFs. They must have no CR or LF alone. *known* are relaxed forms of fields;
    new ones are added to it."""
    simple = b"\r\n".join(fields)
    if form is Canonicalization.SIMPLE:
        return simple
    # VT and FF are blanks for Python only.
    words_of = _words if b"\v" in simple or b"\f" in simple else bytes.split
    known, relaxed = {} if known is None else known, []
    for field in fields:
        if (done := known.get(field)) is None:
            name, _, body = field.partition(b":")
            done = name.rstrip(b" \t").lower() + b":" + b" ".join(words_of(body))
            known[field] = done
        relaxed.append(done)
    return b"\r\n".join(relaxed)


def _words(body: bytes) -> list[bytes]:
    return [it for it in body.replace(b"\r\n", b"").replace(b"\t", b" ").split(b" ") if it]


class SimpleBody:
    """Passes a body on to *write* in its simple form (RFC 6376 3.4.3): without the empty lines at
    its end."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._empty = True
        # CRLFs, and after them perhaps a CR, that are written only if something else follows.
        self._line_ends = 0
        self._cr = b""

    def feed(self, data: bytes) -> None:
        """Take the next slice."""
        data = self._cr + data
        end, self._cr = _content_end(data), b""
        line_ends, has_cr = divmod(len(data) - end, 2)
        if end:
            self._write_held()
            self._write(data[:end])
        self._line_ends += line_ends
        self._cr = b"\r" if has_cr else b""

    def finish(self) -> None:
        """The body has ended."""
        if self._cr:
            self._write_held()
            self._write(self._cr)
        self._end()

    def _end(self) -> None:
        """Write the end of the last line; of an empty body, too."""
        self._write(b"\r\n")

    def _write_held(self) -> None:
        self._empty = False
        while self._line_ends:
            number = min(self._line_ends, _HELD)
            self._write(b"\r\n" * number)
            self._line_ends -= number


class RelaxedBody(SimpleBody):
    """Passes a body on in its relaxed form (RFC 6376 3.4.4): also without blanks at the ends of
    lines, and with one space for each run of blanks."""

    _blank = b""  # a space, and after it perhaps a CR, which may be the end of a line

    def feed(self, data: bytes) -> None:
        """Take the next slice."""
        data = _collapse(self._blank + data)
        self._blank = b" \r" if data.endswith(b" \r") else b" " if data.endswith(b" ") else b""
        super().feed(data.removesuffix(self._blank))

    def finish(self) -> None:
        """The body has ended."""
        if self._blank == b" \r":
            super().feed(self._blank)
        super().finish()

    def _end(self) -> None:
        if not self._empty:
            super()._end()


class _Digests:
    """The SHA-256 hash of octets, and of their first ones."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.limits: list[int] = []  # that are not reached yet, the largest first
        self.found: dict[int | None, bytes] = {}
        self.octets = 0

    def write(self, data: bytes) -> None:
        while self.limits and self.limits[-1] <= self.octets + len(data):
            limit = self.limits.pop()
            self._hash.update(data[: limit - self.octets])
            self.found[limit] = self._hash.digest()
            data, self.octets = data[limit - self.octets :], limit
        self._hash.update(data)
        self.octets += len(data)

    def finish(self) -> None:
        self.found[None] = self._hash.digest()


class BodyHash:
    """The SHA-256 hash of a body in a canonical *form*, and of its first octets (``l=``)."""

    def __init__(self, form: Canonicalization) -> None:
        self._digests = _Digests()  # apart, so that no object refers to itself
        body = RelaxedBody if form is Canonicalization.RELAXED else SimpleBody
        self._body = body(self._digests.write)
        self.feed: Callable[[bytes], None] = self._body.feed
        """Takes the next slice of the body."""

    @property
    def octets(self) -> int:
        """The size of the canonical body."""
        return self._digests.octets

    def limit(self, octets: int) -> None:
        """Hash the first *octets*, too. Call it before the body is fed."""
        self._digests.limits = sorted({*self._digests.limits, octets}, reverse=True)

    def finish(self) -> bytes:
        """Return the hash of the body, which has ended. This may be called twice."""
        if None not in self._digests.found:
            self._body.finish()
            self._digests.finish()
        return self.digest()

    def digest(self, limit: int | None = None) -> bytes:
        """Return the hash of the body, or of its first *limit* octets, after :meth:`finish`."""
        found = self._digests.found
        return found.get(limit, found[None])


def _content_end(data: bytes) -> int:
    """Return where the CRLFs at the end of *data* begin; a CR may follow the last of them."""
    if data[-1:] not in (b"\n", b"\r"):
        return len(data)
    tail = data[len(data.rstrip(b"\r\n")) :]
    start = max(tail.rfind(b"\n\n"), tail.rfind(b"\r\r")) + 1
    start += tail[start] == 0x0A  # a LF without its CR
    return len(data) - len(tail) + start


def _collapse(data: bytes) -> bytes:
    """Return *data* with one space for each run of blanks, and with none before a CRLF."""
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    # All that would change has two spaces here. The first look is for base64, which has none.
    if b" " not in data or not _has_two_spaces(data.replace(b"\r", b" ")):
        return data
    while b"  " in data:  # a pass halves each run
        data = data.replace(b"  ", b" ")
    return data.replace(b" \r\n", b"\r\n")


def _has_two_spaces(data: bytes) -> bool:
    """Return whether *data* has two spaces in a row.

    Read as UTF-16, two spaces at an even place are one character. CPython counts characters without
    branches, several times faster than it finds two octets, one of which is as common as a space.
    """
    try:
        even, _ = utf_16_le_decode(data, "strict", False)
        odd, _ = utf_16_le_decode(data[1:], "strict", False)  # a copy, because alignment counts
    except UnicodeDecodeError:  # not all text beyond ASCII looks like UTF-16
        return data.rfind(b"  ") >= 0  # twice as fast as find
    return even.count(_TWO_SPACES) > 0 or odd.count(_TWO_SPACES) > 0
