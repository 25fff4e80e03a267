"""What is said of messages that can be sent but should be better."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pytest

from smtpproto import Domain, Envelope, GrammarError, Mailbox, lint
from smtpproto.mail.preparation import Source
from tests.support.envelopes import TO_BOB

FINE = b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\tworld\r\n"


def email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("Grüße\n")
    return message


@pytest.mark.parametrize(
    "message",
    [FINE, FINE.replace(b"\r\n", b"\n"), b"", b"no header", io.BytesIO(FINE), email(),
     b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
     b"\r\n" + b"x" * 998, b"Subject: x\r\n\r\nReturn-Path: is text here\r\n"],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_nothing_is_wrong(message: Source) -> None:
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
def test_each_fault_is_told_once(message: bytes, fault: str, form: type) -> None:
    assert lint(form(message), TO_BOB) == [fault]


@pytest.mark.req("RFC5321-4.5.3.1-02")
def test_names_that_are_too_long() -> None:
    long = Mailbox("l" * 65, Domain("example.org"), long=True)
    (fault,) = lint(FINE, Envelope(long, "bob@example.org"))
    assert fault.startswith("local-part of more than 64 octets: lll")
    with pytest.raises(GrammarError, match="255"):
        Domain(".".join(["d" * 63] * 4) + ".d")


def test_a_file_is_left_as_it_was() -> None:
    file = io.BytesIO(b"skipped" + FINE)
    file.seek(7)
    assert lint(file, TO_BOB) == []
    assert file.tell() == 7


def test_what_can_be_read_only_once_is_not_read() -> None:
    with pytest.raises(GrammarError, match="only once"):
        lint(iter([FINE]), TO_BOB)
