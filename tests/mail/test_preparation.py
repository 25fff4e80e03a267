"""Preparation of messages whose headers the standard library cannot read."""

from __future__ import annotations

import contextlib

import pytest

from smtpproto import SMTPError
from smtpproto.mail.preparation import prepare


@pytest.mark.parametrize("to", [b'"', b"a@[", b"=?utf-8?q?=0a?= <a@b.c>", b"(" * 3000, b"<", b"a@"])
def test_a_damaged_to_field_raises_no_error_but_smtp_error(to: bytes) -> None:
    with contextlib.suppress(SMTPError):
        prepare(b"From: a@b.test\r\nTo: " + to + b"\r\n\r\n")
