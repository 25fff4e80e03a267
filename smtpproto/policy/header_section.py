"""The header section of a message as signatures see it: the octets of each field, as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import BinaryIO

from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.printable import quoted
from ..grammar.reply import GrammarError
from ..limits import FROM_FIELD, TEXT_LINE
from ..mail.address_list import parse_address_list
from ..mail.header import MAX_HEADER, HeaderField, split_fields
from ..mail.preparation import Content, has_crlf_lines, repeater
from ..option_types import wrong_type

_BARE = "a CR or LF alone in the header section, where some readers begin a field"
_KEPT = 256  # From fields that were read; programs sign for few senders


# Fields of which a message has at most one (RFC 5322 3.6, RFC 2045 3, RFC 8058 3).
_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version "
    b"content-type content-transfer-encoding list-unsubscribe list-unsubscribe-post".split()
)


class HeaderSection:
    """The fields of a message. *octets* end before the empty line.

    A field here is all its octets but the last CRLF, and names are in lower case.
    """

    def __init__(self, octets: bytes) -> None:
        self.fault: str = _BARE if _has_bare(octets) else ""
        """Why readers may disagree on the fields: a line that is neither a field nor a continuation
        (RFC 5322 2.2), or a CR or LF alone; "" if there is nothing of that kind."""
        self.relaxed: dict[bytes, bytes] = {}
        """The relaxed forms of fields, so that each is made once for all signatures."""
        self._fields: dict[bytes, list[bytes]] = {}
        for name, field in split_fields(octets):
            if name:
                self._fields.setdefault(name.lower().encode(), []).append(field)
            else:
                self.fault = self.fault or f"a line is not a header field: {quoted(field)}"

    @property
    def names(self) -> Collection[bytes]:
        """The names of the fields."""
        return self._fields.keys()

    def named(self, name: bytes) -> list[bytes]:
        """Return the fields with *name*, from the top."""
        return self._fields.get(name, [])

    def select(self, names: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the fields that a signature over *names* covers, each with its name (RFC 6376
        5.4.2).

        A name that stands n times takes the last n fields of this name, from the bottom. One for
        which there is no field left takes nothing.
        """
        left = {name: fields.copy() for name, fields in self._fields.items()}
        return [(name, fields.pop()) for name in names if (fields := left.get(name))]

    def copies(self, names: list[bytes]) -> list[bytes]:
        """Return those of *names* of which there are more fields than a signature over *names*
        covers, though a message has at most one."""
        return [
            name
            for name, fields in self._fields.items()
            if len(fields) > 1 and name in _ONCE and 0 < names.count(name) < len(fields)
        ]


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
            return self._cut(0, data)
        end = self._buffer.find(b"\r\n\r\n", start)
        if (len(self._buffer) if end < 0 else end) > MAX_HEADER:
            raise GrammarError(f"a header section of more than {MAX_HEADER} octets")
        return self._cut(end + 2, data) if end >= 0 else b""

    def finish(self) -> None:
        """The content has ended, perhaps without a body."""
        if not self.ended:
            self._cut(len(self._buffer), b"")

    def _cut(self, end: int, data: bytes) -> bytes:
        """End the section before an empty line at *end*; return what of *data* follows it."""
        body = len(self._buffer) - end - 2
        self.octets = bytes(self._buffer[:end])
        self._buffer.clear()
        self.ended = True
        return data[-body:] if body > 0 else b""


def from_domains(header: HeaderSection) -> tuple[str, ...]:
    """Return the domains of the addresses in the From field, in A-labels and lower case.

    Raises GrammarError if there is not exactly one such field, or if it has no address or more than
    8192 octets.
    """
    if header.fault:
        raise GrammarError(header.fault)
    fields = header.named(b"from")
    if len(fields) != 1:
        raise GrammarError(f"{len(fields)} From fields, not one (RFC 5322 3.6)")
    value = fields[0].partition(b":")[2]
    if len(value) > FROM_FIELD:
        raise GrammarError(f"a From field of more than {FROM_FIELD} octets")
    return (_domains if len(value) <= TEXT_LINE else _domains.__wrapped__)(value)


@lru_cache(_KEPT)
def _domains(value: bytes) -> tuple[str, ...]:
    boxes = parse_address_list(HeaderField("From", value).text)
    if not boxes:
        raise GrammarError("the From field has no address")
    domains = [box.domain for box in boxes if isinstance(box.domain, Domain)]
    return tuple(lower(domain.a_labels().name) for domain in domains)


def feed_source(
    feed: Callable[[bytes], object], source: bytes | BinaryIO | Iterable[bytes]
) -> None:
    """Feed all of *source* with CRLF line ends, and set a seekable file back."""
    passed: object = source
    wrong = any(hasattr(passed, it) for it in ("as_bytes", "__fspath__"))  # EmailMessage, Path
    if wrong or isinstance(passed, str | None):
        raise wrong_type("a message", source, "its octets, a binary file, or octets in pieces")
    if isinstance(source, bytes) and has_crlf_lines(source):
        feed(source)
        return
    reset = repeater(source)
    for data in Content(source, utf8_header=True, long_lines=True).slices():
        feed(data)
    reset()


def _has_bare(octets: bytes) -> bool:
    return not octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
