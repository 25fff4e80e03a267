"""Email objects of the standard library and of Django: written as octets, and their envelope."""

from __future__ import annotations

import email
import io
from email import policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy

import pytest

from smtpproto import Envelope, Extensions, GrammarError, NotOffered, plan
from smtpproto.mail.preparation import prepare

FORMS = ["default", "SMTP", "compat32"]
TO_BOB = Envelope("ann@example.org", "bob@example.org")
MALFORMED = [
    "j@example.org; al@example.org",
    "j@example.org al@example.org",
    "j@example.org\tal@example.org",
    "J <j@example.org> <al@example.org>",
    "jo@ex ample.org",
    "=?utf-8?q?Smith=2C_J?= <j@example.org",
]


def message(kind: type[Message], to: str, **fields: str) -> Message:
    made = kind()
    made["From"] = "ann@example.org"
    made["To"] = to
    for name, value in fields.items():
        made[name] = value
    made.set_payload("hello\n")
    return made


def written(source: Message, envelope: Envelope = TO_BOB) -> bytes:
    content, _ = prepare(source, envelope)
    assert isinstance(content.source, bytes)
    return content.source


@pytest.mark.parametrize("kind", [Message, EmailMessage])
@pytest.mark.parametrize("to", MALFORMED)
def test_a_malformed_recipient_field_is_an_error_that_names_it(
    kind: type[Message], to: str
) -> None:
    with pytest.raises(GrammarError, match="cannot read the field To"):
        prepare(message(kind, to))


def test_a_malformed_field_does_not_matter_if_the_envelope_is_given() -> None:
    assert b"al@example.org" in written(message(EmailMessage, MALFORMED[0]))


def test_a_folded_field_of_a_classic_message_makes_the_envelope() -> None:
    """RFC 5322 2.2.3."""
    _, envelope = prepare(message(Message, "bob@example.org,\r\n carol@example.org"))
    assert [str(path) for path in envelope.recipients] == ["bob@example.org", "carol@example.org"]


@pytest.mark.parametrize(
    "value", ["hi\nBcc : x@example.org", "hi\r\nX: y", "hi\n", "hi\n\nbody", "hi\rX: y", "hi\n\n x"]
)
def test_a_line_break_in_a_value_cannot_begin_a_field_or_end_the_header(value: str) -> None:
    with pytest.raises(GrammarError, match="the field Subject has a line break in its value"):
        prepare(message(Message, "bob@example.org", Subject=value), TO_BOB)


def test_a_message_whose_as_bytes_is_overridden_is_sent() -> None:
    class Overridden(MIMEText):
        def as_bytes(self, unixfrom: bool = False) -> bytes:  # type: ignore[override]
            raise AssertionError("the library must not call this")

    made = Overridden("hello", _charset="utf-8")
    made["To"] = "bob@example.org"
    assert written(made).endswith(b"aGVsbG8=\r\n")


def test_messages_of_django_are_sent() -> None:
    django = pytest.importorskip("django.core.mail")
    from django.conf import settings  # noqa: PLC0415

    if not settings.configured:
        settings.configure()
    sent = django.EmailMessage("Grüße", "hello", "ann@example.org", ["bob@example.org"])
    _, envelope = prepare(sent.message())
    assert str(envelope.recipients[0]) == "bob@example.org"
    assert b"Subject: =?utf-8?" in written(sent.message())


def test_text_that_can_be_encoded_needs_no_smtputf8() -> None:
    made = EmailMessage(policy=policy.SMTPUTF8)
    made["From"], made["To"] = "Änn <ann@example.org>", "bob@example.org"
    made["Subject"] = "Grüße"
    made.set_content("hello\n")
    assert not plan(made, None, Extensions({})).content.utf8_header
    assert b"Subject: =?utf-8?" in written(made)


def test_raw_utf_8_of_a_parsed_message_is_encoded_too() -> None:
    octets = "From: ann@example.org\nTo: bob@example.org\nSubject: Grüße\n\nhello\n".encode()
    parsed = email.message_from_bytes(octets, policy=policy.default)
    assert written(parsed).isascii()
    assert b"=?utf-8?" in written(parsed)


