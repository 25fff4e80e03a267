"""The target of messages: address lists, encoded words, header fields, email objects."""

from __future__ import annotations

import email.errors
import email.policy
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message

from smtpproto import Extensions, SMTPError, lint, plan
from smtpproto.errors import GrammarError
from smtpproto.mail.address_list import parse_address_list
from smtpproto.mail.email_object import email_fields, write_email
from smtpproto.mail.encoded_words import encode_addresses, encode_text, fold
from smtpproto.mail.header import HeaderScanner, header_fields, split_fields
from smtpproto.mail.header_envelope import ENVELOPE_FIELDS
from smtpproto.mail.parts import parts_of
from smtpproto.mail.tls_required import waives_tls
from smtpproto.mail.trace_fields import return_path
from tests.grammar.productions import as_text
from tests.support.pieces import has_bare_cr_or_lf, single_octets

OFFERS = [Extensions({}), Extensions({"8BITMIME": "", "SMTPUTF8": "", "CHUNKING": ""})]


def read_addresses(data: bytes) -> None:
    """What was read is read again from a list of it."""
    mailboxes = parse_address_list(as_text(data))
    assert parse_address_list(", ".join(map(str, mailboxes))) == mailboxes


def encode_words(data: bytes) -> None:
    """Encoded words are ASCII and add no line; folding adds CRLF only."""
    text = as_text(data).replace("\r", " ").replace("\n", " ")
    for encoded in (encode_text(text), encode_addresses(text)):
        assert encoded.isascii()
        assert encoded.splitlines() in ([], [encoded]) or not text.isprintable()
        assert fold(f"Subject: {encoded}").replace("\r\n", "") == f"Subject: {encoded}"


def read_fields(data: bytes) -> None:
    """The scanner finds the same at any split."""
    scanners = HeaderScanner(), HeaderScanner()
    found = []
    for scanner, parts in zip(scanners, ([data], single_octets(data)), strict=True):
        try:
            for part in parts:
                scanner.feed(part)
            scanner.finish()
        except GrammarError as error:
            found.append(str(error))
        else:
            found.append(str(scanner.is_ascii))
    assert found[0] == found[1]
    split_fields(data)
    for read in parts_of(data):
        assert isinstance(read.text + read.filename, str)
    waives_tls(data)
    for field in header_fields(data):
        assert isinstance(field.text, str)


def send_octets(data: bytes) -> None:
    """What is planned is sent in lines that end with CRLF."""
    for offer in OFFERS:
        planned = plan(data, None, offer)
        content = b"".join(planned.content.slices())
        assert not has_bare_cr_or_lf(content)
        assert len(content) == planned.content.size
        lint(data)
        assert return_path(planned.envelope.sender)


def send_email(message: Message) -> None:
    """What is written has no Bcc field and whole lines, and can be read."""
    email_fields(message)
    for utf8 in (False, True):
        octets = write_email(message, utf8=utf8, eight_bit=True)
        names = {field.name.lower() for field in header_fields(octets)}
        assert not names & {"bcc", "resent-bcc"}
        write_email(message, utf8=utf8, eight_bit=False)
    for offer in OFFERS:
        planned = plan(message, None, offer)
        assert not has_bare_cr_or_lf(b"".join(planned.content.slices()))


def _parsed(policy: email.policy.Policy) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        try:
            message = message_from_bytes(data, policy=policy)
            for name in ENVELOPE_FIELDS:
                message.get_all(name)
        except Exception:
            return
        send_email(message)

    return send


READERS: list[Callable[[bytes], None]] = [
    read_addresses, encode_words, read_fields, send_octets, _parsed(email.policy.default),
    _parsed(email.policy.compat32),
]  # fmt: skip


def fuzz(data: bytes) -> None:
    """The first octet chooses what is done with the rest. Only the library's errors are raised."""
    if data:
        try:
            READERS[data[0] % len(READERS)](data[1:])
        except SMTPError as error:
            assert str(error).isprintable()
