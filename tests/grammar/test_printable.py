"""Text from a peer, made safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.grammar.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 例", "plain é 例"), ("a\r\nb", "a\\r\\nb"), ("\x1b[2J", "\\x1b[2J"),
     (b"caf\xc3\xa9 \xff", "café \\xff"), ("\u202e\u2028", "\\u202e\\u2028"),
     ("\ud800", "\\ud800")],
)  # fmt: skip
def test_printable_escapes_unprintable_characters(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()) | st.binary())
def test_printable_never_returns_unprintable_characters(text: str | bytes) -> None:
    assert printable(text).isprintable()
