"""Lines (RFC 5321 2.3.8): ended only by CRLF, and bounded in length."""

from __future__ import annotations

import enum
from typing import Final, Literal

from ..errors import GrammarError
from ..limits import TEXT_LINE
from .buffer import Buffer

_BEGINNING = 512  # octets that are kept of a line that is too long


class Overlong(enum.Enum):
    """Stands for a line that was too long and was discarded."""

    LINE = "overlong line"


OVERLONG: Final = Overlong.LINE


class LineReader:
    """Reads lines from a buffer."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer: Buffer = buffer
        self._scanned = 0  # octets already searched for CRLF
        self._skipping = False
        self.beginning: bytes = b""
        """The first octets of the last line that was too long."""
        self.fresh: bool = True
        """Whether nothing of the next line was seen yet."""

    def read(self, limit: int) -> bytes | Literal[Overlong.LINE] | None:
        """Return the next line without its CRLF, or None if it is not complete.

        A line of more than *limit* octets, CRLF included, is discarded up to its end and returned
        once, as OVERLONG; no part of it is ever read as a line of its own.
        """
        buffer = self.buffer
        start = buffer.at
        end = buffer.data.find(b"\r\n", start + self._scanned)
        if end < 0:
            self._keep_incomplete(limit)
            return None
        buffer.at, skipping = end + 2, self._skipping
        self._scanned, self._skipping, self.fresh = 0, False, True
        if skipping:
            return OVERLONG
        if end + 2 - start > limit:
            self.beginning = buffer.data[start : min(end + 2, start + _BEGINNING)]
            return OVERLONG
        return buffer.data[start:end]

    def _keep_incomplete(self, limit: int) -> None:
        """Keep an incomplete line if it can still fit, else only its last octet: it may be a CR."""
        if self._skipping or len(self.buffer) >= limit:
            self.beginning = self.beginning if self._skipping else self.buffer.peek(_BEGINNING)
            self._skipping = True
            self.buffer.take(len(self.buffer) - 1)
        self._scanned = max(len(self.buffer) - 1, 0)
        self.fresh = not (self._skipping or self.buffer)


class LineLengths:
    """Checks text in pieces for lines of more than 1000 octets, CRLF included."""

    def __init__(self) -> None:
        self._unfinished = 0  # octets of the line that has not ended yet

    def check(self, data: bytes) -> None:
        """Check the next piece; every LF ends a line. Raises GrammarError for a longer line."""
        start = -self._unfinished  # where the current line begins
        while len(data) - start > TEXT_LINE:  # one search for each thousand octets
            end = data.rfind(b"\n", max(start, 0), start + TEXT_LINE)
            if end < 0:
                raise GrammarError(
                    f"a line of more than {TEXT_LINE - 2} octets; shorten it, or encode the text"
                )
            start = end + 1
        end = data.rfind(b"\n")
        self._unfinished = len(data) - end - 1 if end >= 0 else self._unfinished + len(data)


def begins_tls(octets: bytes) -> bool:
    """Return whether *octets*, the first to arrive, are TLS: an alert or handshake (RFC 8446 5.1).
    No command and no reply begins like that."""
    return octets[:1] in (b"\x15", b"\x16") and octets[1:2] in (b"", b"\x03")
