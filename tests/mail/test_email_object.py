"""Email objects of the standard library and of Django: written as octets, and their envelope."""

from __future__ import annotations

import email
import io
from email import policy
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
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


@pytest.mark.parametrize("kind", [Message, EmailMessage])
@pytest.mark.parametrize(
    "name", ["X: y\nBcc", "X:Y", "Bcc ", "Bcc\t", "", "\nBcc", "X\r\n\r\nbody", "X Y", "\u00dc"]
)
def test_a_name_that_is_none_is_refused(kind: type[Message], name: str) -> None:
    """RFC 5322 2.2. Some of them would begin another field."""
    made = message(kind, "bob@example.org")
    made._headers.append((name, "carol@example.org"))  # type: ignore[attr-defined]
    with pytest.raises(GrammarError, match="not a field name"):
        prepare(made, TO_BOB)


@pytest.mark.parametrize("field", ["Content-Disposition", "X-Any"])
def test_a_field_of_a_part_cannot_begin_another_field(field: str) -> None:
    part = MIMEText("hello")
    part.add_header(field, "attachment", filename='a"\r\nX: y')
    made = MIMEMultipart(_subparts=[part])
    with pytest.raises(GrammarError, match=f"the field {field} has a line break"):
        prepare(made, TO_BOB)


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
    with pytest.raises(TypeError, match=r"pass its message\(\)"):
        prepare(sent)


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


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_display_names_are_encoded_without_their_addresses(kind: type[Message]) -> None:
    made = message(kind, '"M\u00fcller, J" <j@example.org> (B\u00fcro), al@example.org')
    content, envelope = prepare(made)
    assert [str(path) for path in envelope.recipients] == ["j@example.org", "al@example.org"]
    assert isinstance(content.source, bytes) and content.source.isascii()
    assert b" <j@example.org> (=?utf-8?" in content.source
    assert prepare(content.source)[1] == envelope


def test_a_header_object_of_the_email_package_hides_no_address_in_encoded_words() -> None:
    one, two = Header("J\u00f6rg <j@example.org>", "utf-8"), Header("M\u00fcller, J", "utf-8")
    two.append("<m@example.org>", "us-ascii")
    for value, address in ((one, "j@example.org"), (two, "m@example.org")):
        made = message(Message, "bob@example.org")
        made.replace_header("To", value)  # type: ignore[arg-type]
        content, envelope = prepare(made)
        assert [str(path) for path in envelope.recipients] == [address]
        assert f"?= <{address}>\r\n".encode() in content.source  # type: ignore[operator]


@pytest.mark.parametrize("kind", [Message, EmailMessage])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Message-ID", "<j\u00f6rg@example.org>"),
        ("In-Reply-To", "<j\u00f6rg@example.org>"),
        ("References", "<a@example.org> <j\u00f6rg@example.org>"),
        ("Reply-To", "j\u00f6rg@example.org"),
        ("Return-Path", "<j\u00f6rg@example.org>"),
        ("Disposition-Notification-To", "j\u00f6rg@example.org"),
        ("Cc", "j\u00f6rg@example.org; no list"),
    ],
)
def test_an_identifier_or_address_anywhere_is_never_an_encoded_word(
    kind: type[Message], field: str, value: str
) -> None:
    """RFC 2047 5(3)."""
    made = message(kind, "bob@example.org")
    made[field] = value
    with pytest.raises(NotOffered, match="SMTPUTF8"):
        plan(made, TO_BOB, Extensions({"8BITMIME": ""}))
    source = plan(made, TO_BOB, Extensions({"SMTPUTF8": "", "8BITMIME": ""})).content.source
    assert f"{field}: {value}\r\n".encode() in source  # type: ignore[operator]


@pytest.mark.parametrize("kind", [Message, EmailMessage])
@pytest.mark.parametrize("field", ["References", "In-Reply-To", "Message-ID", "DKIM-Signature"])
def test_long_words_that_a_program_has_set_are_not_encoded(kind: type[Message], field: str) -> None:
    words = " ".join(f"<{number:090}@example.org>" for number in range(12))
    made = message(kind, "bob@example.org")
    made[field] = words if field == "References" else words[:105]
    sent = written(made)
    assert b"=?" not in sent
    assert made[field].encode() in sent.replace(b"\r\n", b"")


@pytest.mark.parametrize("form", [policy.default, policy.HTTP, policy.compat32])
def test_raw_utf_8_of_a_parsed_message_stays_only_if_the_server_accepts_it(form: Policy) -> None:
    octets = (
        "From: \u00c4nn <ann@example.org>\r\nTo: bob@example.org\r\nSubject: Gr\u00fc\u00dfe\r\n"
        "\r\nhello\r\n"
    ).encode()
    parsed = email.message_from_bytes(octets, policy=form)
    smtputf8 = plan(parsed, None, Extensions({"SMTPUTF8": "", "8BITMIME": ""}))
    assert smtputf8.content.source == octets
    for offered in ({}, {"8BITMIME": ""}):
        source = plan(parsed, None, Extensions(offered)).content.source
        assert isinstance(source, bytes) and source.isascii()
        again = email.message_from_bytes(source, policy=policy.default)
        assert again["Subject"] == "Gr\u00fc\u00dfe"
        assert again["From"].addresses[0].display_name == "\u00c4nn"


def test_lines_are_folded_whatever_length_the_policy_has() -> None:
    made = EmailMessage(policy=policy.HTTP)
    made["To"] = ", ".join(f"user{number}@example.org" for number in range(200))
    assert max(map(len, written(made).split(b"\r\n"))) <= 78


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


@pytest.mark.parametrize("form", [policy.default, policy.compat32], ids=["default", "compat32"])
@pytest.mark.parametrize("charset", ["", "Content-Type: text/plain; charset=unknown-x\n"])
def test_content_whose_charset_is_unknown_needs_8bitmime(form: Policy, charset: str) -> None:
    octets = f"From: ann@example.org\nTo: bob@example.org\n{charset}\n".encode() + b"h\xe4llo\n"
    parsed = email.message_from_bytes(octets, policy=form)
    with pytest.raises(NotOffered, match="8BITMIME"):
        plan(parsed, None, Extensions({}))
    source = plan(parsed, None, Extensions({"8BITMIME": ""})).content.source
    assert source == octets.replace(b"\n", b"\r\n")


def test_a_field_of_a_part_whose_octets_are_not_utf_8_needs_8bitmime() -> None:
    octets = (
        b"From: ann@example.org\r\nTo: bob@example.org\r\nContent-Type: multipart/mixed; boundary=b"
        b"\r\n\r\n--b\r\nContent-Description: Gr\xfc\xdfe\r\n\r\nhello\r\n--b--\r\n"
    )
    parsed = email.message_from_bytes(octets)
    assert plan(parsed, None, Extensions({"8BITMIME": ""})).content.source == octets
    with pytest.raises(NotOffered, match="8BITMIME"):
        plan(parsed, None, Extensions({}))


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_the_fields_of_a_message_that_is_written_do_not_change(kind: type[Message]) -> None:
    made = message(
        kind, "J\u00f6rg <bob@example.org>", Bcc="carol@example.org", Subject="Gr\u00fc\u00dfe"
    )
    before = list(made.raw_items())
    assert written(made) == written(made)
    assert list(made.raw_items()) == before
