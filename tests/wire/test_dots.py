"""Content of DATA: only CRLF.CRLF ends it, and the reader undoes dot-stuffing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.limits import CHUNK
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.dots import DotReader, DotWriter, has_bare
from tests.support.dot_reading import read_dots
from tests.support.pieces import cut_at, has_bare_cr_or_lf, single_octets

END = b"\r\n.\r\n"
# Biased towards the parts of an end of data.
WIRE = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\0", b" ", b"a", b"\xff", b"\r\n.", END])
).map(b"".join)
CONTENT = st.lists(
    st.lists(st.sampled_from([b".", b"..", b"a", b"\0", b" ", b"\xff", b"\x0b"]), max_size=4)
).map(lambda lines: b"\r\n".join(map(b"".join, lines)))
CUTS = st.lists(st.integers(0, 60), max_size=8)


def read_all(parts: list[bytes]) -> tuple[bytes, bool, bool, bytes]:
    """Return the content, whether the end was read, whether it had a bare CR or LF, the rest."""
    read = read_dots(parts)
    return read.content, read.done, read.bare, read.rest


def read_normalized(parts: list[bytes]) -> tuple[bytes, bool, bool, bytes]:
    """Return what a reader with *normalize* reads: the content, whether the end was read, whether
    the content must be refused, the rest."""
    read = read_dots(parts, normalize=True)
    return read.content, read.done, read.refused, read.rest


def encode(parts: list[bytes]) -> bytes:
    """Return the wire form of content in *parts*."""
    writer = DotWriter()
    return b"".join([writer.encode(part) for part in parts]) + writer.finish()


def unstuffed(lines: bytes) -> bytes:
    """Return *lines* without stuffed dots: RFC 5321 4.5.2, line by line."""
    return b"\r\n".join(line.removeprefix(b".") for line in lines.split(b"\r\n"))


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.5.2-02")
@given(WIRE, CUTS, WIRE)
@example(b"", [], b"")
@example(b".\r\n", [2], b"QUIT\r\n")
@example(b"a\r\n.\r\r\n.\r\n", [5], b".\r\n")
@example(b"..\r\n...\r\n.a", [1, 5], b"")
def test_reading_is_the_same_at_any_split(body: bytes, cuts: list[int], after: bytes) -> None:
    content, _, rest = (b"\r\n" + body + END).partition(END)
    data = body + END + after
    expected = (unstuffed((content + b"\r\n")[2:]), True, has_bare_cr_or_lf(content), rest + after)
    assert read_all([data]) == expected
    assert read_all(cut_at(data, cuts)) == expected
    # Octet by octet the reader cannot take too much, so the octets after the end are left out.
    end = len(data) - len(rest + after)
    assert read_all(single_octets(data[:end])) == (*expected[:3], b"")


@given(WIRE)
def test_without_the_end_of_data_the_reader_waits_for_more(wire: bytes) -> None:
    """Only octets that may begin the end of data are kept back."""
    whole = b"\r\n" + wire
    assume(END not in whole)
    held = max(n for n in range(len(END)) if whole.endswith(END[:n]))
    content, done, *_ = read_all([wire])
    assert not done
    assert content == unstuffed(whole[2 : len(whole) - held])


ENDS = sorted(
    {
        b"".join(some)
        for count in (1, 2)
        for some in itertools.product([b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t"], repeat=count)
    }
)


@pytest.mark.req(
    "SMUGGLING-01",
    "RFC5321-2.3.8-01/server",
    "RFC5321-4.1.1.4-06",
    "RFC5321-4.1.1.4-05",
    "RFC5321-4.1.1.4-02/server",
)
@pytest.mark.parametrize("before", ENDS, ids=repr)
def test_only_crlf_dot_crlf_ends_the_data(before: bytes) -> None:
    for after in ENDS:
        body = b"a" + before + b"." + after + b"b"
        if END in body:
            continue  # the one sequence that ends the data
        expected = (unstuffed(body + b"\r\n"), True, has_bare_cr_or_lf(body), b"")
        data = body + END
        assert read_all([data]) == expected, body
        assert read_all(single_octets(data)) == expected, body
        for cut in range(1, len(data)):
            assert read_all([data[:cut], data[cut:]]) == expected, (body, cut)


@pytest.mark.req("RFC5321-4.5.2-03/server")
@pytest.mark.parametrize("body", [b"\n.x", b"\r.x", b"a\n..x", b"\n.", b"a\r..\r"])
def test_a_dot_after_a_bare_cr_or_lf_is_not_unstuffed(body: bytes) -> None:
    assert read_all([body + END]) == (body + b"\r\n", True, True, b"")


@pytest.mark.req("RFC5321-4.5.2-02")
@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n.\r\n", b".a\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n\r\n..\r\n.\r\n", b"a\r\n\r\n.\r\n"),
    ],
)
def test_the_first_dot_of_a_line_is_removed(wire: bytes, content: bytes) -> None:
    assert read_all([wire]) == read_all(single_octets(wire)) == (content, True, False, b"")


@pytest.mark.parametrize("shift", range(-10, 4))
@pytest.mark.parametrize("mark", [b"\r\n..y\r\n", b"\r\n..\r\n..\r\n", b"\r\r\n", END], ids=repr)
def test_content_is_read_in_large_bounded_slices(shift: int, mark: bytes) -> None:
    """The mark lies on either side of, or across, the border of a slice."""
    head = b"x" * (CHUNK + shift)
    tail = b"" if mark == END else b"z" * (2 * CHUNK) + END
    buffer = Buffer()
    reader = DotReader(buffer)
    buffer.feed(head + mark + tail + b"NOOP\r\n")
    slices = list(iter(reader.read, b""))
    assert max(map(len, slices)) <= CHUNK
    assert len(slices) <= 5
    assert b"".join(slices) == unstuffed((head + mark + tail)[:-3])
    assert reader.done
    assert reader.bare == (mark == b"\r\r\n")
    assert buffer.take(99) == b"NOOP\r\n"


def all_strings(size: int) -> Iterator[bytes]:
    """Yield all strings of *size* octets that matter to line ends and dots."""
    for octets in itertools.product((b"\r", b"\n", b".", b"a"), repeat=size):
        yield b"".join(octets)


def assert_normalizing_changes_line_ends_only(wire: bytes, parts: list[bytes]) -> None:
    content, done, bare, rest = read_all([wire])
    normalized, same_done, refused, same_rest = read_normalized(parts)
    assert (same_done, same_rest) == (done, rest), "the end depends on the leniency"
    if done:
        assert normalized == re.sub(rb"\r\n|\r|\n", b"\r\n", content)
        assert refused is (bare and END in b"\r\n" + normalized)


@pytest.mark.req("SMUGGLING-01", "SMUGGLING-03")
def test_normalizing_never_moves_the_end_of_data() -> None:
    """This holds whatever stands before the end. A lone dot beside a bare CR or LF is refused."""
    for size in range(8):
        for body in all_strings(size):
            wire = body + END + b"a\n.\nb"
            assert_normalizing_changes_line_ends_only(wire, [wire])
    for body in all_strings(5):
        wire = body + END
        assert_normalizing_changes_line_ends_only(wire, single_octets(wire))


@given(WIRE, CUTS)
def test_normalizing_is_the_same_at_any_split(body: bytes, cuts: list[int]) -> None:
    wire = body + END
    end = len(wire) - len(read_all([wire])[3])
    assert_normalizing_changes_line_ends_only(wire[:end], cut_at(wire[:end], cuts))


@pytest.mark.req("SMUGGLING-03", "SMUGGLING-05")
@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"a\nb", b"a\r\nb\r\n"),
        (b"a\rb\r\r\nc", b"a\r\nb\r\n\r\nc\r\n"),
        (b"a\n.b", b"a\r\n.b\r\n"),  # a dot after a bare LF is not stuffed, so it stays
        (b"a\n..\n", b"a\r\n..\r\n\r\n"),
        (b"a\nb\r\n..c", b"a\r\nb\r\n.c\r\n"),
    ],
)
def test_normalized_content_is_stuffed_again_when_it_is_sent_on(
    body: bytes, content: bytes
) -> None:
    assert read_normalized([body + END]) == (content, True, False, b"")
    assert read_all([encode([content])]) == (content, True, False, b"")


@pytest.mark.req("SMUGGLING-03")
@pytest.mark.parametrize(
    "body",
    [b"a\n.\nMAIL", b"a\r.\rMAIL", b"\n.\r\nMAIL", b"a\r\n..\nMAIL",
     b"a\r\n..\r\nb\nc", b"\n."],
)  # fmt: skip
def test_a_lone_dot_in_content_with_a_bare_cr_or_lf_is_refused(body: bytes) -> None:
    for parts in ([body + END], single_octets(body + END)):
        assert read_normalized(parts)[1:] == (True, True, b"")


def test_normalized_slices_are_bounded() -> None:
    buffer = Buffer()
    reader = DotReader(buffer, normalize=True)
    buffer.feed(b"\n" * (3 * CHUNK) + END)
    slices = list(iter(reader.read, b""))
    assert max(map(len, slices)) <= CHUNK
    assert b"".join(slices) == b"\r\n" * (3 * CHUNK + 1)


def test_content_is_returned_without_waiting_for_the_end_of_data() -> None:
    """At most the four octets that may begin the end of data are kept back."""
    buffer = Buffer()
    reader = DotReader(buffer)
    returned = 0
    for fed, octet in enumerate(single_octets(b"ab\r\ncd\r\r\n\re\r\n" * 20), 1):
        buffer.feed(octet)
        returned += len(reader.read())
        assert fed - 4 <= returned <= fed


@given(WIRE)
@example(b"\r\n\r")
@example(b"\n\r")
@example(b"\r\r\n\n")
def test_has_bare_finds_cr_and_lf_outside_crlf(data: bytes) -> None:
    assert has_bare(data) == has_bare_cr_or_lf(data)


# -- writing -----------------------------------------------------------------------------------


@pytest.mark.req("SMUGGLING-05", "RFC5321-4.5.2-01", "RFC5321-4.5.2-02")
@given(CONTENT, CUTS, CUTS)
@example(b".", [], [])
@example(b"a\r\n.\r\n.b\r\n", [2, 3, 4], [1, 5])
def test_reading_written_content_returns_the_content(
    content: bytes, cuts: list[int], other_cuts: list[int]
) -> None:
    wire = encode([content])
    assert encode(single_octets(content)) == encode(cut_at(content, cuts)) == wire
    assert (b"\r\n" + wire).index(END) == len(wire) - 3, "an end of data inside the content"
    completed = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert read_all(cut_at(wire, other_cuts)) == (completed, True, False, b"")


@pytest.mark.req("RFC5321-4.1.1.4-03", "RFC5321-4.1.1.4-04", "RFC5321-4.1.1.4-02/client")
@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"x", b"x\r\n.\r\n"),
        (b"x\r\n", b"x\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a.\r\nb", b"a.\r\nb\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed_and_the_end_is_added(content: bytes, wire: bytes) -> None:
    assert encode([content]) == encode(single_octets(content)) == wire


@pytest.mark.req("RFC5321-4.5.2-04/client", "RFC5321-4.5.2-04/server", "RFC6152-3-02")
def test_every_octet_value_arrives_unchanged() -> None:
    line = bytes(octet for octet in range(256) if octet not in b"\r\n")
    content = b"".join(line[i:] + b"\r\n" for i in range(len(line)))
    assert read_all(cut_at(encode([content]), [1000, 20000]))[0] == content


@pytest.mark.req("RFC5321-2.3.8-03", "RFC5322-2.3-01", "RFC5321-4.5.2-03/client", "SMUGGLING-04")
@pytest.mark.parametrize(
    "content", [b"a\nb", b"a\rb", b"\n", b"\r", b"a\n\rb", b"\r\r\n", b"\n.\n"]
)
def test_writing_refuses_bare_cr_and_lf_at_any_split(content: bytes) -> None:
    for cut in range(len(content) + 1):
        with pytest.raises(LocalProtocolError):
            encode([content[:cut], content[cut:]])
    with pytest.raises(LocalProtocolError):
        encode(single_octets(content))


@pytest.mark.req("RFC5321-2.3.8-01/client")
@given(WIRE, CUTS)
def test_writing_refuses_only_bare_cr_and_lf(data: bytes, cuts: list[int]) -> None:
    try:
        wire = encode(cut_at(data, cuts))
    except LocalProtocolError:
        assert has_bare_cr_or_lf(data)
    else:
        assert not has_bare_cr_or_lf(data)
        assert read_all([wire])[0].startswith(data)


@given(CONTENT, st.sampled_from([b"a\nb", b"\n\r", b"x\ry\r", b"\0\n"]), CONTENT)
def test_a_refused_slice_changes_nothing(before: bytes, refused: bytes, after: bytes) -> None:
    """This includes a CR held back before it, and a CR at its own end."""
    for held in (b"", b"\r"):
        writer = DotWriter()
        wire = writer.encode(before + held)
        with pytest.raises(LocalProtocolError):
            writer.encode(b"z" + refused)
        wire += writer.encode(held and b"\n") + writer.encode(after) + writer.finish()
        assert wire == encode([before, held and b"\r\n", after])
