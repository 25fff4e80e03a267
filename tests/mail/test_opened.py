"""Messages as people read them: decoded fields, texts and attachments."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.mail.opened import open_message, text_of_html
from tests.support.hostile_mail import HOSTILE


def with_everything() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Jörg <joerg@a.test>"
    message["To"] = "bob@b.test"
    message["Subject"] = "Grüße und 漢字"
    message["Date"] = "Tue, 01 Dec 2026 09:41:07 +0000"
    message["Message-ID"] = "<1@a.test>"
    message.set_content("Hallo Bob,\nbis später\n")
    message.add_alternative('<p>Hallo <img src="cid:logo@a.test"></p>', subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<logo@a.test>")  # type: ignore[union-attr,index]
    message.add_attachment(b"%PDF", "application", "pdf", filename="Übersicht 1.pdf")
    message.add_attachment("notes", filename="notes.txt")
    return message


def test_a_message_is_its_fields_its_text_its_html_and_its_attachments() -> None:
    its = open_message(bytes(with_everything()))
    assert its.field("subject") == "Grüße und 漢字"
    assert its.field("From") == "Jörg <joerg@a.test>"
    assert its.field("Reply-To") == ""
    assert [name for name, _ in its.fields][:3] == ["From", "To", "Subject"]
    assert its.text == "Hallo Bob,\nbis später\n"
    assert its.html.startswith("<p>Hallo <img")
    found = [(it.name, it.type, it.content_id, it.octets) for it in its.attachments]
    assert found == [
        ("", "image/png", "logo@a.test", b"\x89PNG"),
        ("Übersicht 1.pdf", "application/pdf", "", b"%PDF"),
        ("notes.txt", "text/plain", "", b"notes\n"),
    ]


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ('filename="a b.txt"', "a b.txt"),
        ("filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("filename*=iso-8859-1'en'%A3%20rates", "£ rates"),
        ("filename*0*=UTF-8''%e2%82%ac; filename*1=\" 5%25.txt\"", "€ 5%25.txt"),
        ('filename*0="long-"; filename*1="name"', "long-name"),
        ('filename="=?UTF-8?B?w7Y=?="', "ö"),  # no program should, but many do
        ("filename*=no-charset''%c3%b6", "ö"),
        ("filename*=''''", "''"),
    ],
)
def test_file_names_are_decoded(parameter: str, name: str) -> None:
    header = f"Content-Type: application/x\r\nContent-Disposition: attachment; {parameter}\r\n\r\n"
    [attachment] = open_message(header.encode()).attachments
    assert attachment.name == name


def test_a_message_in_a_message_is_an_attachment() -> None:
    [attachment] = open_message(
        b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny"
    ).attachments
    assert (attachment.type, attachment.octets) == ("message/rfc822", b"Subject: x\r\n\r\ny")


def test_several_texts_follow_each_other() -> None:
    parts = b"--x\r\n\r\nfirst\r\n--x\r\n\r\nlast\r\n--x--"
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + parts
    assert open_message(content).text == "first\nlast"


def test_text_in_a_charset_that_is_not_true_is_read_as_utf8() -> None:
    content = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n\xc3\xb6"
    assert open_message(content).text == "ö"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two &amp; three", "One\n\nTwo & three"),
        ("a<br>b", "a\nb"),
        ("<style>p {}</style><script>x<b>y</script>seen<!-- not <b> -->.", "seen."),
        ("1 < 2 > 0 - it", "1 < 2 > 0 - it"),
        ("<TITLE>x</title>\n<b>bold</B>", "bold"),
    ],
)
def test_html_has_words(html: str, text: str) -> None:
    assert text_of_html(html).replace("\n\n", "\n") == text.replace("\n\n", "\n")


@given(st.binary() | st.sampled_from(HOSTILE))
@example(b"Subject: =?utf-7?Q?+2AA-?=\r\nContent-Type: text/html; charset=utf-7\r\n\r\n+2AA-")
@example(b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"-a9" * 9)
def test_whatever_arrives_is_opened_and_can_be_written_as_utf8(content: bytes) -> None:
    its = open_message(content)
    texts = [its.text, its.html, its.readable, *(it.name for it in its.attachments)]
    texts += [it for pair in its.fields for it in pair]
    "".join(texts).encode()


@pytest.mark.parametrize("piece", ["<", "<!--", "<script>", "</", "-->", "<a ", "&", "- ", "a"])
def test_long_html_is_read_in_a_moment(piece: str) -> None:
    """A search that is quadratic takes minutes."""
    assert len(text_of_html("<" + piece * 100_000)) <= len(piece) * 100_000 + 1
