"""Encoded words in header fields (RFC 2047), and folding (RFC 5322 2.2.3)."""

from __future__ import annotations

import re
from email import policy
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Mailbox
from smtpproto.mail.address_list import parse_address_list
from smtpproto.mail.encoded_words import (
    _PHRASE,
    _address_tokens,
    encode_addresses,
    encode_text,
    fold,
)
from smtpproto.testing.strategies import address_fields


@given(address_fields(smtputf8=False))
def test_encoding_an_address_field_keeps_its_addresses(field: tuple[str, list[Mailbox]]) -> None:
    text, mailboxes = field
    encoded = encode_addresses(re.sub("[\r\n]", "", text))
    assert encoded.isascii()
    assert parse_address_list(encoded) == mailboxes


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("J\u00f6rg M\u00fcller", "J\u00f6rg M\u00fcller"),
        ('"M\u00fcller, J\u00f6rg \\"J\\""', 'M\u00fcller, J\u00f6rg "J"'),
        ("Ann M\u00fcller Smith", "Ann M\u00fcller Smith"),
        ("J.\u00d6. Smith", "J.\u00d6. Smith"),
        ("\u6f22" * 100, "\u6f22" * 100),
    ],
    ids=["words", "quoted", "between", "dots", "long"],
)
def test_an_encoded_display_name_is_read_as_it_was_written(written: str, name: str) -> None:
    encoded = encode_addresses(f"{written} <j@x.test>, k@x.test")
    assert max(map(len, encoded.split())) <= 75  # RFC 2047 2
    phrase, rest = encoded.split(" <")
    assert str(make_header(decode_header(phrase))) == name
    assert rest == "j@x.test>, k@x.test"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_encoded_text_is_read_as_it_was_written(text: str) -> None:
    if "=?" in text:
        return
    header = policy.default.header_factory("Subject", encode_text(text))
    assert header == text


@given(st.text("ab \t"))
def test_folding_only_puts_line_ends_before_blanks_that_text_follows(text: str) -> None:
    line = f"Subject: {text}"
    folded = fold(line)
    assert folded.replace("\r\n", "") == line
    assert all(re.match(r"[ \t]+[^ \t]", part) for part in folded.split("\r\n")[1:])


def test_folded_lines_have_at_most_78_characters_where_blanks_allow_it() -> None:
    folded = fold("To: " + ", ".join(f"user{number}@example.org" for number in range(1000)))
    assert max(map(len, folded.split("\r\n"))) <= 78
    assert fold("X: " + "x" * 200) == "X: " + "x" * 200


def test_each_character_is_read_by_one_token_also_where_quotes_are_not_closed() -> None:
    """Otherwise the time would grow faster than the text."""
    unclosed = '"' + '\\"' * 10_000
    for text in (unclosed, '"' * 10_000, "(" * 10_000, '\u00fc"' * 9_999, "(\\" * 9_999):
        tokens = _PHRASE.findall(text)
        assert "".join(tokens) == text
        assert "".join(token for token, _ in _address_tokens(text)) == text
    assert len(_PHRASE.findall(unclosed)) == 1
