"""Content of BDAT (RFC 3030): counted octets of any value."""

from __future__ import annotations

from ..errors import LocalProtocolError
from ..limits import CHUNK
from .buffer import Buffer
from .dots import has_bare


class ChunkReader:
    """Reads exactly *size* octets from a buffer."""

    def __init__(self, buffer: Buffer, size: int) -> None:
        self._buffer = buffer
        self._left = size

    @property
    def done(self) -> bool:
        """Whether the whole chunk was read."""
        return self._left == 0

    def read(self) -> bytes:
        """Return the next slice, at most 128 KiB; b"" at the end, or if more octets must arrive."""
        piece = self._buffer.take(min(self._left, CHUNK))
        self._left -= len(piece)
        return piece


class CanonicalText:
    """Checks that text sent in pieces has CR and LF only as CRLF (RFC 3030 2)."""

    def __init__(self) -> None:
        self._cr = b""  # a CR at the end of a piece may be half of a CRLF

    def check(self, data: bytes, *, last: bool) -> None:
        """Check the next piece. Raises LocalProtocolError for a CR or LF alone, and then forgets
        the piece."""
        data = self._cr + data
        held = b"\r" if data.endswith(b"\r") and not last else b""
        if has_bare(data.removesuffix(held)):
            raise LocalProtocolError("CR or LF alone in the content; end every line with CRLF")
        self._cr = held
