"""Logins of our client to a scripted server, and of a scripted client to our server, in clear and
under TLS."""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import Any

from attrs import define, field

from smtpproto import (
    ClientConfig,
    Handler,
    Limits,
    Reply,
    ServerConfig,
    Session,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.ports import Stream
from smtpproto.sasl import (
    Authenticator,
    BearerToken,
    Credential,
    Identity,
    Login,
)
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation
from smtpproto.tls.stream import TLSFilter, TLSStream

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]

NO_DELAY = Limits(failed_login_delay=0)
ANN = Login("ann", "secret")
TOKEN = BearerToken("ann", "t0ken")


def base64(octets: bytes | str) -> str:
    """Return base64 of octets, or of text in UTF-8."""
    return b64encode(octets.encode() if isinstance(octets, str) else octets).decode()


@define(eq=False)
class LoginRecorder(Handler):
    """Records the identities that logged in."""

    identities: list[Identity] = field(factory=list)

    def login(self, session: Session, identity: Identity) -> Reply | None:
        self.identities.append(identity)
        return None


OUR_OFFER = """\
S: 220 mx.example.org ESMTP ready
C: EHLO c.example
S: 250-mx.example.org greets you
S: 250-ENHANCEDSTATUSCODES
S: 250 AUTH {}
"""
"""The dialogue of our server up to EHLO, for format() with its mechanisms."""
QUIT = "C: QUIT\nS: 221 2.0.0 mx.example.org Service closing transmission channel\n"
ACCEPTED = "S: 235 2.7.0 Authentication successful\n"
REFUSED = "S: 535 5.7.8 Authentication credentials invalid\n"
NO_EXTENSIONS = dict.fromkeys(
    ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "HELP")
)


def server_config(authenticator: Authenticator, **options: Any) -> ServerConfig:
    """Return the configuration of a server that offers no extension but AUTH, even in clear."""
    options = {"auth_in_clear": True, "extensions": NO_EXTENSIONS, "limits": NO_DELAY, **options}
    return ServerConfig(hostname="mx.example.org", authenticator=authenticator, **options)


def serve(
    script: str, authenticator: Authenticator, *, offered: str = "PLAIN LOGIN", **options: Any
) -> list[Identity]:
    """Serve the client of *script* in clear; return the identities that logged in."""
    stream, handler = (
        ScriptedStream(OUR_OFFER.format(offered) + script + QUIT, plays="C"),
        LoginRecorder(),
    )
    config = server_config(authenticator, **options)
    run(Conversation(stream, handler, config, Runtime()).run())
    stream.finish()
    return handler.identities


async def play_side(stream: Stream, script: str, plays: str) -> None:
    """Play one side of *script* over *stream*; the other side must then close the stream."""
    received = b""
    for line in script.splitlines():
        octets = f"{line[3:]}\r\n".encode()
        if line[0] == plays:
            await stream.write(octets, None)
            continue
        while b"\r\n" not in received:
            received += await stream.read(None) or b"<the end>\r\n"
        first, received = received.split(b"\r\n", 1)
        assert first + b"\r\n" == octets
    assert received + await stream.read(None) == b""
    await stream.close()


def serve_tls(
    contexts: Contexts, script: str, authenticator: Authenticator, **options: Any
) -> LoginRecorder:
    """Serve the client of *script* under implicit TLS; return the handler."""
    simulation, handler = Simulation(5), LoginRecorder()
    config = server_config(authenticator, context=contexts[1], implicit_tls=True, **options)
    simulation.listen(465, handler, config)

    async def peer() -> None:
        dialled = await simulation.dial("mx.example.org", 465, None)
        filtered = TLSFilter(contexts[0], server_side=False, server_hostname="mx.example.org")
        stream = TLSStream(dialled, filtered, simulation.now)
        await stream.handshake(None)
        await play_side(stream, script, "C")

    simulation.run(peer())
    return handler


def log_in_under_tls(
    contexts: Contexts, script: str, login: Credential, *, quits: bool = True, **options: Any
) -> Exception | None:
    """Log in, under TLS, to the server of *script*, and return the error.

    The client must then send QUIT if *quits*, and close the stream without it if not.
    """
    simulation = Simulation(5)
    near, far = simulation.pair()
    config = ClientConfig(tls=TLSMode.IMPLICIT, context=contexts[0], **options)
    goodbye = "\nC: QUIT\nS: 221 bye" if quits else ""

    async def peer() -> None:
        stream = TLSStream(far, TLSFilter(contexts[1], server_side=True), simulation.now)
        await stream.handshake(None)
        await play_side(stream, script.strip() + goodbye, "S")

    async def log_in_to_peer() -> Exception | None:
        name = "mx.example.org"
        error = None
        client = await start_client(simulation, near, name, config, TLSMode.IMPLICIT)
        async with client:
            try:
                await client.login(login)
            except Exception as caught:
                error = caught
            assert client.usable == quits
        return error

    error, _ = simulation.run(log_in_to_peer(), peer())
    assert error is None or isinstance(error, Exception)
    return error


OFFER = "S: 220 mx\nC: EHLO [192.0.2.2]\nS: 250-mx\nS: 250 AUTH {}\n"
"""The dialogue of a client up to EHLO, for format() with the mechanisms of the server."""


def bearer(port: int) -> str:
    """Return the message of OAUTHBEARER of a client that has dialled *port*, in base64."""
    return base64(f"n,a=ann,\1host=mx.example.org\1port={port}\1auth=Bearer t0ken\1\1")


BEARER = bearer(25)
XOAUTH2 = base64("user=ann\1auth=Bearer t0ken\1\1")
TOKEN_REFUSAL = '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'


def log_in(script: str, login: Credential, **options: Any) -> Exception | None:
    """Log in, in clear, to the server of *script*, and quit; return the error."""
    script = script.replace("192.0.2.2", "127.0.0.1").rstrip() + "\nC: QUIT\nS: 221 bye"
    stream = ScriptedStream(script)
    config = ClientConfig(**{"login_in_clear": True, "tls": TLSMode.NONE, **options})

    async def talk() -> Exception | None:
        async with await start_client(Runtime(), stream, "mx", config, TLSMode.NONE) as client:
            try:
                await client.login(login)
            except Exception as error:
                return error
        return None

    error = run(talk())
    stream.finish()
    return error
