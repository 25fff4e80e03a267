"""Content whose lines are too long is not sent, unless the user says so."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import aclosing

import pytest

from smtpproto import Client, Envelope, GrammarError, Leniencies, TLSMode, Tolerance
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientConfig
from smtpproto.client.connection import start_client
from smtpproto.mail.preparation import Content, Source
from smtpproto.testing.script import ScriptedStream

FITS = b"Subject: x\r\n\r\n" + "\u00e4".encode() * 499 + b"\r\n"  # 998 octets and CRLF
TOO_LONG = b"Subject: x\r\n\r\n" + "\u00e4".encode() * 499 + b"x\r\n"
SOURCES: list[Callable[[bytes], Source]] = [lambda octets: octets, io.BytesIO]
OPENED = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250-mx.example.org
    S: 250 8BITMIME
"""


def send(source: Source, leniencies: Leniencies, script: str) -> None:
    stream = ScriptedStream(OPENED + script)
    config = ClientConfig(tls=TLSMode.NONE, leniencies=leniencies)

    async def main() -> None:
        client: Client = await start_client(Runtime(), stream, "", config, TLSMode.NONE)
        async with client:
            await client.send(source, Envelope("a@b.example", "c@d.example"))

    try:
        run(main())
    finally:
        stream.finish()


def dialogue(content: bytes) -> str:
    lines = content.decode().removesuffix("\r\n").split("\r\n")
    return "\n".join(
        [
            "C: MAIL FROM:<a@b.example> BODY=8BITMIME",
            "S: 250 OK",
            "C: RCPT TO:<c@d.example>",
            "S: 250 OK",
            "C: DATA",
            "S: 354 Go on",
            *(f"C: {line}" for line in lines),
            "C: .",
            "S: 250 OK",
            "C: QUIT",
            "S: 221 bye",
        ]
    )


@pytest.mark.req("RFC5322-2.1.1-01", "RFC6152-3-08")
@pytest.mark.parametrize("source", SOURCES)
def test_lines_over_998_characters_are_not_sent(source: Callable[[bytes], Source]) -> None:
    """Octets, since servers count these. Nothing is said, and the session goes on."""
    send(source(FITS), Leniencies(), dialogue(FITS))
    with pytest.raises(GrammarError, match="998"):
        send(source(TOO_LONG), Leniencies(), "C: QUIT\nS: 221 bye")


def test_but_by_leniency() -> None:
    send(TOO_LONG, Leniencies(long_lines=Tolerance.ACCEPT), dialogue(TOO_LONG))


def test_content_without_a_line_is_not_gathered() -> None:
    """Whose header section nobody has measured, and which never ends."""

    async def main() -> None:
        pieces = iter([b"\x80" * 50_000] * 40)
        content = Content(pieces, binary=True)
        async with aclosing(content.slices()) as slices:
            assert max([len(part) async for part in slices]) < 200_000

    run(main())


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_header_in_pieces_needs_smtputf8_too(size: int) -> None:
    """Told before the first octet of content leaves; what is no header may be anything."""

    async def main(text: str, *, asked: bool = False) -> bytes:
        octets = text.encode()
        pieces = iter([octets[at : at + size] for at in range(0, len(octets), size)])
        content = Content(pieces, utf8_header=asked)
        async with aclosing(content.slices()) as slices:
            return b"".join([part async for part in slices])

    for fine in ("Subject: u\r\n\r\n\u00fc\r\n", "\u00fc\r\nSubject: u\r\n", "", "Subject: u\r\n"):
        assert run(main(fine)) == fine.encode()
    for bad in ("Subject: \u00fc\r\n\r\nx\r\n", "A: b\r\nSubject: u\r\n \u00fc\r\n"):
        with pytest.raises(GrammarError, match="smtputf8"):
            run(main(bad))
        assert run(main(bad, asked=True)) == bad.encode()
