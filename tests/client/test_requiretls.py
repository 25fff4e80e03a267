"""REQUIRETLS: a message that must not be sent without verified TLS (RFC 8689)."""

from __future__ import annotations

import ssl

import pytest

from smtpproto import Envelope, Handler, MailParameters, NotOffered, ServerConfig, TLSMode
from smtpproto.client.config import ClientConfig
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation

STRICT = Envelope("", "bob@example.org", MailParameters(requiretls=True))


class ParameterRecorder(Handler):
    """Records the parameters of MAIL of each message."""

    def __init__(self) -> None:
        self.parameters: list[MailParameters] = []

    def message(self, session: object, envelope: Envelope, body: bytes) -> None:
        self.parameters.append(envelope.parameters)


@pytest.mark.req("RFC8689-4.3-01", "RFC8689-2-04", "RFC8689-2-07")
@pytest.mark.parametrize(
    ("mode", "verified"),
    [
        (TLSMode.NONE, False),
        (TLSMode.OPPORTUNISTIC, False),
        (TLSMode.REQUIRED, True),
        (TLSMode.IMPLICIT, True),
    ],
)
def test_requiretls_is_sent_over_verified_tls_only(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], mode: TLSMode, verified: bool
) -> None:
    trusting, context = contexts
    simulation, handler = Simulation(1), ParameterRecorder()
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
    assert [each.requiretls for each in handler.parameters] == ([True] if verified else [])
