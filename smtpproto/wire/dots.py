"""Content of DATA (RFC 5321 4.1.1.4, 4.5.2): dot-stuffed lines up to CRLF.CRLF, read and written.

Both classes work on large slices: they search for the few places that matter, and never make a
list of lines. For a few places in much text, ``rfind`` is several times as fast as ``find`` or
``in``, and the decoder of text files finds a bare CR or LF as much faster than counting does.
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder

from ..errors import LocalProtocolError
from ..limits import CHUNK
from .buffer import Buffer

_END = b"\r\n.\r\n"
_ROOM, _ROOM_TO_NORMALIZE = CHUNK - len(_END), CHUNK // 2 - len(_END)  # octets read at a time
_TAIL = re.compile(rb"\r(\n(\.\r?)?)?\Z")  # what may begin an end of data


def has_bare(data: bytes) -> bool:
    """Return whether *data* has a CR or LF that is not part of a CRLF pair."""
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(data.decode("latin-1"), final=True)
    return decoder.newlines not in (None, "\r\n")


def to_crlf(data: bytes) -> bytes:
    """Return *data* with CRLF for each CRLF, bare CR and bare LF."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\r\n")


def _has_dots(data: bytes) -> bool:
    """Return whether a line after the first begins with a dot; usually none does."""
    return data.rfind(b"\r\n.") >= 0


class DotReader:
    """Reads content from a buffer, up to the line of a lone dot and no further.

    *done* becomes True when the end of data was read, *bare* when a bare CR or LF was read. Such an
    octet ends neither a line nor the message. It stays in the content, or with *normalize* becomes
    a CRLF there, after stuffed dots were removed: so where the content ends, and which dots are
    stuffed, never depends on *normalize*.
    """

    def __init__(self, buffer: Buffer, *, normalize: bool = False) -> None:
        self._buffer = buffer
        self._normalize = normalize
        self._room = _ROOM_TO_NORMALIZE if normalize else _ROOM
        self._lone_dot = False
        self._last = b"\r\n"  # the end of the content so far, which may begin a line of a lone dot
        # The content begins at the start of a line, as if the reader had just read a CRLF.
        self._held = b"\r\n"
        self._virtual = 2
        self.done: bool = False
        self.bare: bool = False

    @property
    def refused(self) -> bool:
        """Whether the content must be refused: it has a bare CR or LF that stays, or that could
        have made a line of a lone dot, which a careless relay may take for the end of data."""
        return self.bare and (self._lone_dot or not self._normalize)

    def read(self) -> bytes:
        """Return the next slice, at most 128 KiB; b"" at the end, or if more octets must arrive."""
        while not self.done and (taken := self._buffer.take(self._room)):
            data = self._held + taken
            dots = _has_dots(data)
            if piece := self._unstuff(self._frame(data, dots), dots):
                return piece
        return b""

    def _frame(self, data: bytes, dots: bool) -> bytes:
        """Return *data* without the end of data, or without the tail that may begin it."""
        end = data.find(_END) if dots else -1
        if end >= 0:
            self.done = True
            self._buffer.untake(len(data) - end - len(_END))
            return data[: end + 2]
        tail = _TAIL.search(data, len(data) - 4)
        self._held = tail[0] if tail else b""
        return data[: len(data) - len(self._held)]

    def _unstuff(self, raw: bytes, dots: bool) -> bytes:
        """Return *raw* without stuffed dots and without the CRLF that was not on the wire."""
        if not raw:
            return b""
        self.bare = self.bare or has_bare(raw)
        piece = raw.replace(b"\r\n.", b"\r\n") if dots else raw
        if self._virtual:
            piece, self._virtual = piece[self._virtual :], 0
        return self._normalized(piece) if self._normalize else piece

    def _normalized(self, piece: bytes) -> bytes:
        """Return *piece* with CRLF line ends only. No CRLF is split between pieces."""
        piece = to_crlf(piece)
        lines = self._last + piece
        self._lone_dot = self._lone_dot or _END in lines
        self._last = lines[1 - len(_END) :]
        return piece


class DotWriter:
    """Writes content in its dot-stuffed form."""

    def __init__(self) -> None:
        self._cr = b""  # a CR at the end of a slice may be half of a CRLF
        self._line_start = True

    def encode(self, data: bytes, *, lines: bool = False) -> bytes:
        """Return the wire form of the next slice of content.

        Raises LocalProtocolError for a CR or LF alone, with which one message could be smuggled
        inside another, and then forgets the slice. *lines* says that the caller has made the lines:
        all CR and LF are in pairs, none of which is cut in two. Then this is not checked.
        """
        if lines:
            return self._stuff(data)
        data = self._cr + data
        held = b"\r" if data.endswith(b"\r") else b""
        data = data.removesuffix(b"\r")
        if has_bare(data):
            raise LocalProtocolError("CR or LF alone in the content; end every line with CRLF")
        self._cr = held
        return self._stuff(data)

    def _stuff(self, data: bytes) -> bytes:
        """Return *data* with stuffed dots."""
        if not data:
            return b""
        stuffed = data.replace(b"\r\n.", b"\r\n..") if _has_dots(data) else data
        if self._line_start and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = data.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """Return the end of data, after a CRLF if the content does not end with one."""
        if self._cr:
            raise LocalProtocolError("CR alone at the end of the content; end every line with CRLF")
        return b".\r\n" if self._line_start else b"\r\n.\r\n"
