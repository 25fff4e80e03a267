"""The header section of a message as signatures see it: the octets of each field, as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..mail.address_list import parse_address_list
from ..mail.header import MAX_HEADER, HeaderField
from ..mail.preparation import Content, repeater
from ..option_types import wrong_type

_FIELD_END = pattern(rb"\r\n(?![ \t])")
_NAME = pattern(rb"[!-9;-~]+")


class Field(NamedTuple):
    """A header field."""

    name: bytes
    """In lower case."""
    octets: bytes
    """The whole field, with its CRLF."""

    @property
    def value(self) -> bytes:
        """What follows the colon, without the last CRLF."""
        return self.octets.partition(b":")[2].removesuffix(b"\r\n")


class HeaderSection:
    """The fields of a message, in their order. *octets* end before the empty line."""

    def __init__(self, octets: bytes) -> None:
        self.fields: list[Field] = []
        self.fault = ""
        """Which line is neither a field nor a continuation (RFC 5322 2.2); "" if there is none."""
        self._by_name: dict[bytes, list[Field]] = {}
        for line in _FIELD_END.split(octets.removesuffix(b"\r\n")) if octets else ():
            name, colon, _ = line.partition(b":")
            name = name.rstrip(b" \t").lower()
            if not colon or not _NAME.fullmatch(name):
                self.fault = self.fault or f"a line is not a header field: {_shown(line)}"
                continue
            field = Field(name, line + b"\r\n")
            self.fields.append(field)
            self._by_name.setdefault(name, []).append(field)

    def named(self, name: bytes) -> list[Field]:
        """Return the fields with *name*, which is in lower case, from the top."""
        return self._by_name.get(name, [])

    def select(self, names: Iterable[bytes]) -> list[Field]:
        """Return the fields that a signature over *names*, in lower case, covers (RFC 6376 5.4.2).

        A name that stands n times takes the last n fields of this name, from the bottom. One for
        which there is no field left takes nothing.
        """
        taken: dict[bytes, int] = {}
        chosen = []
        for name in names:
            if fields := self._by_name.get(name):
                number = taken[name] = taken.get(name, 0) + 1
                if number <= len(fields):
                    chosen.append(fields[-number])
        return chosen


class HeaderReader:
    """Cuts content that comes in slices, with CRLF line ends, into header section and body."""

    def __init__(self) -> None:
        self.ended: bool = False
        """Whether the end of the header section was found."""
        self.octets: bytes = b""
        """The header section without the empty line after it, once it has ended."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take the next slice; return what of it belongs to the body.

        Raises GrammarError if the header section is longer than 1 MiB.
        """
        if self.ended:
            return data
        start = max(len(self._buffer) - 3, 0)
        self._buffer += data
        if self._buffer.startswith(b"\r\n"):  # no fields at all
            return self._cut(0, 2)
        end = self._buffer.find(b"\r\n\r\n", start)
        if max(end, 0 if end >= 0 else len(self._buffer)) > MAX_HEADER:
            raise GrammarError(f"a header section of more than {MAX_HEADER} octets")
        return self._cut(end + 2, end + 4) if end >= 0 else b""

    def finish(self) -> None:
        """The content has ended, perhaps without a body."""
        if not self.ended:
            self._cut(len(self._buffer), len(self._buffer))

    def _cut(self, end: int, body: int) -> bytes:
        self.octets, rest = bytes(self._buffer[:end]), bytes(self._buffer[body:])
        self._buffer.clear()
        self.ended = True
        return rest


def from_domains(header: HeaderSection) -> list[str]:
    """Return the domains of the addresses in the From field, in A-labels and lower case.

    Raises GrammarError if there is not exactly one such field, or if it has no address.
    """
    if header.fault:
        raise GrammarError(header.fault)
    fields = header.named(b"from")
    if len(fields) != 1:
        raise GrammarError(f"{len(fields)} From fields, not one (RFC 5322 3.6)")
    text = HeaderField("From", fields[0].value).text
    domains = [box.domain for box in parse_address_list(text)]
    if not domains:
        raise GrammarError("the From field has no address")
    return [lower(it.a_labels().name) for it in domains if isinstance(it, Domain)]


def feed_source(
    feed: Callable[[bytes], object], source: bytes | BinaryIO | Iterable[bytes]
) -> None:
    """Feed all of *source* with CRLF line ends, and set a seekable file back."""
    passed: object = source
    if isinstance(passed, str) or hasattr(passed, "as_bytes"):  # text, or an EmailMessage
        raise wrong_type("a message", source, "its octets, a binary file, or octets in pieces")
    reset = repeater(source)
    for data in Content(source, utf8_header=True, long_lines=True).slices():
        feed(data)
    reset()


def _shown(line: bytes) -> str:
    return repr(printable(line[:40]))
