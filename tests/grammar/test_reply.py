"""Replies and enhanced status codes, by example (RFC 5321 4.2, RFC 2034, RFC 3463)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.printable import printable
from smtpproto.grammar.reply import EnhancedCode, Reply, parse_reply_line


@pytest.mark.req("RFC5321-4.2-02", "RFC5321-4.2-06", "RFC5321-4.2-10", "RFC5321-4.2.1-07",
                 "RFC5321-4.2.1-08", "RFC2034-4-06", "RFC5248-2-01")  # fmt: skip
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
     # the enhanced code, on each line or on the first
     (b"550 5.7.1 no\r\n", Reply(550, "5.7.1", "no")), (b"550 5.7.1\r\n", Reply(550, "5.7.1")),
     (b"550 5.7.1 \r\n", Reply(550, "5.7.1")), (b"550 5.7.1  x\r\n", Reply(550, "5.7.1", " x")),
     (b"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", Reply(550, "5.7.1", ["a", "b", "c"])),
     (b"550-5.7.1 a\r\n550-b\r\n550 5.7.1\r\n", Reply(550, "5.7.1", ["a", "b", ""])),
     (b"550-5.7.1 a\r\n550 5.7.10 b\r\n", Reply(550, "5.7.1", ["a", "5.7.10 b"])),
     (b"550-a\r\n550 5.7.1 b\r\n", Reply(550, None, ["a", "5.7.1 b"])),
     (b"550 5.9.99 x\r\n", Reply(550, "5.9.99", "x")),  # in no registry
     (b"550 5.7.1 5.7.1 x\r\n", Reply(550, "5.7.1", "5.7.1 x"))],
)  # fmt: skip
def test_reply(octets: bytes, reply: Reply) -> None:
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
def test_not_a_reply(octets: bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        Reply.parse(octets)
    assert 0 <= caught.value.offset <= len(octets)
    assert caught.value.reply is None


def test_no_lines_make_no_reply() -> None:
    with pytest.raises(GrammarError):
        Reply.from_lines([])


@pytest.mark.parametrize(
    ("line", "parts"),
    [(b"250 ok", (250, False, "ok")), (b"250-ok", (250, True, "ok")), (b"250", (250, False, "")),
     (b"250 ", (250, False, "")), (b"250-", (250, True, "")), (b"250  x ", (250, False, " x "))],
)  # fmt: skip
def test_reply_line(line: bytes, parts: tuple[int, bool, str]) -> None:
    assert parse_reply_line(line) == parts


def test_the_text_of_an_error_about_a_reply_is_safe_to_show() -> None:
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
def test_controls_are_escaped_when_read(octets: bytes, text: str) -> None:
    reply = Reply.parse(octets)
    assert reply.text == text
    assert Reply.parse(bytes(reply)) == reply


@pytest.mark.parametrize(
    "lines",
    [["a\r\nb"], ["a\nb"], ["a\rb"], ["a", "\0"], ["\x1b"], ["\x7f"], ["\x85"], ["\x9f"],
     ["\ud800"], ["\x0b"]],
)  # fmt: skip
def test_controls_are_refused_when_built(lines: list[str]) -> None:
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
def test_the_enhanced_code_suits_the_code(code: int, enhanced: str) -> None:
    with pytest.raises(GrammarError):
        Reply(code, enhanced, "x")


@pytest.mark.req("RFC5321-4.2-08", "RFC5321-4.3.2-02")
@pytest.mark.parametrize("code", [199, 600, 0, -250, 2500])
def test_not_a_reply_code(code: int) -> None:
    with pytest.raises(GrammarError, match="code"):
        Reply(code, None, "x")


@pytest.mark.parametrize("text", ["5.7.1 no", "5.7.1", "5.999.0 x\ny"])
def test_the_enhanced_code_does_not_hide_in_the_text(text: str) -> None:
    with pytest.raises(GrammarError, match="argument"):
        Reply(550, None, text)
    assert Reply(250, None, text).enhanced is None  # of another class: just text


@pytest.mark.req("RFC2034-4-07")
def test_an_enhanced_code_of_another_class_is_text() -> None:
    reply = Reply.parse(b"250 5.1.1 x\r\n")
    assert (reply.enhanced, reply.lines) == (None, ("5.1.1 x",))


@pytest.mark.req("RFC5321-4.2.1-03", "RFC5321-4.2.1-05", "RFC2034-4-04")
def test_what_is_written() -> None:
    assert bytes(Reply(250)) == b"250 \r\n"
    assert bytes(Reply(354, None, "go on")) == b"354 go on\r\n"
    assert (
        bytes(Reply(550, "5.1.1", ["a", "", "c"]))
        == b"550-5.1.1 a\r\n550-5.1.1 \r\n550 5.1.1 c\r\n"
    )
    assert str(Reply(550, "5.1.1", ["a", "b"])) == "550 5.1.1 a / b"
    assert str(Reply(250)) == "250"


@pytest.mark.req("RFC5321-4.5.3.1.5-01")
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
def test_ascii() -> None:
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
def test_the_first_digit_decides(code: int, facts: tuple[bool, ...]) -> None:
    reply = Reply(code, None, "x")
    assert (reply.positive, reply.intermediate, reply.transient, reply.permanent) == facts


@pytest.mark.req("RFC2034-4-02", "RFC3463-2-01")
@pytest.mark.parametrize(
    ("text", "code"),
    [("5.1.1", EnhancedCode(5, 1, 1)), ("2.0.0", EnhancedCode(2, 0, 0)),
     ("4.999.999", EnhancedCode(4, 999, 999)), ("5.10.100", EnhancedCode(5, 10, 100))],
)  # fmt: skip
def test_enhanced_code(text: str, code: EnhancedCode) -> None:
    assert EnhancedCode.parse(text) == code
    assert str(code) == text
    assert EnhancedCode.at_start(f"{text} x") == EnhancedCode.at_start(text) == code
    assert EnhancedCode.at_start(f"{text}x") is None


@pytest.mark.req("RFC2034-4-02", "RFC3463-2-01")
@pytest.mark.parametrize(
    "text",
    ["", "5", "5.1", "5.1.", "5.1.1.1", "3.0.0", "1.1.1", "05.1.1", "5.01.1", "5.1.01", "5.00.1",
     "5.1.1000", "5.1000.1", "5. 1.1", "5.1.1 ", " 5.1.1", "5.1.1\n", "5.1.1x", "5,1,1", "5.-1.1",
     "5.1.\u0661", "5.1\u0661.1", "\u0665.1.1", "5.1.1 (x)"],
)  # fmt: skip
def test_not_an_enhanced_code(text: str) -> None:
    with pytest.raises(GrammarError):
        EnhancedCode.parse(text)
    if text not in {"5.1.1 ", "5.1.1 (x)"}:
        assert EnhancedCode.at_start(text) is None


@pytest.mark.parametrize("parts", [(3, 0, 0), (0, 0, 0), (5, 1000, 0), (5, 0, -1), (5, -1, 0)])
def test_an_enhanced_code_cannot_be_built_invalid(parts: tuple[int, int, int]) -> None:
    with pytest.raises(GrammarError):
        EnhancedCode(*parts)


def test_enhanced_codes_are_ordered() -> None:
    assert EnhancedCode(4, 10, 0) > EnhancedCode(4, 9, 999) > EnhancedCode(2, 0, 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 例", "plain é 例"), ("a\r\nb", "a\\r\\nb"), ("\x1b[2J", "\\x1b[2J"),
     (b"caf\xc3\xa9 \xff", "café \\xff"), ("\u202e\u2028", "\\u202e\\u2028"),
     ("\ud800", "\\ud800")],
)  # fmt: skip
def test_printable(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown
