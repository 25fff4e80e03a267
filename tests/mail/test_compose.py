"""Messages made of parts: what goes in comes out at the reader, over every server."""

from __future__ import annotations

import email
import itertools
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Domain, Extensions, GrammarError, Mailbox, plan
from smtpproto.grammar.reply import accepts
from smtpproto.mail import one_click_url
from smtpproto.mail.attachment import AttachedFile
from smtpproto.mail.compose import compose_message
from smtpproto.mail.header_values import mailboxes as mailboxes_of
from smtpproto.mail.preparation import prepare
from smtpproto.testing.strategies import mailboxes

DATE = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
ID = "<1@example.org>"
OFFERS = [
    Extensions(dict.fromkeys(some, ""))
    for size in range(4)
    for some in itertools.combinations(("8BITMIME", "SMTPUTF8", "CHUNKING"), size)
]
offers = st.sampled_from(OFFERS)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60).map(
    str.strip
)
NAMES = WORDS.filter(lambda text: "=?" not in text)


def composed(**parts: Any) -> EmailMessage:
    parts = {"sender": "ann@example.org", "to": "bob@example.org", **parts}
    return compose_message(parts.pop("sender"), parts.pop("to"), date=DATE, message_id=ID, **parts)


def sent(message: Message, offer: Extensions) -> EmailMessage:
    """Return *message* as its reader parses it, sent to a server that offers *offer*; check what
    passes on the wire."""
    planned = plan(message, None, offer)
    octets = b"".join(planned.content.slices())
    lines = octets.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert "8BITMIME" in offer or octets.isascii()
    assert b"\nBcc:" not in octets
    parsed = email.message_from_bytes(octets, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not [it for part in parsed.walk() for it in part.defects]
    return parsed


def read_name(field: str) -> tuple[str, str]:
    """Return the name and the address of an address field. Before Python 3.13, policy.default has a
    blank where a name was cut into encoded words, so the older functions read it."""
    name, address = parseaddr(field)
    return str(make_header(decode_header(name))), address


def lines_of(text: str) -> str:
    """Return *text* with LF line ends, also the last line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


def part_of(message: EmailMessage, kind: str) -> Any:
    [found] = [part for part in message.walk() if part.get_content_type() == kind]
    return found


def content_of(message: EmailMessage, kind: str) -> str:
    return lines_of(part_of(message, kind).get_content())


@given(offer=offers, subject=NAMES, name=NAMES, header=NAMES)
def test_header_text_of_any_language_arrives(
    offer: Extensions, subject: str, name: str, header: str
) -> None:
    to = Address(name, addr_spec="bob@example.org")
    message = composed(to=[to], subject=subject, headers={"X-Note": header}, bcc="c@example.org")
    parsed = sent(message, offer)
    assert str(parsed.get("Subject", "")) == subject
    assert str(parsed["X-Note"]) == header
    assert read_name(dict(parsed.raw_items())["To"]) == (name, "bob@example.org")


@given(
    found=st.lists(
        mailboxes(smtputf8=True).filter(lambda it: accepts(mailboxes_of, it, "to")),
        min_size=1,
        max_size=4,
    )
)
def test_the_recipients_of_the_message_are_those_that_were_given(found: list[Mailbox]) -> None:
    message = composed(to=found[:2], cc=map(str, found[2:3]), bcc=found[3:])
    _, envelope = prepare(message)
    assert set(envelope.recipients) == set(found)
    assert envelope.sender == "ann@example.org"


@given(offer=offers, text=ANY, html=ANY.filter(lambda it: "cid:" not in it))
def test_text_and_html_arrive(offer: Extensions, text: str, html: str) -> None:
    parsed = sent(composed(text=text, html=html), offer)
    assert parsed.get_content_type() == "multipart/alternative"
    assert content_of(parsed, "text/plain") == lines_of(text)
    assert content_of(parsed, "text/html") == lines_of(html)
    only = sent(composed(text=text), offer)
    assert content_of(only, only.get_content_type()) == lines_of(text)


@given(
    offer=offers,
    content=st.binary(max_size=300) | ANY.map(str.encode),
    name=NAMES.filter(lambda it: it and not {"/", "\\"} & {*it}),
    kind=st.sampled_from(["text/plain", "text/csv; header=present", "image/png", "a/b"]),
)
def test_files_arrive_octet_for_octet_with_their_names(
    offer: Extensions, content: bytes, name: str, kind: str
) -> None:
    it = AttachedFile(name=name, content=content, type=kind)
    message = composed(html='<img src="cid:x">', text="", attachments=[it], inline={"x": it})
    parsed = sent(message, offer)
    [attached] = parsed.iter_attachments()
    shown = part_of(parsed, "multipart/related").get_payload(1)
    assert shown["Content-ID"] == "<x>" and shown.get_content_disposition() == "inline"
    for part in (attached, shown):
        assert part.get_payload(decode=True) == content
        assert part.get_filename() == name
        assert part.get_content_type() == kind.partition(";")[0]


@given(text=ANY, name=NAMES)
def test_the_same_parts_make_the_same_octets(text: str, name: str) -> None:
    it = AttachedFile(name="a", content=b"a")
    parts: dict[str, Any] = {"text": text, "html": "x", "subject": name, "attachments": [it]}
    assert composed(**parts).as_bytes() == composed(**parts).as_bytes()


PICTURE = AttachedFile(name="logo.png", content=b"png", type="image/png")


def test_all_parts_together_have_the_structure_of_rfc_2046() -> None:
    message = composed(
        text="a",
        html='<img src="cid:logo"><p style="background: url( cid:dot%2Eb)">',
        inline={"logo": PICTURE, "dot.b": PICTURE},
        attachments=[AttachedFile(name="a.bin", content=b"\0"), composed(text="inner")],
        unsubscribe="https://example.org/leave?1",
    )
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
        "image/png", "image/png", "application/octet-stream", "message/rfc822", "text/plain",
    ]  # fmt: skip
    assert part_of(message, "multipart/related").get_param("type") == "text/html"
    versions = [part["MIME-Version"] for part in message.walk() if part["MIME-Version"]]
    assert versions == ["1.0", "1.0"]  # of the message, and of the one in it
    assert one_click_url(message.as_bytes()) == "https://example.org/leave?1"
    [_, forwarded] = sent(message, Extensions()).iter_attachments()
    assert forwarded.get_content()["Message-ID"] == ID


def test_the_message_is_dated_and_has_its_addresses() -> None:
    message = composed(
        sender="Ann Lee <ann@example.org>",
        to=['"Lee, Bob" <bob@example.org>', "Lee, Carol <carol@example.org>"],
        cc=Mailbox.parse("dan@example.org"),
        bcc="eve@example.org",
        reply_to=Address("A. Lee", "ann", "example.net"),
        headers={"In-Reply-To": "<0@example.org>", "Sender": "Office <office@example.org>"},
    )
    assert dict(message.items()) == {
        "Date": "Sun, 31 May 2026 12:00:00 +0000",
        "From": "Ann Lee <ann@example.org>",
        "Reply-To": '"A. Lee" <ann@example.net>',
        "To": '"Lee, Bob" <bob@example.org>, "Lee, Carol" <carol@example.org>',
        "Cc": "dan@example.org",
        "Bcc": "eve@example.org",
        "Message-ID": ID,
        "In-Reply-To": "<0@example.org>",
        "Sender": "Office <office@example.org>",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
    }


def test_smtputf8_is_needed_only_for_local_parts_that_are_not_ascii() -> None:
    assert prepare(composed(to="J\xf6rg <jorg@b\xfccher.example>"))[1].isascii
    assert not prepare(composed(to="j\xf6rg@b\xfccher.example"))[1].isascii
    message = composed(to="j\xf6rg@example.org", subject="Gr\xfc\xdfe")
    assert sent(message, Extensions({"SMTPUTF8": "", "8BITMIME": ""}))["Subject"] == "Gr\xfc\xdfe"


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"subject": "a\r\nBcc: x@example.org"}, r"subject has a line break \(\\r\): .*remove it"),
        ({"subject": "a\u2028b"}, r"subject has a line break"),
        ({"subject": "a\tb"}, r"subject has a control character \(\\t\)"),
        ({"subject": "\ud800"}, "subject has a surrogate"),
        ({"subject": "=?utf-8?q?Gr=C3=BC?="}, "subject is already encoded: .*; pass the text"),
        ({"subject": "x" * 901}, "subject has a word of more than 900 characters; use blanks"),
        ({"to": "Bob\n <bob@example.org>"}, r"the name in to has a line break \(\\n\)"),
        ({"to": ["bob"]}, "to: 'bob' has no '@' and domain; add them"),
        ({"to": [Mailbox("bob", None)]}, "to: 'bob' has no '@' and domain; add them"),
        ({"to": Mailbox("a\x85b", Domain("example.org"))}, "the address has a line break"),
        ({"to": "Bob <bob@>"}, "to: .* domain after the '@' is missing"),
        ({"to": "b@example.org, c@example.org"}, "to: .*several addresses\\? pass a list"),
        ({"to": "b@example.org, C <c@example.org>"}, "to: .*several addresses\\? pass a list"),
        ({"to": f"bob@{'a.' * 124}example"}, "to: .*path of more than 256 octets"),
        ({"sender": ["a@example.org", "b@example.org"]}, "the sender must be one address, not 2"),
        ({"headers": {"from": "x@example.org"}}, "headers sets from, .*use the first argument"),
        ({"headers": {"Content-Type": "a/b"}}, "headers sets Content-Type, .*; leave it out"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers has x-a twice"),
        ({"headers": {"X A": "1"}}, "not a field name: 'X A'"),
        ({"headers": {"X-A": "1\nX-B: 2"}}, "the header X-A has a line break"),
        ({"headers": {"Sender": "nobody"}}, "the header Sender: not an address"),
        ({"headers": {"List-Unsubscribe": "<x>"}, "unsubscribe": "https://a.example"},
         "headers sets List-Unsubscribe, which compose sets; use unsubscribe= only"),
        ({"unsubscribe": "http://a.example"}, "not an https:// address"),
        ({"html": "<p>", "inline": {"logo": PICTURE}}, "does not show the inline file 'logo'; w"),
        ({"html": "cid:logo", "inline": {"logo": PICTURE}}, "does not show the inline file"),
        ({"html": '<img src="cid:logo">'}, r'shows cid:logo, which is not given; pass inline=\{"'),
        ({"html": "x", "inline": {"a b": PICTURE}}, "not a name for inline: 'a b'"),
        ({"text": "x", "inline": {"logo": PICTURE}}, "inline files need HTML"),
        ({"text": "\udcff"}, "text has a surrogate"),
        ({"html": "\udcff"}, "html has a surrogate"),
        ({"attachments": [AttachedFile(name="../a", content=b"")]}, "not a name of a file: '../a'"),
        ({"attachments": [AttachedFile(name="a\n", content=b"")]}, "name of a file has a line br"),
        ({"attachments": [AttachedFile(name="a", content=b"", type="text")]}, "not a media type"),
        ({"attachments": [AttachedFile(name="a", content=b"", type="message/rfc822")]},
         "pass an EmailMessage as the attachment"),
    ],
)  # fmt: skip
def test_each_fault_is_an_error_that_says_what_to_do(parts: dict[str, Any], error: str) -> None:
    with pytest.raises(GrammarError, match=error):
        composed(**parts)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"to": b"bob@example.org"}, 'to cannot be of the type bytes; pass "Ann Lee'),
        ({"to": [5]}, "an address of to cannot be of the type int"),
        ({"subject": None}, "subject cannot be None; pass a str"),
        ({"headers": [("a", "b")]}, "headers cannot be of the type list; pass a mapping"),
        ({"headers": {"X-A": 5}}, "the header X-A cannot be of the type int"),
    ],
)
def test_a_wrong_type_is_named(parts: dict[str, Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        composed(**parts)


def test_a_date_needs_a_time_zone_and_a_message_id_its_brackets() -> None:
    with pytest.raises(GrammarError, match="date has no time zone: 2026-05-31T00:00:00; pass"):
        compose_message("a@example.org", date=datetime(2026, 5, 31), message_id=ID)
    for wrong in ("1@example.org", "<1>", "<1@b><2@c>", "<a b@c>"):
        with pytest.raises(GrammarError, match="not a Message-ID"):
            compose_message("a@example.org", date=DATE, message_id=wrong)


@pytest.mark.parametrize("piece", [" ", "<", ">", '"', "\\", "a <", "@", "=?", "=?a?q?", "(", "a."])
def test_long_text_in_each_argument_is_read_in_a_moment(piece: str) -> None:
    """A search that tries each length at each place takes minutes."""
    picture = AttachedFile(name="a", content=b"")
    for long in (piece * 8000, f"{piece * 8000} <ann@example.org>"):
        for name in ("sender", "to", "reply_to", "subject", "text", "html", "unsubscribe"):
            accepts(lambda text, name=name: composed(**{name: text}), long)
        accepts(lambda text: composed(headers={"Sender": text, "X-A": text}), long)
        accepts(lambda text: composed(attachments=[AttachedFile(name=text, content=b"")]), long)
        accepts(lambda text: composed(html='"cid:a"', inline={text: picture}), long)
