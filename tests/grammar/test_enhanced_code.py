"""Enhanced status codes (RFC 2034, RFC 3463)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.reply import EnhancedCode


@pytest.mark.req("RFC2034-4-02", "RFC3463-2-01")
@pytest.mark.parametrize(
    ("text", "code"),
    [("5.1.1", EnhancedCode(5, 1, 1)), ("2.0.0", EnhancedCode(2, 0, 0)),
     ("4.999.999", EnhancedCode(4, 999, 999)), ("5.10.100", EnhancedCode(5, 10, 100))],
)  # fmt: skip
def test_an_enhanced_code_is_read_and_written(text: str, code: EnhancedCode) -> None:
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
def test_a_malformed_enhanced_code_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        EnhancedCode.parse(text)
    if text not in {"5.1.1 ", "5.1.1 (x)"}:
        assert EnhancedCode.at_start(text) is None


@pytest.mark.parametrize("parts", [(3, 0, 0), (0, 0, 0), (5, 1000, 0), (5, 0, -1), (5, -1, 0)])
def test_an_invalid_enhanced_code_cannot_be_built(parts: tuple[int, int, int]) -> None:
    with pytest.raises(GrammarError):
        EnhancedCode(*parts)


def test_enhanced_codes_are_ordered_by_number() -> None:
    assert EnhancedCode(4, 10, 0) > EnhancedCode(4, 9, 999) > EnhancedCode(2, 0, 0)
