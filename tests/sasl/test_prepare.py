"""SASLprep (RFC 4013)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.sasl.prepare import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # the examples of RFC 4013 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("e\u0301", "\u00e9"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\U0001fae0", "\U0001fae0"),  # a character that Unicode added after RFC 3454
        ("", ""),
    ],
)
def test_text_is_mapped_and_normalized(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text", ["\x07", "\x7f", "a\0b", "\u0627\u0031", "\u0627a\u0628", "\u200e", "\ue000", "\ufffd"]
)
def test_prohibited_characters_are_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        saslprep(text)


@given(st.text())
def test_preparing_twice_changes_nothing_and_only_grammar_errors_escape(text: str) -> None:
    try:
        prepared = saslprep(text)
    except GrammarError:
        return
    assert saslprep(prepared) == prepared
