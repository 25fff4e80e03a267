"""Code as users write it, for the type checker alone; it is never run.

Each ``type: ignore`` marks a line that the checker must reject. In strict mode the checker reports
an ``ignore`` that it does not need.
"""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from typing import Unpack

from smtpproto import (
    Authenticator,
    BearerToken,
    Client,
    ClientOptions,
    Envelope,
    ForwardPath,
    Handler,
    Identity,
    MailParameters,
    Outcome,
    RcptParameters,
    Reply,
    ReversePath,
    ScramKeys,
    Secret,
    ServerProtocol,
    Session,
    Sink,
    Source,
    TLSVerify,
    TokenClaim,
    TokenRefused,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio


class PlainHooks(Handler):
    """Hooks may be plain functions, and may return a narrower type than the base class."""

    def connect(self, session: Session) -> None:
        session.user = "root"  # type: ignore[misc]  # the attributes of a session are read-only

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        size: int | None = parameters.size
        return Reply(250, "2.1.0", f"{sender} {size}")

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if recipient.domain == "example.org" else Reply(550, "5.7.1", "No")


class AsyncHooks(Handler):
    """Hooks may be async functions."""

    async def login(self, session: Session, identity: Identity) -> Reply | None:
        return None if identity.user == "ann" else Reply(535, "5.7.8", "No")

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        recipients: tuple[ForwardPath, ...] = envelope.recipients
        assert recipients


class WrongHooks(Handler):
    """Hooks must not have other parameters or return other types."""

    def ehlo(self, session: Session, host: str) -> None: ...  # type: ignore[override]

    def mail(  # type: ignore[override]
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> str:
        return "250 OK"

    async def message(  # type: ignore[override]
        self, session: Session, envelope: Envelope, body: bytes
    ) -> bool:
        return True


class StreamingHandler(Handler):
    """A sink must have all three methods."""

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if envelope.sender.mailbox is None:
            return IncompleteSink()  # type: ignore[return-value]
        return CompleteSink()


class CompleteSink:
    """A sink with all methods."""

    async def write(self, data: bytes) -> None: ...

    def commit(self) -> Reply | None:
        return None

    def abort(self) -> None: ...


class IncompleteSink:
    """A sink without commit and abort."""

    def write(self, data: bytes) -> None: ...


async def serve_and_connect(message: EmailMessage) -> None:
    """Serve and send with asyncio and trio."""
    async with on_asyncio.serve(AsyncHooks, hostname="mx.example.org") as server:
        port: int = server.port
    async with on_asyncio.connect("localhost", port, login=("ann", "x")) as client:
        outcome: Outcome = await client.send(message)
        print(outcome.refused[ForwardPath.of("bob@example.org")].code + 1)
    async with on_trio.serve(PlainHooks(), port=2525), on_trio.connect("localhost") as client:
        await client.send(b"...", Envelope("ann@example.org", ["bob@example.org"]))
        await client.send([b"..."])
    one_more: Client = await on_asyncio.connect("localhost", timeout=60)
    await one_more.quit()
    sent: Outcome = await on_trio.send(message, "localhost", 25, timeout=60)
    sent = on_sockets.send(message, "localhost", login=("ann", "x"))
    on_asyncio.connect("localhost").quit()  # type: ignore[attr-defined]
    await on_asyncio.send(message, "localhost", timeout="60")  # type: ignore[arg-type]
    print(sent)
    on_asyncio.serve(AsyncHooks, hostnam="x")  # type: ignore[call-arg]
    on_asyncio.connect("localhost", login=3)  # type: ignore[arg-type]


class Accounts(Authenticator):
    """Each method of an authenticator may be plain or async."""

    async def check_password(self, username: str, password: Secret) -> bool:
        return (username, password.reveal()) == ("ann", b"x")

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        return None

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        return claim.username or TokenRefused(scope="mail")

    def may_act_as(self, username: str, authzid: str) -> str:  # type: ignore[override]
        return "yes"


async def fresh_token() -> str:
    """Return a token, as a token function does."""
    return "t0ken"


async def send_with_options(
    pool: on_asyncio.Pool, message: Source, **options: Unpack[ClientOptions]
) -> None:
    """A wrapper around the library needs only public names."""
    await pool.send(message)
    async with on_trio.connect("localhost", **options) as client:
        await client.login(("ann", "x"))


async def connect_with_tls_and_login(message: EmailMessage) -> None:
    """Connect and serve with options of TLS and of logins."""
    async with on_asyncio.connect("smtps://ann:x@mail.example.org") as client:
        assert client.tls is None or client.tls.verified
    token = BearerToken("ann", fresh_token)
    pinned = TLSVerify.by_fingerprint("00" * 32)
    async with on_trio.pool("localhost", login=token, verify=pinned, max_idle=None) as pool:
        outcome: Outcome = await pool.send(message)
        print(outcome.retry)
        reply: Reply | None = outcome.refused.get("bob@example.org")
        accepted: Reply = outcome.raise_unless_all_accepted().accepted["bob@example.org"]
        print(reply, accepted, "bob@example.org" in outcome.unknown)
    on_asyncio.connect("localhost", tls="required", verify="none", source="127.0.0.2")
    on_asyncio.connect("localhost", verify=True)  # type: ignore[arg-type]
    on_asyncio.connect("localhost", verify="ca.pem")  # type: ignore[arg-type]
    on_asyncio.connect("localhost", tls="starttls")  # type: ignore[arg-type]
    on_asyncio.pool("localhost", max_conections=3)  # type: ignore[call-arg]
    on_asyncio.serve(
        PlainHooks(), "/run/x", authenticator=Accounts(), context=ssl.create_default_context
    )
    on_asyncio.serve(PlainHooks(), authenticator=PlainHooks())  # type: ignore[arg-type]


def send_over_blocking_sockets(message: EmailMessage) -> None:
    """Send with blocking sockets."""
    with on_sockets.connect("localhost", 587, login=("ann", "x")) as client:
        outcome: Outcome = client.send(message)
        outcome.accepted[ForwardPath.of("x@y.test")] = Reply(250)  # type: ignore[index]
        client.send("text")  # type: ignore[arg-type]


def parameters_by_address(asked: dict[str, RcptParameters]) -> None:
    """Pass the parameters of RCPT by address."""
    Envelope("ann@example.org", asked, rcpt_parameters=asked)
    Envelope("ann@example.org", "bob@example.org", rcpt_parameters={3: RcptParameters()})  # type: ignore[arg-type]


def server_machine() -> None:
    """Use the server's machine by hand."""
    server = ServerProtocol(hostname="mx.example.org")
    server.answer("250 OK")  # type: ignore[arg-type]
    ServerProtocol("mx.example.org")  # type: ignore[arg-type]  # keywords only
