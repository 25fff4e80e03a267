"""xtext (RFC 3461 4) and base64 (RFC 4954 4)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext
from smtpproto.testing import strategies


@pytest.mark.req("RFC3461-4-01", "RFC3461-4-02")
@pytest.mark.parametrize(
    ("text", "encoded"),
    [("", ""), ("abc~!", "abc~!"), ("+", "+2B"), ("=", "+3D"), ("a b", "a+20b"), ("\r\n", "+0D+0A"),
     ("\0\x7f", "+00+7F"), ("é", "+C3+A9"), ("\U0001f600", "+F0+9F+98+80"), ("+2B", "+2B2B")],
)  # fmt: skip
def test_xtext_escapes_all_but_printable_ascii(text: str, encoded: str) -> None:
    assert encode_xtext(text) == encoded
    assert decode_xtext(encoded) == text


@pytest.mark.req("RFC3461-4-01")
@pytest.mark.parametrize(
    ("text", "offset"),
    [("+", 0), ("+2", 0), ("a+2b", 1), ("+2G", 0), ("+ 1", 0), ("ab=", 2), ("a b", 1), ("a\n", 1),
     ("é", 0), ("a\x7f", 1), ("++41", 0), ("+41+", 3), ("+4\u0661", 0)],
)  # fmt: skip
def test_malformed_xtext_is_refused_at_the_bad_octet(text: str, offset: int) -> None:
    with pytest.raises(GrammarError, match="not xtext") as caught:
        decode_xtext(text)
    assert caught.value.offset == offset
    assert caught.value.reply is not None


@pytest.mark.parametrize("text", ["+FF", "+C3", "+C0+AE", "+ED+A0+80", "a+80"])
def test_xtext_must_decode_to_utf8(text: str) -> None:
    with pytest.raises(GrammarError, match="UTF-8"):
        decode_xtext(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_encoded_as_xtext(text: str) -> None:
    encoded = encode_xtext(text)
    assert re.fullmatch(r"([!-*,-<>-~]|\+[0-9A-F]{2})*", encoded)
    assert decode_xtext(encoded) == text


@given(strategies.xtexts())
def test_needless_xtext_escapes_are_decoded(encoded: str) -> None:
    assert decode_xtext(encode_xtext(decode_xtext(encoded))) == decode_xtext(encoded)


@pytest.mark.req("RFC4954-4-15/client", "RFC4954-4-15/server")
@pytest.mark.parametrize(
    "text",
    [b"A", b"AA", b"AAA", b"AA=", b"AAA==", b"AA===", b"AAAA=", b"AAAA==", b"AAAA====", b"=",
     b"====",
     b"=AAA", b"AAA=BBB", b"AA==AA==", b"AA==AAAA", b"AA A", b"AAAA\n", b"AA==\n", b" AAAA",
     b"AA-_",
     b"AA\0A", b"\xc3\xa9==", b"!!!!"],
)  # fmt: skip
def test_malformed_base64_is_refused_with_501(text: bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        decode_base64(text)
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, "5.5.2")


def test_base64_is_written_without_line_breaks() -> None:
    for octets, text in ((b"", b""), (b"a", b"YQ=="), (b"ab", b"YWI="), (b"abc", b"YWJj")):
        assert encode_base64(octets) == text
        assert decode_base64(text) == octets
    assert encode_base64(bytes(range(256)) * 4).count(b"\n") == 0
