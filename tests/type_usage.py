"""What users write, for the type checker: it is not run.

Each ``type: ignore`` stands where the checker must object; strict mode reports one without need.
"""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from typing import Unpack

from smtpproto import (
    Authenticator,
    BearerToken,
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


class Plain(Handler):
    """Hooks may be plain, and may promise more than they need to."""

    def connect(self, session: Session) -> None:
        session.user = "root"  # type: ignore[misc]  # a session is read, not written

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        size: int | None = parameters.size
        return Reply(250, "2.1.0", f"{sender} {size}")

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if recipient.domain == "example.org" else Reply(550, "5.7.1", "No")


class Async(Handler):
    """... or async."""

    async def login(self, session: Session, identity: Identity) -> Reply | None:
        return None if identity.user == "ann" else Reply(535, "5.7.8", "No")

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        recipients: tuple[ForwardPath, ...] = envelope.recipients
        assert recipients


class Wrong(Handler):
    """... but nothing else."""

    def ehlo(self, session: Session, host: str) -> None: ...  # type: ignore[override]

    def mail(  # type: ignore[override]
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> str:
        return "250 OK"

    async def message(  # type: ignore[override]
        self, session: Session, envelope: Envelope, body: bytes
    ) -> bool:
        return True


class Streamed(Handler):
    """A sink needs its three methods."""

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if envelope.sender.mailbox is None:
            return Half()  # type: ignore[return-value]
        return Whole()


class Whole:
    async def write(self, data: bytes) -> None: ...

    def commit(self) -> Reply | None:
        return None

    def abort(self) -> None: ...


class Half:
    def write(self, data: bytes) -> None: ...


async def asynchronous(message: EmailMessage) -> None:
    async with on_asyncio.serve(Async, hostname="mx.example.org") as server:
        port: int = server.port
    async with on_asyncio.connect("localhost", port, login=("ann", "x")) as client:
        outcome: Outcome = await client.send(message)
        print(outcome.refused[ForwardPath.of("bob@example.org")].code + 1)
    async with on_trio.serve(Plain(), port=2525), on_trio.connect("localhost") as client:
        await client.send(b"...", Envelope("ann@example.org", ["bob@example.org"]))
        await client.send([b"..."])
    on_asyncio.serve(Async, hostnam="x")  # type: ignore[call-arg]
    on_asyncio.connect("localhost", login=3)  # type: ignore[arg-type]


class Accounts(Authenticator):
    """Each method of an authenticator may be plain or async, too."""

    async def check_password(self, username: str, password: Secret) -> bool:
        return (username, password.reveal()) == ("ann", b"x")

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        return None

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        return claim.username or TokenRefused(scope="mail")

    def may_act_as(self, username: str, authzid: str) -> str:  # type: ignore[override]
        return "yes"


async def fresh_token() -> str:
    return "t0ken"


async def wrapped(pool: on_asyncio.Pool, message: Source, **options: Unpack[ClientOptions]) -> None:
    """What programs build around it needs no names from inside."""
    await pool.send(message)
    async with on_trio.connect("localhost", **options) as client:
        await client.login(("ann", "x"))


async def connecting(message: EmailMessage) -> None:
    async with on_asyncio.connect("smtps://ann:x@mail.example.org") as client:
        assert client.tls is None or client.tls.verified
    token = BearerToken("ann", fresh_token)
    pinned = TLSVerify.by_fingerprint("00" * 32)
    async with on_trio.pool("localhost", login=token, verify=pinned, max_idle=None) as pool:
        outcome: Outcome = await pool.send(message)
        print(outcome.retry)
    on_asyncio.connect("localhost", tls="required", verify="none", source="127.0.0.2")
    on_asyncio.connect("localhost", verify=True)  # type: ignore[arg-type]
    on_asyncio.connect("localhost", verify="ca.pem")  # type: ignore[arg-type]
    on_asyncio.connect("localhost", tls="starttls")  # type: ignore[arg-type]
    on_asyncio.pool("localhost", max_conections=3)  # type: ignore[call-arg]
    on_asyncio.serve(
        Plain(), "/run/x", authenticator=Accounts(), context=ssl.create_default_context
    )
    on_asyncio.serve(Plain(), authenticator=Plain())  # type: ignore[arg-type]


def blocking(message: EmailMessage) -> None:
    with on_sockets.connect("localhost", 587, login=("ann", "x")) as client:
        outcome: Outcome = client.send(message)
        outcome.accepted[ForwardPath.of("x@y.test")] = Reply(250)  # type: ignore[index]
        client.send("text")  # type: ignore[arg-type]


def parameters_by_address(asked: dict[str, RcptParameters]) -> None:
    Envelope("ann@example.org", asked, rcpt_parameters=asked)
    Envelope("ann@example.org", "bob@example.org", rcpt_parameters={3: RcptParameters()})  # type: ignore[arg-type]


def machine() -> None:
    server = ServerProtocol(hostname="mx.example.org")
    server.answer("250 OK")  # type: ignore[arg-type]
    ServerProtocol("mx.example.org")  # type: ignore[call-arg]  # keywords only
