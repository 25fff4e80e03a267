"""Strategies for the contents of messages, and for the ways to cut octets into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ...limits import TEXT_LINE
from .texts import kept

_LINE = TEXT_LINE - len("\r\n")
_BREAKS = [
    "\r\n", "\r\n.", "\r\n..", "\r\n.\r\n", "\r\n..\r\n", "\r\n\r\n", "\r\n .",
    "\r\n. ", "\r\n.\0", "\r\n\0.", "\r\nQUIT\r\n",
    f"\r\n{'.' * _LINE}\r\n", f"\r\n{'x' * _LINE}\r\n",
]  # fmt: skip
# Characters that are no octets stand for line breaks. There are many, so that they are drawn often.
_EXPANSIONS = {0x100 + at: _BREAKS[at % len(_BREAKS)] for at in range(5 * len(_BREAKS))}


def _content(text: str) -> bytes:
    """Return the content that *text* stands for, without what is too long in its lines."""
    octets = text.translate(_EXPANSIONS).encode("latin-1")
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    return b"\r\n".join(line[:_LINE] for line in octets.split(b"\r\n"))


@kept
def messages(*, eight_bit: bool = True) -> SearchStrategy[bytes]:
    """Contents of messages, empty or ended by CRLF: lines of up to 998 octets without CR and LF,
    many of which begin with dots (RFC 5321 4.5.2, 4.5.3.1.6)."""
    characters = st.characters(
        max_codepoint=0xFF if eight_bit else 0x7F,
        exclude_characters="\r\n",
        include_characters="".join(map(chr, _EXPANSIONS)),
    )
    return (st.text(characters) | st.text(characters, min_size=16)).map(_content)


def splits(data: bytes) -> SearchStrategy[list[bytes]]:
    """Ways to cut *data* into non-empty pieces: whole, octet by octet, or at random."""
    inner = range(1, len(data))
    if not inner:
        return st.just([data] if data else [])
    cuts = st.lists(st.sampled_from(inner)) | st.just(list(inner))
    ends = cuts.map(lambda at: [0, *sorted({*at}), len(data)])
    return ends.map(lambda ends: [data[a:b] for a, b in pairwise(ends)])
