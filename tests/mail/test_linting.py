"""lint: the faults that it finds in a message, and the messages that it does not read."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pytest

from smtpproto import Domain, Envelope, GrammarError, Mailbox, compose, lint
from smtpproto.mail import Severity
from smtpproto.mail.preparation import Source
from tests.support.envelopes import TO_BOB

VALID = b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\tworld\r\n"


def email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("Grüße\n")
    return message


GOOD = (
    b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\nSubject: x\r\n" + VALID
)
NOW = 1767225600.0  # 1 January 2026
LINES = {"return-path", "long-line", "control", "no-mime"}


def faults_of_lines(message: Source) -> list[str]:
    """Return the faults that have a line, but for those that are about the looks."""
    found = [it for it in lint(message, TO_BOB) if it.code in LINES]
    return [f"line {it.line}: {it.what}" for it in found]


def codes(
    message: Source, envelope: Envelope | None = TO_BOB, now: float | None = NOW
) -> list[str]:
    return [it.code for it in lint(message, envelope, now=now)]


@pytest.mark.parametrize(
    "message",
    [VALID, VALID.replace(b"\r\n", b"\n"), b"", b"no header", io.BytesIO(VALID), email(),
     b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
     b"\r\n" + b"x" * 998, b"Subject: x\r\n\r\nReturn-Path: is text here\r\n"],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_valid_message_has_no_faults(message: Source) -> None:
    assert faults_of_lines(message) == []


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (GOOD, []),
        (VALID, ["no-date", "no-message-id", "no-subject"]),
        (GOOD.replace(b"2026", b"2025"), ["date-off"]),
        (GOOD.replace(b"1 Jan", b"3 Jan"), ["date-off"]),
        (GOOD.replace(b"1 Jan", b"1st of Jan"), ["bad-date"]),
        (GOOD.replace(b"<1@example.org>", b"1"), ["no-message-id"]),
        (GOOD.replace(b"<1@example.org>", b"<1@elsewhere.example>"), ["message-id-domain"]),
        (GOOD.replace(b"From:", b"X-From:"), ["from"]),
        (b"From: b@example.org\r\n" + GOOD, ["from"]),
        (GOOD.replace(b"ann@example.org", b"ann"), ["from"]),
        (b"Bcc: eve@example.org\r\n" + GOOD, ["bcc"]),
        (b"no field\r\n" + GOOD, ["not-a-field"]),
        (b"Content-Type: text/html\r\n" + GOOD, ["html-alone"]),
        (b"MIME-Version: 1.0\r\n" + GOOD + b"\xe9\r\n", ["undeclared-8bit"]),
        (GOOD + b"x" * 79 + b"\r\n", ["line-78"]),
        (GOOD + b"x" * 78 + b"\r\n", []),
    ],
)
def test_what_receivers_dislike_is_found(message: bytes, found: list[str]) -> None:
    assert codes(message) == found


def test_each_fault_says_what_to_do() -> None:
    [fault] = lint(b"Content-Type: text/html\r\n" + GOOD, TO_BOB)
    assert str(fault) == (
        "line 1: HTML without plain text, which filters count as a sign of spam; "
        "add the text, as smtpproto.compose does"
    )
    assert fault.severity is Severity.WARNING


def test_a_sender_of_another_domain_is_a_fault_but_the_null_sender_is_not() -> None:
    assert codes(GOOD, Envelope("a@elsewhere.example", "bob@example.org")) == ["envelope-domain"]
    assert codes(GOOD, Envelope("", "bob@example.org")) == []
    assert codes(GOOD, Envelope("a@EXAMPLE.org", "bob@example.org"), None) == []


def test_a_composed_message_has_no_faults() -> None:
    message = compose(
        "ann@example.org", "bob@example.org", bcc="c@d.test", subject="x", text="Gr\xfc"
    )
    assert codes(message, None, None) == []


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
    assert faults_of_lines(form(message)) == [fault]


@pytest.mark.req("RFC5321-2.4-13")
def test_octets_above_127_need_mime_whatever_other_fields_there_are() -> None:
    fault = "octets above 127 without a MIME-Version field"
    for fields in (b"", b"Return-Path: <>\r\n", b"X-MIME-Version: 1.0\r\n", b"MIME: 1.0\r\n"):
        faults = faults_of_lines(b"To: x\r\n" + fields + b"\r\ncaf\xe9\x07\r\n")
        assert any(fault in found for found in faults), fields


@pytest.mark.req("RFC5321-4.5.3.1-02")
def test_a_long_local_part_is_a_fault_and_a_long_domain_cannot_be_made() -> None:
    long = Mailbox("l" * 65, Domain("example.org"), long=True)
    (fault,) = lint(GOOD, Envelope(long, "bob@example.org"))
    assert fault.what.startswith("local-part of more than 64 octets: lll")
    with pytest.raises(GrammarError, match="255"):
        Domain(".".join(["d" * 63] * 4) + ".d")


def test_lint_leaves_a_file_at_its_position() -> None:
    file = io.BytesIO(b"skipped" + GOOD)
    file.seek(7)
    assert codes(file) == []
    assert file.tell() == 7


def test_lint_refuses_a_message_in_pieces() -> None:
    with pytest.raises(GrammarError, match="only once"):
        lint(iter([VALID]), TO_BOB)
