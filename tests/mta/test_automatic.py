"""Which messages a program may answer (RFC 3834)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.grammar.address import ReversePath
from smtpproto.mta.automatic import is_automatic, may_answer

ANN = ReversePath.of("ann@a.example")


@pytest.mark.req("RFC3834-2-02", "RFC3834-5.2-02")
@pytest.mark.parametrize(
    ("value", "automatic"),
    [
        (None, False),
        ("no", False),
        ("NO (by hand)", False),
        ("no; x=y", False),
        ("auto-replied", True),
        ("Auto-Generated", True),
        ('auto-replied; owner-email="a@b.example"', True),
        ("auto-notified\r\n ; x=y", True),
        ("x-new", True),
        ("", True),
    ],
)
def test_auto_submitted_tells_what_a_program_sent(value: str | None, automatic: bool) -> None:
    header = b"Subject: x\r\n"
    header += b"" if value is None else f"Auto-Submitted: {value}\r\n".encode()
    assert is_automatic(header) == automatic
    assert may_answer(ANN, header) != automatic


@pytest.mark.req("RFC3834-2-01")
@given(st.binary() | st.just(b"From: a@b.example\r\nSubject: x\r\n"))
def test_the_null_sender_is_never_answered(header: bytes) -> None:
    assert not may_answer(ReversePath(None), header)


@pytest.mark.parametrize("field", ["List-Id: <x>", "Precedence: Bulk", "list-post: <x>"])
def test_mailing_lists_are_not_answered(field: str) -> None:
    assert may_answer(ANN, b"Precedence: first-class\r\n")
    assert not may_answer(ANN, field.encode() + b"\r\n")
