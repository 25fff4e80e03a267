"""Counted octets: not one more, not one less; and canonical text, however it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.limits import CHUNK
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.chunks import CanonicalText, ChunkReader

WIRE = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\0", b"a", b"\xff", b"QUIT"])).map(
    b"".join
)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """*data*, cut at *cuts*."""
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


# -- reading -----------------------------------------------------------------------------------


@given(WIRE, CUTS, st.integers(0, 80))
@example(b"", [], 0)
@example(b"a", [], 0)
@example(b"\r\n.\r\nQUIT\r\n", [2, 5], 5)
def test_a_chunk_is_its_octets_and_not_one_more(data: bytes, cuts: list[int], size: int) -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, size)
    content = b""
    for piece in pieces(data, cuts):
        buffer.feed(piece)
        while part := reader.read():
            content += part
        assert reader.done or not buffer, "what belongs to the chunk is not left in the buffer"
        assert reader.read() == b""
    assert content == data[:size]
    assert reader.done == (len(data) >= size)
    assert buffer.take(len(buffer)) == data[size:]


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_slices_are_bounded(size: int) -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, size)
    buffer.feed(b"x" * size + b"y")
    slices = list(iter(reader.read, b""))
    assert [len(part) for part in slices[:-1]] == [CHUNK] * (len(slices) - 1)
    assert 1 <= len(slices[-1]) <= CHUNK
    assert b"".join(slices) == b"x" * size
    assert reader.done
    assert buffer.take(9) == b"y"


def test_a_size_is_a_promise_and_takes_no_room() -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, 10**20 - 1)
    buffer.feed(b"x" * 100)
    assert reader.read() == b"x" * 100
    assert not reader.done


def test_a_chunk_of_nothing_is_done_at_once() -> None:
    buffer = Buffer()
    buffer.feed(b"QUIT\r\n")
    reader = ChunkReader(buffer, 0)
    assert reader.done
    assert reader.read() == b""
    assert len(buffer) == 6


# -- canonical text ----------------------------------------------------------------------------


def bare(data: bytes) -> bool:
    return re.search(rb"\r(?!\n)|(?<!\r)\n", data) is not None


def canonical(parts: list[bytes]) -> bool:
    text = CanonicalText()
    try:
        for part in parts[:-1]:
            text.check(part, last=False)
        text.check(parts[-1], last=True)
    except GrammarError:
        return False
    return True


@given(WIRE, CUTS)
@example(b"a\r\nb", [2])
@example(b"a\rb", [2])
@example(b"a\r", [])
@example(b"\r\r\n", [1, 2])
@example(b"\n", [0])
def test_text_is_canonical_or_not_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert canonical([data]) is not bare(data)
    assert canonical(pieces(data, cuts)) is not bare(data)
    assert canonical([*pieces(data, cuts), b""]) is not bare(data)
    assert canonical([data[i : i + 1] for i in range(len(data))] or [b""]) is not bare(data)


@given(st.lists(WIRE, min_size=1))
@example([b"a\r", b"b", b"\n"])
@example([b"a", b"\r\r", b"\n"])
@example([b"\r", b"\r", b""])
def test_a_piece_that_was_refused_was_never_given(parts: list[bytes]) -> None:
    text = CanonicalText()
    taken = b""
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        try:
            text.check(part, last=last)
        except GrammarError:
            assert bare((taken + part).removesuffix(b"" if last else b"\r"))
        else:
            taken += part
    assert not bare(taken.removesuffix(b"\r"))


def test_a_cr_at_the_end_of_the_last_piece_is_alone() -> None:
    text = CanonicalText()
    text.check(b"a\r", last=False)
    with pytest.raises(GrammarError, match="CR or LF alone"):
        text.check(b"", last=True)
    text.check(b"\n", last=True)
