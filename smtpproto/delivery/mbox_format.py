"""The format of an mbox (RFC 4155), with quotes that can be undone (mboxrd).

In mboxo only ``From `` gets a ">", so that a reader cannot know whether ``>From `` was quoted. In
mboxrd ``>From `` gets another one. Programs that read mboxo show one ">" too many in such lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from ..grammar.address import ReversePath
from ..grammar.pattern import pattern

__all__ = ["from_line", "mbox_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_FROM = b"From "
_QUOTED = pattern(rb"(\n>*)From ")

# With these, programs write the flags of a message, its number and its length into an mbox. Of a
# sender they would be lies: Dovecot removes the same ones.
_STATE = frozenset(
    b"content-length status x-imap x-imapbase x-keywords x-status x-uid".split()
)  # fmt: skip
_LONGEST = 1024  # octets of a line of the header that are held back


def from_line(sender: ReversePath, now: float) -> bytes:
    """Return the line that begins a message in an mbox: the sender, and the time in UTC.

    *now* is in seconds since the epoch. The sender of a report is ``MAILER-DAEMON``.
    """
    at = _EPOCH + timedelta(seconds=int(now))
    address = "".join("_" if it.isspace() else it for it in str(sender)) or "MAILER-DAEMON"
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    line = f"From {address} {day} {month} {at.day:2} {at:%H:%M:%S} {at.year:04}\n"
    return line.encode()


def mbox_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a message, whose *pieces* have LF line ends, as it stands in an mbox, before the empty
    line at its end: without the fields that hold the state of a message there, with "From " at
    the beginning of lines quoted, and with LF at its end."""
    last = b"\n"
    for piece in _quoted(_without_state(pieces)):
        last = piece[-1:] or last
        yield piece
    if last != b"\n":
        yield b"\n"


def _quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held, begins = b"", True  # whether the next octet begins a line, or follows its ">"
    for piece in pieces:
        text = (b"\n" if begins else b" ") + held + piece
        if _FROM in text:
            text = _QUOTED.sub(rb"\1>From ", text)
        # What may become "From " is held; the ">" before it need not be: they are all alike.
        line = text[text.rfind(b"\n") + 1 :].lstrip(b">") if b"\n" in text else None
        begins = line is not None and len(line) < len(_FROM) and _FROM.startswith(line)
        held = line or b"" if begins else b""
        yield text[1 : len(text) - len(held)]
    if held:
        yield held


def _without_state(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *pieces* without the fields of ``_STATE`` in the header section."""
    stream, line = iter(pieces), b""
    dropping = inside = False  # whether the field is dropped; whether its line has begun
    for piece in stream:
        *lines, line = (line + piece).split(b"\n")
        kept: list[bytes] = []
        for number, each in enumerate(lines):
            if not inside and each in (b"", b"\r"):  # the end of the header section
                yield b"".join([*kept, b"\n".join([*lines[number:], line])])
                yield from stream
                return
            dropping = dropping if inside else _is_state(each, dropping)
            inside = False
            if not dropping:
                kept.append(each + b"\n")
        if inside or len(line) > _LONGEST:
            dropping = dropping if inside else _is_state(line, dropping)
            inside = True
            if not dropping:
                kept.append(line)
            line = b""
        yield b"".join(kept)
    if not (dropping if inside else _is_state(line, dropping)):
        yield line


def _is_state(line: bytes, dropping: bool) -> bool:
    """Return whether *line* is to be dropped; *dropping* is whether the line before it was."""
    if line[:1] in (b" ", b"\t"):
        return dropping
    return line.partition(b":")[0].rstrip().lower() in _STATE
