"""Case of ASCII letters."""

from __future__ import annotations

import pytest

from smtpproto.grammar.ascii_case import lower, upper


@pytest.mark.parametrize(
    ("text", "up", "low"),
    [("aZ-9", "AZ-9", "az-9"), ("\u017fize", "\u017fIZE", "\u017fize"),
     ("\u0130I", "\u0130I", "\u0130i"),
     ("\u212aK", "\u212aK", "\u212ak"), ("ß", "ß", "ß"), ("éÉ", "éÉ", "éÉ")],
)  # fmt: skip
def test_only_ascii_letters_change_case(text: str, up: str, low: str) -> None:
    assert upper(text) == up
    assert lower(text) == low
