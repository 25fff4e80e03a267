"""Content of DATA: only CRLF.CRLF ends it, and what was sent is what arrives."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.limits import CHUNK
from smtpproto.wire.buffer import Buffer
from smtpproto.wire.dots import DotReader, DotWriter, has_bare

END = b"\r\n.\r\n"
# Biased to what ends of data are made of.
WIRE = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\0", b" ", b"a", b"\xff", b"\r\n.", END])
).map(b"".join)
CONTENT = st.lists(
    st.lists(st.sampled_from([b".", b"..", b"a", b"\0", b" ", b"\xff", b"\x0b"]), max_size=4)
).map(lambda lines: b"\r\n".join(map(b"".join, lines)))
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """*data*, cut at *cuts*."""
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def read_all(parts: list[bytes]) -> tuple[bytes, bool, bool, bytes]:
    """Content, whether the end was read, whether it had bare CR or LF, and what is left."""
    buffer = Buffer()
    reader = DotReader(buffer)
    content = b""
    for part in parts:
        buffer.feed(part)
        while piece := reader.read():
            content += piece
        assert reader.done or not buffer, "what is not read yet is not left in the buffer"
    return content, reader.done, reader.bare, buffer.take(len(buffer))


def encode(parts: list[bytes]) -> bytes:
    writer = DotWriter()
    return b"".join([writer.encode(part) for part in parts]) + writer.finish()


def unstuffed(lines: bytes) -> bytes:
    """RFC 5321 4.5.2, line by line."""
    return b"\r\n".join(line.removeprefix(b".") for line in lines.split(b"\r\n"))


def bare(data: bytes) -> bool:
    return re.search(rb"\r(?!\n)|(?<!\r)\n", data) is not None


# -- reading -----------------------------------------------------------------------------------


@given(WIRE, CUTS, WIRE)
@example(b"", [], b"")
@example(b".\r\n", [2], b"QUIT\r\n")
@example(b"a\r\n.\r\r\n.\r\n", [5], b".\r\n")
@example(b"..\r\n...\r\n.a", [1, 5], b"")
def test_reading_is_the_same_at_any_split(body: bytes, cuts: list[int], behind: bytes) -> None:
    content, _, rest = (b"\r\n" + body + END).partition(END)
    data = body + END + behind
    wanted = (unstuffed((content + b"\r\n")[2:]), True, bare(content), rest + behind)
    assert read_all([data]) == wanted
    assert read_all(pieces(data, cuts)) == wanted
    # Octet by octet the reader has no chance to take too much; what is behind is not offered.
    end = len(data) - len(rest + behind)
    assert read_all(octets(data[:end])) == (*wanted[:3], b"")


@given(WIRE)
def test_without_the_end_there_is_no_end(wire: bytes) -> None:
    """All is given but what may begin the end of data."""
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


@pytest.mark.req("SMUGGLING-01", "RFC5321-2.3.8-01", "RFC5321-4.1.1.4-06", "RFC5321-4.1.1.4-05")
@pytest.mark.parametrize("before", ENDS, ids=repr)
def test_no_other_sequence_ends_the_data(before: bytes) -> None:
    for after in ENDS:
        body = b"a" + before + b"." + after + b"b"
        if END in body:
            continue  # the one that does
        wanted = (unstuffed(body + b"\r\n"), True, bare(body), b"")
        data = body + END
        assert read_all([data]) == wanted, body
        assert read_all(octets(data)) == wanted, body
        for cut in range(1, len(data)):
            assert read_all([data[:cut], data[cut:]]) == wanted, (body, cut)


@pytest.mark.req("RFC5321-4.5.2-03")
@pytest.mark.parametrize("body", [b"\n.x", b"\r.x", b"a\n..x", b"\n.", b"a\r..\r"])
def test_a_dot_behind_a_bare_end_is_not_at_a_line_start(body: bytes) -> None:
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
def test_dots_come_off(wire: bytes, content: bytes) -> None:
    assert read_all([wire]) == read_all(octets(wire)) == (content, True, False, b"")


@pytest.mark.parametrize("shift", range(-10, 4))
@pytest.mark.parametrize("mark", [b"\r\n..y\r\n", b"\r\n..\r\n..\r\n", b"\r\r\n", END], ids=repr)
def test_slices_are_large_and_bounded(shift: int, mark: bytes) -> None:
    """What matters is put on either side of, and across, the border of a slice."""
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


def test_content_is_given_as_it_comes() -> None:
    """At most the four octets that may begin the end of data are kept back."""
    buffer = Buffer()
    reader = DotReader(buffer)
    given_ = 0
    for fed, octet in enumerate(octets(b"ab\r\ncd\r\r\n\re\r\n" * 20), 1):
        buffer.feed(octet)
        given_ += len(reader.read())
        assert fed - 4 <= given_ <= fed


@given(WIRE)
@example(b"\r\n\r")
@example(b"\n\r")
@example(b"\r\r\n\n")
def test_has_bare(data: bytes) -> None:
    assert has_bare(data) == bare(data)


# -- writing -----------------------------------------------------------------------------------


@pytest.mark.req("SMUGGLING-05", "RFC5321-4.5.2-01")
@given(CONTENT, CUTS, CUTS)
@example(b".", [], [])
@example(b"a\r\n.\r\n.b\r\n", [2, 3, 4], [1, 5])
def test_decoding_what_was_encoded_gives_the_content(
    content: bytes, cuts: list[int], other_cuts: list[int]
) -> None:
    wire = encode([content])
    assert encode(octets(content)) == encode(pieces(content, cuts)) == wire
    assert (b"\r\n" + wire).index(END) == len(wire) - 3, "the end is at the end only"
    completed = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert read_all(pieces(wire, other_cuts)) == (completed, True, False, b"")


@pytest.mark.req("RFC5321-4.1.1.4-03", "RFC5321-4.1.1.4-04")
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
def test_the_form_on_the_wire(content: bytes, wire: bytes) -> None:
    assert encode([content]) == encode(octets(content)) == wire


@pytest.mark.req("RFC5321-4.5.2-04", "RFC6152-3-02")
def test_every_octet_arrives() -> None:
    line = bytes(octet for octet in range(256) if octet not in b"\r\n")
    content = b"".join(line[i:] + b"\r\n" for i in range(len(line)))
    assert read_all(pieces(encode([content]), [1000, 20000]))[0] == content


@pytest.mark.req("RFC5321-2.3.8-03", "RFC5322-2.3-01")
@pytest.mark.parametrize(
    "content", [b"a\nb", b"a\rb", b"\n", b"\r", b"a\n\rb", b"\r\r\n", b"\n.\n"]
)
def test_bare_cr_and_lf_are_refused_at_any_split(content: bytes) -> None:
    for cut in range(len(content) + 1):
        with pytest.raises(GrammarError):
            encode([content[:cut], content[cut:]])
    with pytest.raises(GrammarError):
        encode(octets(content))


@given(WIRE, CUTS)
def test_writing_refuses_exactly_what_has_bare_ends(data: bytes, cuts: list[int]) -> None:
    try:
        wire = encode(pieces(data, cuts))
    except GrammarError:
        assert bare(data)
    else:
        assert not bare(data)
        assert read_all([wire])[0].startswith(data)


@given(CONTENT, st.sampled_from([b"a\nb", b"\n\r", b"x\ry\r", b"\0\n"]), CONTENT)
def test_a_refused_slice_leaves_no_trace(before: bytes, refused: bytes, after: bytes) -> None:
    """Not even the CR that was held back before it, or the one at its own end."""
    for held in (b"", b"\r"):
        writer = DotWriter()
        wire = writer.encode(before + held)
        with pytest.raises(GrammarError):
            writer.encode(b"z" + refused)
        wire += writer.encode(held and b"\n") + writer.encode(after) + writer.finish()
        assert wire == encode([before, held and b"\r\n", after])
