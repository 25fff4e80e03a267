"""Content whose lines are too long is not sent, unless the user says so."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from smtpproto import Client, Envelope, GrammarError, Leniencies, TLSMode, Tolerance
from smtpproto.adapters.blocking import World, run
from smtpproto.mail.content import Source
from smtpproto.session.client import start_client
from smtpproto.session.options import ClientConfig
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
        client: Client = await start_client(World(), stream, "", config, TLSMode.NONE)
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
