"""The limit on the length of lines in content (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.wire.lines import LineLengths
from tests.support.pieces import single_octets

LENGTHS = st.sampled_from([0, 1, 500, 996, 997, 998, 999, 1000, 1500, 3000])
TEXTS = st.lists(LENGTHS, max_size=6).map(lambda n: b"\r\n".join(b"x" * each for each in n))


def is_too_long(pieces: list[bytes]) -> bool:
    """Return whether LineLengths refuses content in *pieces*."""
    lengths = LineLengths()
    try:
        for piece in pieces:
            lengths.check(piece)
    except GrammarError:
        return True
    return False


@given(TEXTS, st.lists(st.integers(0, 10000), max_size=5))
def test_a_long_line_is_found_at_any_split(text: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    expected = any(len(line) > 1000 for line in text.splitlines(keepends=True))
    assert is_too_long(pieces) == is_too_long(single_octets(text)) == expected


@pytest.mark.parametrize(("characters", "long"), [(998, False), (999, True)])
def test_a_line_may_have_998_octets_and_crlf(characters: int, long: bool) -> None:
    line = b"x" * characters + b"\r\n"
    assert is_too_long([line]) == is_too_long([b"y\r\n", line, b"z\r\n"]) == long
