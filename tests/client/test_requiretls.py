"""A message that may not go without TLS (RFC 8689), and offers that cannot be read."""

from __future__ import annotations

import logging
import ssl

import pytest

from smtpproto import Client, Envelope, Handler, MailParameters, NotOffered, ServerConfig, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientConfig
from smtpproto.client.connection import open_client, start_client
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation

STRICT = Envelope("", "bob@example.org", MailParameters(requiretls=True))


class Kept(Handler):
    """Keeps what MAIL said."""

    def __init__(self) -> None:
        self.said: list[MailParameters] = []

    def message(self, session: object, envelope: Envelope, body: bytes) -> None:
        self.said.append(envelope.parameters)


@pytest.mark.req("RFC8689-4.3-01")
@pytest.mark.parametrize(
    ("mode", "verified"),
    [
        (TLSMode.NONE, False),
        (TLSMode.OPPORTUNISTIC, False),
        (TLSMode.REQUIRED, True),
        (TLSMode.IMPLICIT, True),
    ],
)
def test_it_goes_over_verified_tls_or_not_at_all(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], mode: TLSMode, verified: bool
) -> None:
    trusting, context = contexts
    simulation, handler = Simulation(1), Kept()
    implicit = mode is TLSMode.IMPLICIT
    extensions: dict[str, str | None] = {"REQUIRETLS": ""}
    server = ServerConfig(context=context, implicit_tls=implicit, extensions=extensions)
    simulation.listen(25, handler, server)
    config = ClientConfig(tls=mode, context=trusting if verified else None)

    async def talk() -> None:
        async with await open_client(simulation, "mx.example.org", 25, config) as client:
            assert (client.tls is None) == (mode is TLSMode.NONE)
            if verified:
                await client.send(b"hi\n", STRICT)
            else:
                with pytest.raises(NotOffered, match="REQUIRETLS"):
                    await client.send(b"hi\n", STRICT)

    simulation.run(talk())
    assert [said.requiretls for said in handler.said] == ([True] if verified else [])


@pytest.mark.req("RFC4865-3-01")
@pytest.mark.parametrize(
    ("said", "warned"),
    [("FUTURERELEASE 86400 2030-01-01T00:00:00Z", False), ("FUTURERELEASE 86400", True)],
)
def test_offers_that_cannot_be_read_are_warned_of(
    said: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stream = ScriptedStream(
        f"S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 {said}\nC: QUIT\nS: 221 bye"
    )
    config = ClientConfig(tls=TLSMode.NONE)

    async def main() -> Client:
        async with await start_client(Runtime(), stream, "", config, TLSMode.NONE) as client:
            return client

    with caplog.at_level(logging.WARNING, "smtpproto"):
        client = run(main())
    assert ("FUTURERELEASE" in caplog.text) == warned
    assert (client.extensions.future_release is None) == warned
