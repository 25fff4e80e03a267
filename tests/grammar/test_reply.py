"""Replies (RFC 5321 4.2, RFC 2034)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.reply import EnhancedCode, Reply, parse_reply_line
from smtpproto.testing import strategies


@pytest.mark.req(
    "RFC5321-4.2-02",
    "RFC5321-4.2-10",
    "RFC5321-4.2.1-07",
    "RFC5321-4.2.1-08",
    "RFC2034-4-06",
    "RFC5248-2-01/client",
    "RFC5248-2-01/server",
)
@pytest.mark.parametrize(
    ("octets", "reply"),
    [(b"250 ok\r\n", Reply(250, None, "ok")), (b"250\r\n", Reply(250)), (b"250 \r\n", Reply(250)),
     (b"250-a\r\n250 b\r\n", Reply(250, None, ["a", "b"])),
     (b"250-a\r\n250\r\n", Reply(250, None, ["a", ""])),
     (b"250-\r\n250-\r\n250 \r\n", Reply(250, None, ["", "", ""])),
     (b"250-234 Text\r\n250 250 x\r\n", Reply(250, None, ["234 Text", "250 x"])),
     (b"250  a \r\n", Reply(250, None, [" a "])), (b"250 a\tb\r\n", Reply(250, None, "a\tb")),
     (b"220 -\r\n", Reply(220, None, "-")), (b"299 x\r\n", Reply(299, None, "x")),
     (b"399 x\r\n", Reply(399, None, "x")), (b"499 x\r\n", Reply(499, None, "x")),
     (b"250 caf\xc3\xa9\r\n", Reply(250, None, "café")),
     # the enhanced code on each line, or on the first only
     (b"550 5.7.1 no\r\n", Reply(550, "5.7.1", "no")), (b"550 5.7.1\r\n", Reply(550, "5.7.1")),
     (b"550 5.7.1 \r\n", Reply(550, "5.7.1")), (b"550 5.7.1  x\r\n", Reply(550, "5.7.1", " x")),
     (b"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", Reply(550, "5.7.1", ["a", "b", "c"])),
     (b"550-5.7.1 a\r\n550-b\r\n550 5.7.1\r\n", Reply(550, "5.7.1", ["a", "b", ""])),
     (b"550-5.7.1 a\r\n550 5.7.10 b\r\n", Reply(550, "5.7.1", ["a", "5.7.10 b"])),
     (b"550-a\r\n550 5.7.1 b\r\n", Reply(550, None, ["a", "5.7.1 b"])),
     (b"550 5.9.99 x\r\n", Reply(550, "5.9.99", "x")),  # not registered
     (b"550 5.7.1 5.7.1 x\r\n", Reply(550, "5.7.1", "5.7.1 x"))],
)  # fmt: skip
def test_a_reply_is_read_and_read_back_after_writing(octets: bytes, reply: Reply) -> None:
    assert Reply.parse(octets) == reply
    assert Reply.parse(bytes(reply)) == reply


@pytest.mark.req("RFC5321-4.2-09", "RFC5321-4.2-10", "RFC5321-4.2.1-04")
@pytest.mark.parametrize(
    "octets",
    [b"", b"\r\n", b"250 ok", b"250 ok\n", b"250 ok\r", b"25\r\n", b"2500 x\r\n", b"250_x\r\n",
     b" 250 x\r\n", b"abc x\r\n", b"150 x\r\n", b"650 x\r\n", b"000 x\r\n", b"-50 x\r\n",
     b"2\xd9\xa15 x\r\n", b"250\tx\r\n", b"250x\r\n", b"ok\r\n", b"250-a\r\n",
     b"250 a\r\n250 b\r\n", b"250-a\r\nb\r\n", b"250-a\r\n\r\n", b"250-a\r\n550 b\r\n",
     b"250-a\r\n251 b\r\n",
     b"250\r\n250 b\r\n", b"250-a\n250 b\n", b"250 a\r\n\r\n"],
)  # fmt: skip
def test_a_malformed_reply_is_refused(octets: bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        Reply.parse(octets)
    assert 0 <= caught.value.offset <= len(octets)
    assert caught.value.reply is None


def test_a_reply_needs_at_least_one_line() -> None:
    with pytest.raises(GrammarError):
        Reply.from_lines([])


@pytest.mark.parametrize(
    ("line", "parts"),
    [(b"250 ok", (250, False, "ok")), (b"250-ok", (250, True, "ok")), (b"250", (250, False, "")),
     (b"250 ", (250, False, "")), (b"250-", (250, True, "")), (b"250  x ", (250, False, " x "))],
)  # fmt: skip
def test_a_reply_line_is_split_into_code_continuation_and_text(
    line: bytes, parts: tuple[int, bool, str]
) -> None:
    assert parse_reply_line(line) == parts


def test_an_error_about_a_reply_line_is_printable() -> None:
    with pytest.raises(GrammarError) as caught:
        parse_reply_line(b"\x1b[2J\r\xff")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"250 a\x00b\r\n", "a\\x00b"), (b"250 a\nb\r\n", "a\\nb"), (b"250 a\rb\r\n", "a\\rb"),
     (b"250 \x1b[2J\r\n", "\\x1b[2J"), (b"250 \x7f\r\n", "\\x7f"), (b"250 \xff\r\n", "\\xff"),
     (b"250 \xc2\x85\r\n", "\\x85"), (b"250 \xed\xa0\x80\r\n", "\\xed\\xa0\\x80"),
     (b"250-a\r\n250 \n550 no\r\n", "a\n\\n550 no")],
)  # fmt: skip
def test_control_characters_are_escaped_when_read(octets: bytes, text: str) -> None:
    reply = Reply.parse(octets)
    assert reply.text == text
    assert Reply.parse(bytes(reply)) == reply


@pytest.mark.parametrize(
    "lines",
    [["a\r\nb"], ["a\nb"], ["a\rb"], ["a", "\0"], ["\x1b"], ["\x7f"], ["\x85"], ["\x9f"],
     ["\ud800"], ["\x0b"]],
)  # fmt: skip
def test_control_characters_are_refused_when_built(lines: list[str]) -> None:
    with pytest.raises(GrammarError, match="control"):
        Reply(250, None, lines)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb"])
def test_a_string_is_split_at_its_line_ends(text: str) -> None:
    assert Reply(250, None, text) == Reply(250, None, ["a", "b"])
    assert Reply(250, None, text).text == "a\nb"
    assert bytes(Reply(250, None, text)) == b"250-a\r\n250 b\r\n"


@pytest.mark.req("RFC2034-4-01", "RFC2034-4-03")
@pytest.mark.parametrize(
    ("code", "enhanced"),
    [(250, "5.0.0"), (550, "2.0.0"), (450, "5.0.0"), (550, "4.0.0"), (354, "2.0.0"), (334, "4.0.0"),
     (354, "3.0.0"), (550, "5.07.1"), (550, "5.7"), (550, ""), (550, "5.7.1 ")],
)  # fmt: skip
def test_the_class_of_the_enhanced_code_must_fit_the_code(code: int, enhanced: str) -> None:
    with pytest.raises(GrammarError):
        Reply(code, enhanced, "x")


@pytest.mark.req("RFC5321-4.2-08", "RFC5321-4.3.2-02")
@pytest.mark.parametrize("code", [199, 600, 0, -250, 2500])
def test_a_reply_code_is_200_to_599(code: int) -> None:
    with pytest.raises(GrammarError, match="code"):
        Reply(code, None, "x")


@pytest.mark.parametrize("text", ["5.7.1 no", "5.7.1", "5.999.0 x\ny"])
def test_the_text_must_not_start_with_the_enhanced_code(text: str) -> None:
    with pytest.raises(GrammarError, match="argument"):
        Reply(550, None, text)
    assert Reply(250, None, text).enhanced is None  # of another class, so it is text


@pytest.mark.req("RFC2034-4-07")
def test_an_enhanced_code_of_another_class_is_text() -> None:
    reply = Reply.parse(b"250 5.1.1 x\r\n")
    assert (reply.enhanced, reply.lines) == (None, ("5.1.1 x",))


@pytest.mark.req("RFC2034-4-04")
def test_the_enhanced_code_is_written_on_every_line() -> None:
    assert bytes(Reply(250)) == b"250 \r\n"
    assert bytes(Reply(354, None, "go on")) == b"354 go on\r\n"
    assert (
        bytes(Reply(550, "5.1.1", ["a", "", "c"]))
        == b"550-5.1.1 a\r\n550-5.1.1 \r\n550 5.1.1 c\r\n"
    )
    assert str(Reply(550, "5.1.1", ["a", "b"])) == "550 5.1.1 a / b"
    assert str(Reply(250)) == "250"


@pytest.mark.req("RFC5321-4.5.3.1.5-01/client", "RFC5321-4.5.3.1.5-01/server")
@pytest.mark.parametrize("enhanced", [None, EnhancedCode(5, 7, 1), EnhancedCode(5, 999, 999)])
def test_long_lines_are_folded_to_512_octets(enhanced: EnhancedCode | None) -> None:
    room = 512 - len(str(Reply(550, enhanced, "x"))) - len("\r\n") + len("x")
    exact = Reply(550, enhanced, "x" * room)
    assert len(bytes(exact)) == 512
    assert exact.lines == ("x" * room,)
    longer = Reply(550, enhanced, "x" * (room + 1))
    assert longer.lines == ("x" * room, "x")
    words = Reply(550, enhanced, ["one", "word " * 300])
    assert words.lines[0] == "one"
    assert "".join(words.lines[1:]) == "word " * 300
    assert all(line.endswith("word ") for line in words.lines[1:])
    for reply in (longer, words, Reply(550, enhanced, "é" * 1000)):
        assert max(len(line) + 2 for line in bytes(reply).split(b"\r\n")) <= 512
        assert Reply.parse(bytes(reply)) == reply
    assert Reply(550, enhanced, "é" * 1000).text.replace("\n", "") == "é" * 1000


def test_a_challenge_is_not_folded() -> None:
    challenge = Reply(334, None, "A" * 12288)
    assert len(challenge.lines) == 1
    assert Reply.parse(bytes(challenge)) == challenge


@pytest.mark.req("RFC6531-3.7.4.2-05")
def test_the_ascii_method_escapes_all_other_characters() -> None:
    plain = Reply(250, "2.0.0", "ok")
    assert plain.ascii() is plain
    assert Reply(250, "2.0.0", ["é", "例"]).ascii().lines == ("\\xe9", "\\u4f8b")
    assert all(
        len(line) <= 510 for line in bytes(Reply(250, None, "é" * 300).ascii()).split(b"\r\n")
    )


@pytest.mark.req("RFC5321-4.2-07", "RFC5321-4.2.1-01")
@pytest.mark.parametrize(
    ("code", "facts"),
    [(299, (True, False, False, False)), (399, (True, True, False, False)),
     (300, (True, True, False, False)), (499, (False, False, True, False)),
     (400, (False, False, True, False)), (599, (False, False, False, True)),
     (500, (False, False, False, True)), (200, (True, False, False, False))],
)  # fmt: skip
def test_the_first_digit_decides_the_kind_of_reply(code: int, facts: tuple[bool, ...]) -> None:
    reply = Reply(code, None, "x")
    assert (reply.positive, reply.intermediate, reply.transient, reply.permanent) == facts


@given(strategies.replies())
def test_any_reply_fits_the_line_limit(reply: Reply) -> None:
    *lines, rest = bytes(reply).split(b"\r\n")
    assert rest == b""
    assert len(lines) == len(reply.lines)
    assert all(line[:3] == b"%d" % reply.code for line in lines)
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]
    if reply.code != 334:
        assert max(map(len, lines)) + 2 <= 512
    assert reply.ascii() == reply.ascii().ascii()
    assert bytes(reply.ascii()).isascii()


@given(strategies.replies(), st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=2000))
def test_folding_a_reply_loses_no_text(reply: Reply, text: str) -> None:
    folded = Reply(reply.code, reply.enhanced, ["-", text])
    assert "".join(folded.lines) == f"-{text}"


def test_a_long_line_that_was_read_is_not_folded() -> None:
    """A part of a keyword of EHLO would become a keyword."""
    lines = [b"250-mx", b"250 AUTH " + b"X" * 600 + b" PLAIN"]
    read = Reply.from_lines(lines, lambda *_: None)
    assert read.lines == ("mx", f"AUTH {'X' * 600} PLAIN")
