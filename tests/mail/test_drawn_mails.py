"""MIME messages that strategies draw are read as what they were made of."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from hypothesis import Phase, find, given, settings

from smtpproto import Envelope, lint
from smtpproto.mail.header import header_fields
from smtpproto.mail.header_envelope import envelope_of
from smtpproto.mail.parts import parts_of
from smtpproto.testing.strategies import DrawnMail, mails

QUICK = settings(
    max_examples=1000, database=None, derandomize=True, phases=[Phase.generate], deadline=None
)


@given(mails() | mails(smtputf8=True))
def test_the_parts_of_a_message_are_read(mail: DrawnMail) -> None:
    leaves = [part for part in parts_of(mail.content) if not part.type.startswith("multipart/")]
    assert [(part.type, part.body) for part in leaves] == list(mail.parts)


@given(mails())
def test_the_standard_library_reads_the_same_parts(mail: DrawnMail) -> None:
    walked: Any = message_from_bytes(mail.content).walk()
    found = [it for it in walked if not it.is_multipart()]
    assert [it.get_content_type() for it in found] == [kind for kind, _ in mail.parts]
    for it, (_, octets) in zip(found, mail.parts, strict=True):
        if it["Content-Transfer-Encoding"] != "8bit":  # there it loses the kind of line ends
            assert it.get_payload(decode=True) == octets


@given(mails() | mails(smtputf8=True))
def test_the_envelope_of_a_message_has_its_addresses(mail: DrawnMail) -> None:
    header = mail.content.partition(b"\r\n\r\n")[0] + b"\r\n"
    if mail.recipients:
        envelope = envelope_of(header_fields(header), bcc_allowed=False)
        assert envelope.sender == mail.sender
        assert set(envelope.recipients) == set(mail.recipients)


@given(mails())
def test_a_message_has_no_faults_that_prevent_delivery(mail: DrawnMail) -> None:
    faults = lint(mail.content, Envelope("", "bob@example.org"))
    wrong = {"long-line", "not-a-field", "no-mime", "return-path", "bad-date", "from", "bcc"}
    assert not wrong & {it.code for it in faults}, faults


def test_mails_have_one_part_several_and_parts_in_parts() -> None:
    find(mails(), lambda mail: b"multipart" not in mail.content, settings=QUICK)
    find(mails(), lambda mail: b"multipart/alternative" in mail.content, settings=QUICK)
    find(mails(), lambda mail: b"\r\n.\r\n" in mail.content, settings=QUICK)
    find(mails(), lambda mail: len(mail.recipients) > 3, settings=QUICK)
