"""Functions that cut octets into pieces, and a plain definition of bare CR and LF."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable


def cut_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return *data* in pieces, cut at *cuts*. Pieces may be empty."""
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def single_octets(data: bytes) -> list[bytes]:
    """Return each octet of *data*."""
    return [data[i : i + 1] for i in range(len(data))]


def pieces_of(data: bytes, size: int) -> list[bytes]:
    """Return *data* in pieces of *size* octets."""
    return [data[i : i + size] for i in range(0, len(data), size)]


async def async_pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield *pieces*, as an asynchronous source of content."""
    for piece in pieces:
        yield piece


def has_bare_cr_or_lf(data: bytes) -> bool:
    """Return whether *data* has a CR or LF outside CRLF."""
    return re.search(rb"\r(?!\n)|(?<!\r)\n", data) is not None
