"""lint: the faults that it finds in a message, and the messages that it does not read."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pytest

from smtpproto import Domain, Envelope, GrammarError, Mailbox, lint
from smtpproto.mail.preparation import Source
from tests.support.envelopes import TO_BOB

VALID = b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\tworld\r\n"


def email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("Grüße\n")
    return message


@pytest.mark.parametrize(
    "message",
    [VALID, VALID.replace(b"\r\n", b"\n"), b"", b"no header", io.BytesIO(VALID), email(),
     b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
     b"\r\n" + b"x" * 998, b"Subject: x\r\n\r\nReturn-Path: is text here\r\n"],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_valid_message_has_no_faults(message: Source) -> None:
    assert lint(message, TO_BOB) == []


@pytest.mark.req("RFC5321-2.4-13", "RFC5321-4.1.1.4-01", "RFC5321-4.4-11", "RFC5321-4.5.3.1-02")
@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (b"To: x\r\n\r\nok\r\n\r\ncaf\xe9\r\ncaf\xe9\r\n",
         "line 5: octets above 127 without a MIME-Version field"),
        (b"\r\nMIME-Version: 1.0 in the text\r\n\xe9",
         "line 3: octets above 127 without a MIME-Version field"),
        (b"To: x\r\n\r\na\x1b[2J\r\n\x00", "line 3: a control character"),
        (b"To: \x7f\r\n\r\n", "line 1: a control character"),
        (b"To: x\r\nRETURN-path : <a@b.example>\r\n\r\nReturn-Path: <>\r\n",
         "line 2: a Return-Path field, which only final delivery adds"),
        (b"To: x\r\n\r\n" + b"x" * 999 + b"\r\n", "line 3: more than 998 octets"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_each_fault_is_reported_once_with_its_first_line(
    message: bytes, fault: str, form: type
) -> None:
    assert lint(form(message), TO_BOB) == [fault]


@pytest.mark.req("RFC5321-2.4-13")
def test_octets_above_127_need_mime_whatever_other_fields_there_are() -> None:
    fault = "octets above 127 without a MIME-Version field"
    for fields in (b"", b"Return-Path: <>\r\n", b"X-MIME-Version: 1.0\r\n", b"MIME: 1.0\r\n"):
        faults = lint(b"To: x\r\n" + fields + b"\r\ncaf\xe9\x07\r\n", TO_BOB)
        assert any(fault in found for found in faults), fields


@pytest.mark.req("RFC5321-4.5.3.1-02")
def test_a_long_local_part_is_a_fault_and_a_long_domain_cannot_be_made() -> None:
    long = Mailbox("l" * 65, Domain("example.org"), long=True)
    (fault,) = lint(VALID, Envelope(long, "bob@example.org"))
    assert fault.startswith("local-part of more than 64 octets: lll")
    with pytest.raises(GrammarError, match="255"):
        Domain(".".join(["d" * 63] * 4) + ".d")


def test_lint_leaves_a_file_at_its_position() -> None:
    file = io.BytesIO(b"skipped" + VALID)
    file.seek(7)
    assert lint(file, TO_BOB) == []
    assert file.tell() == 7


def test_lint_refuses_a_message_in_pieces() -> None:
    with pytest.raises(GrammarError, match="only once"):
        lint(iter([VALID]), TO_BOB)
