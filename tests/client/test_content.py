"""Content of each kind on its way to the server, and envelopes made from a message."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterable
from email.message import EmailMessage

import pytest

from smtpproto import (
    Client,
    ConnectionLost,
    Envelope,
    GrammarError,
    LocalProtocolError,
)
from smtpproto.events import BodyChunk, is_question
from smtpproto.protocol.server import ServerProtocol
from tests.support.dialogue import GOODBYE, MAIL, data, hello, mail, play, rcpt, send
from tests.support.envelopes import TO_BOB

HELLO = hello()


CONTENT = f"{HELLO}{MAIL}{data('one', '..two')}{GOODBYE}"


# -- lines and dots ------------------------------------------------------------------------------


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one\r"
    yield b"\n."
    yield b"two"


@pytest.mark.req(
    "SMUGGLING-04",
    "SMUGGLING-05",
    "RFC5321-4.5.2-01",
    "RFC5321-4.1.1.4-04",
    "RFC5321-2.3.8-04",
    "RFC5321-4.5.2-03/client",
)
@pytest.mark.parametrize(
    "source",
    [
        b"one\r\n.two\r\n",
        b"one\n.two\n",
        b"one\r.two",
        io.BytesIO(b"one\n.two\n"),
        [b"one", b"\n", b".two"],
        _pieces(),
    ],
    ids=["crlf", "lf", "cr", "file", "list", "async"],
)
def test_every_kind_of_source_sends_the_same_lines(source: object) -> None:
    send(CONTENT, body=source)


def test_a_file_that_cannot_seek_is_read_once() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError("no")

    send(CONTENT, body=Pipe(b"one\n.two"))


def test_a_piece_of_content_that_is_not_octets_raises_type_error() -> None:
    pieces = [b"octets\n", "text"]
    with pytest.raises(TypeError, match=r"^a piece of a message cannot be .* str; pass octets"):
        send(f"{HELLO}{MAIL}C: DATA\nS: 354 go\nC: octets\n", body=iter(pieces))
    with pytest.raises(TypeError, match=r"^a piece of a message cannot be .* str; pass octets"):
        send(f"{HELLO}{GOODBYE}", body=pieces)  # a list is checked before anything is sent


def test_an_asynchronous_source_is_closed_when_sending_fails() -> None:
    closed: list[bool] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"caf\xe9\r\n"
        finally:
            closed.append(True)

    with pytest.raises(LocalProtocolError):
        send(f"{HELLO}{MAIL}C: DATA\nS: 354 go\n", body=pieces())
    assert closed == [True]


@pytest.mark.req("RFC6152-3-03/client", "RFC5321-4.5.3.1.6-01/client", "RFC5321-4.5.3.1-01/client")
@pytest.mark.parametrize("fill", ["x", "\u00e9"])
def test_dots_are_stuffed_in_lines_of_998_octets(fill: str) -> None:
    octets = len(fill.encode())
    line = fill * (998 // octets)
    dotted = "." + fill * (997 // octets)
    body = f"{dotted}\r\n{line}\r\n{dotted}\r\n".encode()
    parameters = "" if fill.isascii() else " BODY=8BITMIME"
    content = data("." + dotted, line, "." + dotted)
    script = f"{hello('8BITMIME')}{mail(parameters)}{rcpt()}{content}{GOODBYE}"
    send(script, body=body)


@pytest.mark.req("RFC5321-4.1.1.4-02/client", "RFC5321-4.1.1.4-03", "RFC5321-4.1.1.4-04")
@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"\r\n", [""]),
        (b"x", ["x"]),
        (b"x\r\n", ["x"]),
        (b"x\r\n\r\n", ["x", ""]),
        (b".", [".."]),
        (b".\r\n", [".."]),
        (b"x\r\n.", ["x", ".."]),
        (b"x.", ["x."]),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 100])
def test_the_end_of_data_follows_the_last_line_without_an_empty_one(
    body: bytes, lines: list[str], piece: int
) -> None:
    """Empty content is followed by no line at all: the CRLF of DATA ends the line before the
    dot."""
    script = f"{HELLO}{MAIL}{data(*lines)}{GOODBYE}"
    send(script, body=body)
    send(script, body=[body[at : at + piece] for at in range(0, len(body), piece)])


@pytest.mark.req("RFC5321-4.1.1.4-01")
def test_control_characters_in_content_are_sent_unchanged() -> None:
    send(f"{HELLO}{mail()}{rcpt()}{data('a' + chr(1) + 'b' + chr(127))}{GOODBYE}", body=b"a\1b\x7f")


@pytest.mark.req("SMUGGLING-10")
def test_content_received_by_bdat_is_sent_by_data_with_crlf_and_stuffed_dots() -> None:
    content = b"a\r\n.\r\nb\n.\nMAIL FROM:<evil@example.net>\r.\r..c\r\n..d"
    server = ServerProtocol(hostname="mx.example.org")
    received = b""
    for octets in (
        b"",
        b"EHLO client.example\r\n",
        b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n",
        b"BDAT %d LAST\r\n" % len(content) + content,
    ):
        server.receive(octets) if octets else None
        while (event := server.next_event()) is not None:
            if isinstance(event, BodyChunk):
                received += event.data
            if is_question(event):
                server.answer()
    assert received == content
    lines = ["a", "..", "b", "..", "MAIL FROM:<evil@example.net>", "..", "...c", "...d"]
    send(f"{HELLO}{mail()}{rcpt()}{data(*lines)}{GOODBYE}", body=received)


def test_octets_above_127_that_mail_did_not_declare_are_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="127"):
        send(f"{HELLO}{MAIL}C: DATA\nS: 354 go\n", body=iter([b"caf\xe9\r\n"]))


# -- the envelope --------------------------------------------------------------------------------


@pytest.mark.parametrize("recipients", [[], (), {}, iter([])])
def test_an_envelope_without_recipients_is_refused_before_anything_connects(
    recipients: Iterable[str],
) -> None:
    with pytest.raises(GrammarError, match="no recipients; add one"):
        Envelope("ann@example.org", recipients)


def test_bytes_need_an_envelope_if_they_have_bcc_or_no_sender_or_come_in_pieces() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(GrammarError, match="Bcc"):
            await client.send(b"From: a@b.example\r\nTo: c@d.example\r\nBcc: e@f.example\r\n\r\n")
        with pytest.raises(GrammarError, match="Sender or From"):
            await client.send(b"To: c@d.example\r\n\r\n")
        with pytest.raises(GrammarError):
            await client.send(iter([b"To: c@d.example\r\n\r\n"]))

    play(HELLO + GOODBYE, talk)


def test_resent_fields_make_the_envelope() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@b.example", "c@d.example"
    message["Resent-From"], message["Resent-To"] = "ann@example.org", "bob@example.org"
    message["Resent-Date"] = "Mon, 23 Nov 2026 12:00:00 +0000"

    async def talk(client: Client) -> None:
        await client.send(message)

    with pytest.raises(ConnectionLost):
        play(f"{HELLO}{mail()}C: RCPT TO:<bob@example.org>", talk)


@pytest.mark.req("RFC5321-2.3.1-01/client")
def test_an_envelope_may_differ_from_the_header() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "eve@x.example", "all@x.example", "x"

    async def talk(client: Client) -> None:
        await client.send(message, TO_BOB)

    lines = ["From: eve@x.example", "To: all@x.example", "Subject: x", ""]
    play(f"{HELLO}{mail()}{rcpt()}{data(*lines)}{GOODBYE}", talk)
