"""The meanings of enhanced status codes (RFC 3463 3, docs/rfc/codes.csv)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.diagnosis.status_meanings import MEANINGS
from smtpproto.grammar.reply import EnhancedCode, Reply

CODES = Path(__file__).parents[2] / "docs/rfc/codes.csv"


def test_the_meanings_are_those_of_codes_csv() -> None:
    with CODES.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "enhanced"]
    assert {f"X.{s}.{d}": text for (s, d), text in MEANINGS.items()} == {
        row["code"]: row["meaning"] for row in rows
    }


@pytest.mark.req("RFC3463-2-02")
@pytest.mark.parametrize(
    ("code", "like"),
    [("5.1.99", "5.1.0"), ("4.7.999", "2.7.0"), ("5.99.1", "5.0.0"), ("2.8.0", "2.0.0")],
)
def test_an_unknown_code_has_the_meaning_of_its_subject(code: str, like: str) -> None:
    assert EnhancedCode.parse(code).meaning == EnhancedCode.parse(like).meaning


@pytest.mark.req("RFC7372-3-01")
def test_the_codes_of_email_authentication_go_with_550_and_have_meanings() -> None:
    for detail in range(20, 27):
        code = EnhancedCode(5, 7, detail)
        assert code.meaning != EnhancedCode(5, 7, 0).meaning
        assert Reply(550, code, "No").enhanced == code


def test_a_known_detail_has_a_meaning_of_its_own() -> None:
    assert "mailbox does not exist" in EnhancedCode(5, 1, 1).meaning
    assert EnhancedCode(5, 1, 1).meaning == EnhancedCode(4, 1, 1).meaning
    assert EnhancedCode(5, 1, 1).meaning != EnhancedCode(5, 1, 0).meaning


@given(st.integers(0, 999), st.integers(0, 999))
def test_every_code_has_a_meaning(subject: int, detail: int) -> None:
    assert EnhancedCode(5, subject, detail).meaning
