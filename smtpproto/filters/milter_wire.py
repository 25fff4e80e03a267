"""The packets of the milter protocol, version 6, which Sendmail has defined: both directions.

A packet is the number of its octets in four octets, a letter, and what the letter's layout says.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping

from attrs import frozen

from ..errors import RemoteProtocolError
from ..ports import is_path
from ..wire.buffer import Buffer

__all__ = [
    "COMMANDS", "MAX_CHUNK", "MAX_PACKET", "RESPONSES", "VERSION", "Action", "Packet",
    "PacketReader", "Step", "peer_octets",
]  # fmt: skip

VERSION = 6
MAX_CHUNK = 65535
"""Octets of the body in a packet."""
MAX_PACKET = 256 * 1024
"""Octets of a packet that are read; libmilter sends at most 64 KiB."""


class Action(enum.IntFlag):
    """What a filter may ask for at the end of a message (SMFIF_*)."""

    ADD_FIELDS = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENTS = 0x04
    DELETE_RECIPIENTS = 0x08
    CHANGE_FIELDS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80
    SET_MACROS = 0x100


class Step(enum.IntFlag):
    """What a filter does not want to be sent, what it does not answer, and two options
    (SMFIP_*)."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADER = 0x20
    NO_EOH = 0x40
    HEADER_UNANSWERED = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    """The server understands "skip"."""
    REFUSED_RCPT = 0x800
    CONNECT_UNANSWERED = 0x1000
    HELO_UNANSWERED = 0x2000
    MAIL_UNANSWERED = 0x4000
    RCPT_UNANSWERED = 0x8000
    DATA_UNANSWERED = 0x10000
    UNKNOWN_UNANSWERED = 0x20000
    EOH_UNANSWERED = 0x40000
    BODY_UNANSWERED = 0x80000
    LEADING_SPACE = 0x100000
    """Values of fields have all octets after the colon."""


Value = int | bytes | tuple[bytes, ...]
Layouts = Mapping[str, tuple[bytes, str]]

# The letters of a layout: i, a number in four octets; c, one octet; s, octets up to a NUL; l, a
# list of them up to the end; o, all octets up to the end.
_OPTIONS = {"optneg": (b"O", "iiio")}
COMMANDS: Layouts = _OPTIONS | {
    "abort": (b"A", ""),
    "body": (b"B", "o"),
    "connect": (b"C", "so"),
    "macro": (b"D", "cl"),
    "eob": (b"E", "o"),
    "helo": (b"H", "s"),
    "quit_nc": (b"K", ""),
    "header": (b"L", "ss"),
    "mail": (b"M", "l"),
    "eoh": (b"N", ""),
    "quit": (b"Q", ""),
    "rcpt": (b"R", "l"),
    "data": (b"T", ""),
    "unknown": (b"U", "s"),
}
"""What a mail server sends (SMFIC_*), by name: a letter, and the layout of what follows it."""
RESPONSES: Layouts = _OPTIONS | {
    "addrcpt": (b"+", "s"),
    "addrcpt_par": (b"2", "l"),
    "delrcpt": (b"-", "s"),
    "accept": (b"a", ""),
    "replbody": (b"b", "o"),
    "continue": (b"c", ""),
    "discard": (b"d", ""),
    "chgfrom": (b"e", "l"),
    "connfail": (b"f", ""),
    "addheader": (b"h", "ss"),
    "insheader": (b"i", "iss"),
    "chgheader": (b"m", "iss"),
    "progress": (b"p", ""),
    "quarantine": (b"q", "s"),
    "reject": (b"r", ""),
    "skip": (b"s", ""),
    "tempfail": (b"t", ""),
    "replycode": (b"y", "s"),
    "shutdown": (b"4", ""),
}
"""What a filter sends (SMFIR_*)."""


@frozen
class Packet:
    """A packet: its name in a table of layouts, and a value for each letter of its layout."""

    name: str
    values: tuple[Value, ...] = ()

    def write(self, layouts: Layouts) -> bytes:
        """Return the octets of the packet."""
        letter, layout = layouts[self.name]
        pairs = zip(layout, self.values, strict=True)
        octets = letter + b"".join(_write(kind, value) for kind, value in pairs)
        return struct.pack(">I", len(octets)) + octets


def _write(kind: str, value: Value) -> bytes:
    if isinstance(value, int):
        return struct.pack(">I", value)
    if isinstance(value, tuple):
        return b"".join(_write("s", it) for it in value)
    return value.replace(b"\0", b" ") + b"\0" if kind == "s" else value


class PacketReader:
    """Reads packets from octets that arrive in pieces. *layouts*: those of the other side."""

    def __init__(self, layouts: Layouts) -> None:
        self._buffer = Buffer()
        self._names = {letter: (name, layout) for name, (letter, layout) in layouts.items()}

    def feed(self, data: bytes) -> None:
        """Take octets that have arrived."""
        self._buffer.feed(data)

    def next(self) -> Packet | None:
        """Return the next packet; None if it has not arrived in full. Raises RemoteProtocolError
        for one that is too long, unknown or malformed."""
        head = self._buffer.peek(4)
        if len(head) < 4:
            return None
        [length] = struct.unpack(">I", head)
        if not 0 < length <= MAX_PACKET:
            raise RemoteProtocolError(f"a packet of {length} octets", phase="filter")
        if len(self._buffer) < 4 + length:
            return None
        self._buffer.take(4)
        letter, octets = self._buffer.take(1), self._buffer.take(length - 1)
        if letter not in self._names:
            raise RemoteProtocolError(f"an unknown packet: {letter!r}", phase="filter")
        name, layout = self._names[letter]
        try:
            return Packet(name, _read(layout, octets))
        except (ValueError, struct.error):
            raise RemoteProtocolError(f"a malformed packet: {name}", phase="filter") from None


def _read(layout: str, octets: bytes) -> tuple[Value, ...]:
    """Return the values in *octets*. Raises ValueError and struct.error."""
    values: list[Value] = []
    for kind in layout:
        if kind == "i":
            values += struct.unpack_from(">I", octets)
            octets = octets[4:]
        elif kind == "c":
            values += struct.unpack_from("c", octets)
            octets = octets[1:]
        elif kind == "s":
            end = octets.index(b"\0")
            values.append(octets[:end])
            octets = octets[end + 1 :]
        else:
            values.append(octets if kind == "o" else _list(octets))
            octets = b""
    if octets:
        raise ValueError("octets are left")
    return tuple(values)


def _list(octets: bytes) -> tuple[bytes, ...]:
    *strings, rest = octets.split(b"\0")
    if rest:
        raise ValueError("the last string has no end")
    return tuple(strings)


def peer_octets(address: str, port: int) -> bytes:
    """Return what stands after the host name in "connect"."""
    if not address or is_path(address):
        return b"U" if not address else b"L\0\0" + address.encode() + b"\0"
    family = b"6" if ":" in address else b"4"
    return family + struct.pack(">H", port) + address.encode() + b"\0"
