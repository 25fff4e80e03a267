"""Lines: only CRLF ends a line, at any split, and an overlong line is discarded."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.testing.laws import check_same_for_any_split
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.lines import OVERLONG, LineReader, Overlong
from tests.support.pieces import cut_at, single_octets

Line = bytes | Literal[Overlong.LINE]

LIMIT = 12
# Biased towards CR and LF: uniform octets would hardly ever make a CRLF.
OCTETS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b"a", b"\xff", b"0123456789"])
).map(b"".join)
CUTS = st.lists(st.integers(0, 80), max_size=8)


def read_all(parts: list[bytes], limit: int = LIMIT) -> tuple[list[Line], bytes]:
    """Return the lines in *parts*, and the octets left in the buffer."""
    buffer = Buffer()
    reader = LineReader(buffer)
    lines: list[Line] = []
    for part in parts:
        buffer.feed(part)
        while (line := reader.read(limit)) is not None:
            lines.append(line)
        assert len(buffer) < limit, "the buffer keeps a line that cannot fit"
    return lines, buffer.take(len(buffer))


def expected(data: bytes, limit: int = LIMIT) -> list[Line]:
    """Return the lines of *data* by definition (RFC 5321 2.3.8)."""
    *lines, _ = data.split(b"\r\n")
    return [OVERLONG if len(line) + 2 > limit else line for line in lines]


@given(OCTETS, CUTS)
@example(b"0123456789\r\n", [])
@example(b"0123456789a\r\nb\r\n", [])
@example(b"0123456789a\r\r\nb\r\n", [12, 13])
@example(b"0123456789abcdefghij\nNOOP\r\nb\r\n", [12])
def test_the_same_lines_are_read_at_any_split(data: bytes, cuts: list[int]) -> None:
    for pieces in (single_octets(data), cut_at(data, cuts)):
        lines, _ = check_same_for_any_split(read_all, pieces)
        assert lines == expected(data)


@given(OCTETS)
def test_an_incomplete_line_is_kept_only_while_it_can_fit(data: bytes) -> None:
    rest = data.rpartition(b"\r\n")[2]
    _, left = read_all([data])
    assert left == (rest if len(rest) < LIMIT else rest[-1:])


@given(st.binary(max_size=10).filter(lambda line: b"\r\n" not in line + b"\r"), OCTETS)
def test_octets_after_a_line_stay_in_the_buffer(line: bytes, after: bytes) -> None:
    buffer = Buffer()
    buffer.feed(line + b"\r\n" + after)
    assert LineReader(buffer).read(LIMIT) == line
    assert buffer.take(len(buffer)) == after


@pytest.mark.parametrize(
    "end", [b"\n", b"\r", b"\n\r", b"\r\0\n", b"\r \n", b"\0", b"\x0b", b"\x0c", b"\x85", b"\r\r"]
)
def test_only_crlf_ends_a_line(end: bytes) -> None:
    assert read_all([b"a" + end + b"b"], 100) == ([], b"a" + end + b"b")
    assert read_all(single_octets(b"a" + end + b"b\r\n"), 100) == ([b"a" + end + b"b"], b"")


@pytest.mark.parametrize("over", [0, 1, 2, 3, LIMIT, 10 * LIMIT])
def test_a_line_one_octet_above_the_limit_is_overlong(over: int) -> None:
    line = b"x" * (LIMIT - 2 + over)
    data = line + b"\r\nnext\r\n"
    first: Line = OVERLONG if over else line
    for cut in range(len(data)):
        assert read_all([data[:cut], data[cut:]]) == ([first, b"next"], b"")


def test_no_part_of_an_overlong_line_is_read_as_a_line() -> None:
    """A bare CR or LF inside it does not end it; its CRLF does, and it is reported once."""
    data = b"x" * 100 + b"\nQUIT\n\rQUIT\r" + b"y" * 100 + b"\r\nNOOP\r\n"
    assert read_all([data])[0] == read_all(single_octets(data))[0] == [OVERLONG, b"NOOP"]


@pytest.mark.parametrize("limit", [600, 2000])
def test_of_an_overlong_line_only_its_beginning_is_kept(limit: int) -> None:
    first, second = bytes(range(32, 127)) * 30, b"y" * 3000
    data = first + b"\r\nok\r\n" + second + b"\r\n"
    for parts in ([data], single_octets(data), cut_at(data, [599, 601, 1999, 2001, 2852])):
        buffer = Buffer()
        reader = LineReader(buffer)
        seen = []
        for part in parts:
            buffer.feed(part)
            while (line := reader.read(limit)) is not None:
                seen += [reader.beginning] if line is OVERLONG else [line]
        assert seen == [first[:512], b"ok", second[:512]]


def test_an_endless_line_is_not_kept_in_memory() -> None:
    buffer = Buffer()
    reader = LineReader(buffer)
    for _ in range(1000):
        buffer.feed(b"x" * 1000)
        assert reader.read(LIMIT) is None
        assert len(buffer) == 1  # it may be half of a CRLF
    buffer.feed(b"\r")
    assert reader.read(LIMIT) is None
    buffer.feed(b"\nab\r\n")
    assert [reader.read(LIMIT), reader.read(LIMIT), reader.read(LIMIT)] == [OVERLONG, b"ab", None]


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 12), st.booleans())))
def test_a_buffer_returns_octets_in_order_and_takes_them_back(
    steps: list[tuple[bytes, int, bool]],
) -> None:
    buffer, model = Buffer(), b""
    for data, count, back in steps:
        buffer.feed(data)
        model += data
        taken = buffer.take(count)
        assert taken == model[:count]
        if back:
            buffer.untake(len(taken))
        else:
            model = model[count:]
        assert (len(buffer), bool(buffer)) == (len(model), bool(model))
