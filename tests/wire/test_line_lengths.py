"""Lines of content are limited (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.wire.lines import LineLengths

LENGTHS = st.sampled_from([0, 1, 500, 996, 997, 998, 999, 1000, 1500, 3000])
TEXTS = st.lists(LENGTHS, max_size=6).map(lambda n: b"\r\n".join(b"x" * each for each in n))


def too_long(pieces: list[bytes]) -> bool:
    lengths = LineLengths()
    try:
        for piece in pieces:
            lengths.check(piece)
    except GrammarError:
        return True
    return False


@given(TEXTS, st.lists(st.integers(0, 10000), max_size=5))
def test_any_split_tells_the_same(text: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    expected = any(len(line) > 1000 for line in text.splitlines(keepends=True))
    assert too_long(pieces) == too_long([text[i : i + 1] for i in range(len(text))]) == expected


@pytest.mark.parametrize(("characters", "long"), [(998, False), (999, True)])
def test_the_limit(characters: int, long: bool) -> None:
    line = b"x" * characters + b"\r\n"
    assert too_long([line]) == too_long([b"y\r\n", line, b"z\r\n"]) == long
