"""A session of a client with a TLSServer, and the octets that it sends in it."""

from __future__ import annotations

from typing import Unpack

from smtpproto import Client, ClientConfig, Envelope, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from tests.support.certificates import NAME
from tests.support.tls_server import TLSServer

EHLO = b"EHLO [192.0.2.2]\r\n"
STARTTLS = b"STARTTLS\r\n"
AUTH = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
MAIL = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nhi\r\n.\r\n"
QUIT = b"QUIT\r\n"
ONLY_QUIT = EHLO + QUIT  # QUIT even if nothing was sent (RFC 5321 4.1.1.10)
UP_TO_STARTTLS = EHLO + STARTTLS


def play_session(
    server: TLSServer, mode: TLSMode, name: str = NAME, **options: Unpack[ClientOptions]
) -> Client:
    """Send a message in a session with *server*, and return the client."""

    async def main() -> Client:
        config = ClientConfig(**options)
        async with await start_client(Runtime(), server, name, config, mode) as client:
            await client.send(b"hi\r\n", Envelope("", "bob@example.org"))
            return client

    return run(main())
