"""Chunks: the reader takes exactly the counted octets, and text is checked at any split."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.limits import CHUNK
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.chunks import CanonicalText, ChunkReader
from tests.support.pieces import cut_at, has_bare_cr_or_lf, single_octets

WIRE = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\0", b"a", b"\xff", b"QUIT"])).map(
    b"".join
)
CUTS = st.lists(st.integers(0, 60), max_size=8)


# -- reading -----------------------------------------------------------------------------------


@given(WIRE, CUTS, st.integers(0, 80))
@example(b"", [], 0)
@example(b"a", [], 0)
@example(b"\r\n.\r\nQUIT\r\n", [2, 5], 5)
def test_a_chunk_reader_reads_exactly_its_size_at_any_split(
    data: bytes, cuts: list[int], size: int
) -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, size)
    content = b""
    for piece in cut_at(data, cuts):
        buffer.feed(piece)
        while part := reader.read():
            content += part
        assert reader.done or not buffer, "octets of the chunk are left in the buffer"
        assert reader.read() == b""
    assert content == data[:size]
    assert reader.done == (len(data) >= size)
    assert buffer.take(len(buffer)) == data[size:]


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_a_large_chunk_is_read_in_slices_of_at_most_64_kib(size: int) -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, size)
    buffer.feed(b"x" * size + b"y")
    slices = list(iter(reader.read, b""))
    assert [len(part) for part in slices[:-1]] == [CHUNK] * (len(slices) - 1)
    assert 1 <= len(slices[-1]) <= CHUNK
    assert b"".join(slices) == b"x" * size
    assert reader.done
    assert buffer.take(9) == b"y"


def test_a_chunk_of_huge_size_is_read_as_it_arrives() -> None:
    buffer = Buffer()
    reader = ChunkReader(buffer, 10**20 - 1)
    buffer.feed(b"x" * 100)
    assert reader.read() == b"x" * 100
    assert not reader.done


def test_an_empty_chunk_is_done_at_once() -> None:
    buffer = Buffer()
    buffer.feed(b"QUIT\r\n")
    reader = ChunkReader(buffer, 0)
    assert reader.done
    assert reader.read() == b""
    assert len(buffer) == 6


# -- canonical text ----------------------------------------------------------------------------


def is_canonical(parts: list[bytes]) -> bool:
    """Return whether CanonicalText accepts all of *parts*."""
    text = CanonicalText()
    try:
        for part in parts[:-1]:
            text.check(part, last=False)
        text.check(parts[-1], last=True)
    except LocalProtocolError:
        return False
    return True


@given(WIRE, CUTS)
@example(b"a\r\nb", [2])
@example(b"a\rb", [2])
@example(b"a\r", [])
@example(b"\r\r\n", [1, 2])
@example(b"\n", [0])
def test_bare_cr_and_lf_in_text_are_refused_at_any_split(data: bytes, cuts: list[int]) -> None:
    assert is_canonical([data]) is not has_bare_cr_or_lf(data)
    assert is_canonical(cut_at(data, cuts)) is not has_bare_cr_or_lf(data)
    assert is_canonical([*cut_at(data, cuts), b""]) is not has_bare_cr_or_lf(data)
    assert is_canonical(single_octets(data) or [b""]) is not has_bare_cr_or_lf(data)


@given(st.lists(WIRE, min_size=1))
@example([b"a\r", b"b", b"\n"])
@example([b"a", b"\r\r", b"\n"])
@example([b"\r", b"\r", b""])
def test_a_refused_piece_changes_nothing(parts: list[bytes]) -> None:
    text = CanonicalText()
    taken = b""
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        try:
            text.check(part, last=last)
        except LocalProtocolError:
            assert has_bare_cr_or_lf((taken + part).removesuffix(b"" if last else b"\r"))
        else:
            taken += part
    assert not has_bare_cr_or_lf(taken.removesuffix(b"\r"))


def test_a_cr_at_the_end_of_the_last_piece_is_refused() -> None:
    text = CanonicalText()
    text.check(b"a\r", last=False)
    with pytest.raises(LocalProtocolError, match="CR or LF alone"):
        text.check(b"", last=True)
    text.check(b"\n", last=True)
