"""Strategies for the contents of messages, and for the ways to cut octets into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .values import kept


@kept
def messages(*, eight_bit: bool = True) -> SearchStrategy[bytes]:
    """Contents of messages, empty or ended by CRLF: lines of up to 998 octets without CR and LF,
    many of which begin with dots (RFC 5321 4.5.2, 4.5.3.1.6)."""
    dots = (b".", b"..", b"", b" .", b". ", b".\0", b"\0.", b"QUIT", b"." * 998, b"x" * 998)
    octets = st.integers(0, 255 if eight_bit else 127).filter(lambda octet: octet not in b"\r\n")
    lines = st.sampled_from(dots) | st.lists(octets, max_size=80).map(bytes)
    return st.lists(lines).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


def splits(data: bytes) -> SearchStrategy[list[bytes]]:
    """Ways to cut *data* into non-empty pieces: whole, octet by octet, or at random."""
    inner = range(1, len(data))
    if not inner:
        return st.just([data] if data else [])
    cuts = st.sets(st.sampled_from(inner)) | st.just(set(inner))
    ends = cuts.map(lambda at: [0, *sorted(at), len(data)])
    return ends.map(lambda ends: [data[a:b] for a, b in pairwise(ends)])