@pytest.mark.parametrize("to", ["jörg@example.org", "bob@bücher.example"])
def test_an_address_that_is_not_ascii_is_not_encoded_but_needs_smtputf8(to: str) -> None:
    """RFC 6531 3.2, RFC 2047 5(3)."""
    made = message(EmailMessage, to)
    with pytest.raises(NotOffered, match="SMTPUTF8"):
        plan(made, TO_BOB, Extensions({"8BITMIME": ""}))
    planned = plan(made, TO_BOB, Extensions({"SMTPUTF8": "", "8BITMIME": ""}))
    assert f"To: {to}\r\n".encode() in planned.content.source  # type: ignore[operator]


@pytest.mark.parametrize("form", [policy.default, policy.SMTP, policy.compat32], ids=FORMS)
def test_fields_of_a_parsed_message_keep_their_octets(form: Policy) -> None:
    long = " ".join(f"<{number:060}@mail.example.org>" for number in range(12))
    octets = (
        f"From: ann@example.org\r\nTo: bob@example.org\r\nReferences: {long}\r\n"
        "DKIM-Signature: v=1; a=rsa-sha256;\r\n  b=dGVzdA\r\n\tdGVzdA==\r\n\r\nhello\r\n"
    ).encode()
    parsed = email.message_from_bytes(octets, policy=form)
    parsed["X-New"] = "added"
    assert written(parsed) == octets.replace(b"\r\n\r\n", b"\r\nX-New: added\r\n\r\n")


@pytest.mark.parametrize("length", [998, 999, 1500])
def test_a_field_of_a_classic_message_is_folded_where_a_line_would_be_too_long(length: int) -> None:
    """RFC 5322 2.1.1."""
    made = message(Message, "bob@example.org")
    made["X-Words"] = "words " * ((length - len("X-Words: ")) // 6) + "x" * 5
    longest = max(len(line) for line in written(made).split(b"\r\n"))
    assert longest <= 998


@pytest.mark.parametrize("form", [policy.default, policy.SMTP, policy.compat32], ids=FORMS)
def test_a_parsed_field_that_is_neither_ascii_nor_utf_8_is_refused_by_name(form: Policy) -> None:
    """RFC 6532 3.1. Its octets must not become replacement characters."""
    octets = b"From: ann@example.org\nTo: bob@example.org\nSubject: Gr\xfc\xdfe\n\nhello\n"
    with pytest.raises(GrammarError, match="the field Subject is neither ASCII nor UTF-8"):
        prepare(email.message_from_bytes(octets, policy=form), TO_BOB)


def test_an_object_with_read_alone_is_a_source() -> None:
    class Counter:
        """A file in a wrapper, as progress bars use."""

        def __init__(self) -> None:
            self._file = io.BytesIO(b"Subject: x\r\n\r\nhello\r\n")

        def read(self, size: int = -1) -> bytes:
            return self._file.read(size)

    content, _ = prepare(Counter(), TO_BOB)  # type: ignore[arg-type]
    assert content.once and content.size is None


def test_addresses_with_every_quoting_go_through_as_they_are_written() -> None:
    made = message(
        EmailMessage, '"a b"@x.test, G: "q\\"x" <c@x.test>, d@x.test;, (c) e@[192.0.2.1]'
    )
    _, envelope = prepare(made)
    assert [str(path) for path in envelope.recipients] == [
        '"a b"@x.test', "c@x.test", "d@x.test", "e@[192.0.2.1]",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_bcc_makes_recipients_but_is_not_sent(kind: type[Message]) -> None:
    made = message(kind, "bob@example.org", Bcc="carol@example.org")
    content, envelope = prepare(made)
    assert [str(path) for path in envelope.recipients] == ["bob@example.org", "carol@example.org"]
    assert b"carol" not in content.source  # type: ignore[operator]
    assert made["Bcc"] == "carol@example.org"
