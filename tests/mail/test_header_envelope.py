"""The envelope that header fields make: which field counts, and where none is certain."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage, Message
from email.policy import Policy

import pytest

from smtpproto import Envelope, GrammarError
from smtpproto.mail.preparation import prepare

TO_BOB = Envelope("ann@example.org", "bob@example.org")


def envelope_of(*fields: str) -> Envelope:
    return prepare("\r\n".join([*fields, "", "hello"]).encode())[1]


def recipients(*fields: str) -> list[str]:
    return [str(path) for path in envelope_of("From: a@x.test", *fields).recipients]


def test_several_destination_fields_count_together() -> None:
    """RFC 5322 4.5.3."""
    assert recipients("To: b@x.test", "Cc: c@x.test", "TO: d@x.test") == [
        "b@x.test", "d@x.test", "c@x.test",
    ]  # fmt: skip


def test_a_recipient_named_twice_is_one() -> None:
    assert recipients("To: b@x.test, b@X.test", 'Cc: "b"@x.test') == ["b@x.test"]


def test_the_sender_field_comes_before_from() -> None:
    assert envelope_of("From: a@x.test, b@x.test", "Sender: s@x.test", "To: c@x.test").sender == (
        "s@x.test"
    )
    assert envelope_of("From: a@x.test, b@x.test", "To: c@x.test").sender == "a@x.test"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["From: a@x.test", "From: b@x.test"], "more than one From field"),
        (["From: a@x.test", "Sender: a@x.test", "Sender: b@x.test"], "more than one Sender field"),
        (["From: a@x.test", "Sender: a@x.test, b@x.test"], "more than one mailbox in Sender"),
        (["Sender:", "From: nobody:;"], "no Sender or From field"),
        (["From: a@x.test", "Resent-To: b@x.test"], "a Resent-To field without Resent-Date"),
        (["From: a@x.test", "Resent-From: b@x.test"], "a Resent-From field without Resent-Date"),
        (["Resent-Date: x", "Resent-Date: y"], "more than one Resent-Date field"),
        (["Resent-Date: x", "Resent-To: b@x.test", "Resent-To: c@x.test"], "one Resent-To field"),
        (["Resent-Date: x", "From: a@x.test"], "no Resent-Sender or Resent-From field"),
        (["From: a@x.test", "Bcc: b@x.test"], "a Bcc field"),
        (["Resent-Date: x", "Resent-From: a@x.test", "Bcc: b@x.test"], "a Bcc field"),
    ],
)
def test_fields_without_a_certain_meaning_make_no_envelope(fields: list[str], reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        envelope_of("To: j@x.test", *fields)


@pytest.mark.parametrize("form", [policy.default, policy.compat32], ids=["default", "compat32"])
@pytest.mark.parametrize(
    "octets",
    [
        b"From: a@x.test\nTo: b@x.test\nnonsense\nCc: c@x.test\n\n",
        b"From: a@x.test\nTo: b@x.test\nCc : c@x.test\n\n",
        b"From: a@x.test\nTo: b@x.test,\nFrom a@x.test Mon\n c@x.test\n\n",
        b"From: a@x.test\nTo: b@x.test,\n:\n c@x.test\n\n",
        b" c@x.test\nFrom: a@x.test\nTo: b@x.test\n\n",
    ],
)
def test_a_parsed_message_whose_header_section_was_damaged_makes_no_envelope(
    octets: bytes, form: Policy
) -> None:
    """The email package leaves out what it cannot read, and recipients with it."""
    parsed = email.message_from_bytes(octets, policy=form)
    with pytest.raises(GrammarError, match="recipients may be missing"):
        prepare(parsed)
    prepare(parsed, TO_BOB)


@pytest.mark.parametrize(
    "to",
    [
        "b@x.test (open, c@x.test",
        'b@x.test, "open, c@x.test',
        "G: b@x.test, c@x.test",
        "b@x.test, [open, c@x.test",
    ],
)
@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_what_the_email_package_would_close_for_us_hides_no_recipient(
    kind: type[Message], to: str
) -> None:
    made = kind()
    made["From"], made["To"] = "a@x.test", to
    made.set_payload("hello\n")
    with pytest.raises(GrammarError, match="cannot read the field To"):
        prepare(made)


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_an_encoded_word_in_a_display_name_makes_no_recipient(kind: type[Message]) -> None:
    made = kind()
    made["From"] = "a@x.test"
    made["To"] = "=?utf-8?q?al=40y.test=2C?= =?utf-8?b?YkB5LnRlc3Qs?= <j@x.test>"
    made.set_payload("hello\n")
    content, envelope = prepare(made)
    assert [str(path) for path in envelope.recipients] == ["j@x.test"]
    assert prepare(content.source)[1] == envelope


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_an_encoded_word_in_an_address_is_not_decoded(kind: type[Message]) -> None:
    """RFC 2047 5(3)."""
    made = kind()
    made["From"], made["To"] = "a@x.test", "=?utf-8?q?j?=@x.test"
    made.set_payload("hello\n")
    try:
        _, envelope = prepare(made)
    except GrammarError as error:
        assert "an encoded word in an address" in error.message
    else:
        assert [str(path) for path in envelope.recipients] == ["=?utf-8?q?j?=@x.test"]
