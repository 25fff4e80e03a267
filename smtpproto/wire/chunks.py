"""Content of BDAT (RFC 3030): counted octets, whatever they are."""

from __future__ import annotations

from ..errors import GrammarError
from ..limits import CHUNK
from .buffer import Buffer
from .dots import has_bare


class ChunkReader:
    """Takes *size* octets from a buffer, and not one more."""

    def __init__(self, buffer: Buffer, size: int) -> None:
        self._buffer = buffer
        self._left = size

    @property
    def done(self) -> bool:
        """Whether all were read."""
        return self._left == 0

    def read(self) -> bytes:
        """Give the next slice, at most 64 KiB; b"" at the end, or if more is needed."""
        piece = self._buffer.take(min(self._left, CHUNK))
        self._left -= len(piece)
        return piece


class CanonicalText:
    """Checks that text sent in pieces has its CR and LF only in pairs (RFC 3030 2)."""

    def __init__(self) -> None:
        self._cr = b""  # at the end of a piece, perhaps half of a CRLF

    def check(self, data: bytes, *, last: bool) -> None:
        """Look at the next piece. Raises GrammarError for a CR or LF alone; the piece is then as if
        it had never been given."""
        data = self._cr + data
        held = b"\r" if data.endswith(b"\r") and not last else b""
        if has_bare(data.removesuffix(held)):
            raise GrammarError("CR or LF alone in the content of a message")
        self._cr = held
