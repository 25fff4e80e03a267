"""Logins bound to their very connection: SCRAM-SHA-256-PLUS with tls-exporter (RFC 9266)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from attrs import define, field
from scramp import ScramClient, ScramException, ScramMechanism
from scramp.core import CbName

from smtpproto import (
    BadCredentials,
    Client,
    ClientConfig,
    Handler,
    Identity,
    Limits,
    ScramKeys,
    ServerConfig,
    Session,
    SMTPError,
    StoredKeys,
    TLSInfo,
    TLSMode,
)
from smtpproto.client.connection import open_client, start_client
from smtpproto.sasl import Channel
from smtpproto.server.config import ServerOptions
from smtpproto.server.conversation import Conversation
from smtpproto.testing.simulation import Simulation
from smtpproto.tls.binding import EXPORTER, SERVER_END_POINT
from smtpproto.tls.context import Context, ContextSource
from smtpproto.tls.filter import Filter
from smtpproto.tls.stream import TLSStream
from tests.adapters.harness import Blocking, running_server
from tests.interop.programs import program, run
from tests.support.certificates import NAME
from tests.support.tls_libraries import CA, LEAF, Library, PyOpenSSL, Standard, client_of, server_of

PLUS = "SCRAM-SHA-256-PLUS"
ANN = Identity("ann", mechanism=PLUS)
LOGIN = ("ann", "pencil")
KEYS = StoredKeys({"ann": ScramKeys.derive("pencil", salt=bytes(16), hash_name="SHA-256")})


@define(eq=False)
class Guard(Handler):
    """Remembers who logged in, and by which TLS."""

    seen: list[Identity] = field(factory=list)
    bindings: list[dict[str, bytes]] = field(factory=list)

    def tls(self, session: Session) -> None:
        self.bindings.append(bindings(session.tls))

    def login(self, session: Session, identity: Identity) -> None:
        self.seen.append(identity)


def bindings(info: TLSInfo | None) -> dict[str, bytes]:
    assert info is not None
    return dict(info.bindings)


def options(
    context: ContextSource, *, implicit: bool, mechanisms: list[str] | None = None
) -> ServerOptions:
    return ServerOptions(
        mechanisms=mechanisms,
        hostname=NAME,
        authenticator=KEYS,
        context=context,
        implicit_tls=implicit,
        limits=Limits(failed_login_delay=0),
    )


def listening(
    seed: int, context: ContextSource, *, implicit: bool, mechanisms: list[str] | None = None
) -> tuple[Simulation, Guard]:
    """A simulation with a server on port 465."""
    simulation, handler = Simulation(seed), Guard()
    chosen = options(context, implicit=implicit, mechanisms=mechanisms)
    simulation.listen(465, handler, ServerConfig(**chosen))
    return simulation, handler


async def logged_in(
    simulation: Simulation,
    context: Context,
    tls: TLSMode = TLSMode.IMPLICIT,
    mechanisms: list[str] | None = None,
) -> dict[str, bytes]:
    """Log in and quit; the bindings that there were."""
    config = ClientConfig(context=context, tls=tls, login=LOGIN, mechanisms=mechanisms)
    async with await open_client(simulation, NAME, 465, config) as client:
        return bindings(client.tls)


# -- our client and our server -------------------------------------------------------------------


@pytest.mark.parametrize("tls", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_login(tls: TLSMode, seed: int) -> None:
    implicit = tls is TLSMode.IMPLICIT
    simulation, handler = listening(seed, PyOpenSSL.server(LEAF), implicit=implicit)
    [found] = simulation.run(logged_in(simulation, PyOpenSSL.client(CA), tls))
    assert handler.seen == [ANN]
    assert handler.bindings == [found]
    assert list(found) == [EXPORTER, SERVER_END_POINT]


def test_a_context_for_each_handshake() -> None:
    simulation, handler = listening(1, lambda: PyOpenSSL.server(LEAF), implicit=True)
    client = PyOpenSSL.client(CA)
    found = simulation.run(logged_in(simulation, client), logged_in(simulation, client))
    assert handler.seen == [ANN, ANN]
    assert {one[EXPORTER] for one in handler.bindings} == {one[EXPORTER] for one in found}
    assert found[0][EXPORTER] != found[1][EXPORTER]


@pytest.mark.parametrize(
    ("client", "server", "version"),
    [
        (Standard, PyOpenSSL, "TLSv1.3"),
        (Standard, PyOpenSSL, "TLSv1.2"),
        (PyOpenSSL, Standard, "TLSv1.2"),
        (PyOpenSSL, PyOpenSSL, "TLSv1.2"),
    ],
)
def test_without_the_exporter_by_the_certificate(
    client: Library, server: Library, version: str
) -> None:
    """If it is named: else there is no binding, for hardly anybody has this one."""
    simulation, handler = listening(1, server.server(LEAF), implicit=True, mechanisms=[PLUS])
    login = logged_in(simulation, client.client(CA, version), mechanisms=[PLUS])
    [found] = simulation.run(login)
    assert list(found) == [SERVER_END_POINT]
    assert handler.seen == [ANN]


@pytest.mark.parametrize("server", [Standard, PyOpenSSL])
@pytest.mark.parametrize("client", [Standard, PyOpenSSL])
@pytest.mark.req("RFC7677-4-01")
def test_by_default_a_login_is_bound_by_the_exporter_or_not_at_all(
    client: Library, server: Library
) -> None:
    simulation, handler = listening(1, server.server(LEAF), implicit=True)
    simulation.run(logged_in(simulation, client.client(CA)))
    [identity] = handler.seen
    assert identity.mechanism == (PLUS if client is server is PyOpenSSL else "SCRAM-SHA-256")


def test_a_server_that_does_not_know_the_exporter() -> None:
    """It is asked with the other binding, and not without one: that somebody between could want."""
    named = [PLUS, "SCRAM-SHA-256"]
    simulation, handler = listening(1, Standard.server(LEAF), implicit=True, mechanisms=named)
    simulation.run(logged_in(simulation, PyOpenSSL.client(CA), mechanisms=named))
    assert handler.seen == [ANN]


@pytest.mark.parametrize("client", [Standard, PyOpenSSL])
def test_a_server_that_knows_no_binding_of_ours(
    client: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the exporter it may be so. With it, it is somebody between, who gets nothing else."""
    monkeypatch.setattr(
        Conversation,
        "_channel",
        property(lambda self: Channel(random=bytes, secure=True, bindings={"other": b"x"})),
    )
    named = [PLUS, "SCRAM-SHA-256"]
    simulation, handler = listening(1, Standard.server(LEAF), implicit=True, mechanisms=named)
    login = logged_in(simulation, client.client(CA), mechanisms=named)
    if client is Standard:
        simulation.run(login)
        assert [identity.mechanism for identity in handler.seen] == ["SCRAM-SHA-256"]
    else:
        with pytest.raises(BadCredentials) as caught:
            simulation.run(login)
        assert caught.value.command == f"AUTH {PLUS}" and not handler.seen


# -- somebody between ----------------------------------------------------------------------------


def relayed(library: Library) -> tuple[Guard, str, SMTPError | None]:
    """Log in through somebody who has the server's own key: what he reads, and how it ends."""
    simulation, handler = listening(3, library.server(LEAF), implicit=True, mechanisms=[PLUS])
    near, far = simulation.pair()
    read = bytearray()

    async def ours() -> SMTPError | None:
        context, tls = library.client(CA), TLSMode.IMPLICIT
        config = ClientConfig(context=context, tls=tls, login=LOGIN, mechanisms=[PLUS])
        try:
            async with await start_client(simulation, near, NAME, config, TLSMode.IMPLICIT):
                return None
        except SMTPError as error:
            return error

    ends: list[TLSStream] = []

    async def between(side: Filter, *, client: bool) -> None:
        stream = far if client else await simulation.dial(NAME, 465, None)
        source = TLSStream(stream, side, simulation.now)
        await source.handshake(None)
        ends.append(source)
        await simulation.wait(lambda: len(ends) == 2, None)
        [target] = [end for end in ends if end is not source]
        while octets := await source.read(None):
            read.extend(octets)
            await target.write(octets, None)
        await target.close()

    error, *_ = simulation.run(
        ours(),
        between(server_of(library.server(LEAF)), client=True),
        between(client_of(library.client(CA)), client=False),
    )
    assert error is None or isinstance(error, SMTPError)
    return handler, read.decode(), error


def first_message(read: str) -> str:
    [response] = re.findall(rf"AUTH {PLUS} (\S+)\r\n", read)
    return b64decode(response).decode()


def test_who_has_the_server_s_key_cannot_pass_a_login_on() -> None:
    handler, read, error = relayed(PyOpenSSL)
    assert isinstance(error, BadCredentials)
    assert handler.seen == []
    assert first_message(read).startswith("p=tls-exporter,,n=ann,")
    assert read.count("AUTH ") == 2, "the offer and one command: nothing weaker was tried"
    assert read.count("535 5.7.8 Authentication credentials invalid\r\n") == 1


def test_where_the_certificate_is_all_there_is_he_can() -> None:
    """Which is what the exporter is for."""
    handler, read, error = relayed(Standard)
    assert error is None
    assert handler.seen == [ANN]
    assert first_message(read).startswith("p=tls-server-end-point,,n=ann,")


# -- scramp's client and server ------------------------------------------------------------------


@pytest.fixture
def scramp_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """scramp takes octets for any binding, but not this one's name, as ``ssl`` does not have it."""
    monkeypatch.setattr(CbName, "UNSUPPORTED_TYPES", frozenset())
    monkeypatch.setattr(CbName, "SUPPORTED_TYPES", frozenset({EXPORTER}))


@define(eq=False)
class Lines:
    """SMTP by hand, over TLS."""

    stream: TLSStream
    _read: bytes = b""

    async def line(self) -> str:
        while b"\r\n" not in self._read:
            octets = await self.stream.read(None)
            assert octets, self._read
            self._read += octets
        line, self._read = self._read.split(b"\r\n", 1)
        return line.decode()

    async def reply(self) -> str:
        while (line := await self.line())[3:4] == "-":
            pass
        return line

    async def say(self, *lines: str) -> None:
        await self.stream.write("".join(f"{line}\r\n" for line in lines).encode(), None)

    async def ask(self, line: str) -> str:
        await self.say(line)
        return await self.reply()


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return b64decode(text).decode()


@pytest.mark.usefixtures("scramp_knows")
@pytest.mark.parametrize("good", [True, False])
def test_scramp_s_client(good: bool) -> None:
    """It is bound to what pyOpenSSL exports to it, or to another connection."""
    simulation, handler = listening(2, PyOpenSSL.server(LEAF), implicit=True)

    async def theirs() -> str:
        tls = client_of(PyOpenSSL.client(CA))
        stream = TLSStream(await simulation.dial(NAME, 465, None), tls, simulation.now)
        await stream.handshake(None)
        binding = EXPORTER, tls.bindings[EXPORTER] if good else bytes(32)
        exchange, smtp = ScramClient([PLUS], *LOGIN, channel_binding=binding), Lines(stream)
        assert (await smtp.reply()).startswith("220")
        assert (await smtp.ask("EHLO [192.0.2.2]")).startswith("250")
        challenge = await smtp.ask(f"AUTH {PLUS} {encoded(exchange.get_client_first())}")
        exchange.set_server_first(decoded(challenge[4:]))
        reply = await smtp.ask(encoded(exchange.get_client_final()))
        if good:
            exchange.set_server_final(decoded(reply[4:]))
            reply = await smtp.ask("")
        await smtp.ask("QUIT")
        await stream.close()
        return reply

    [reply] = simulation.run(theirs())
    if good:
        assert reply == "235 2.7.0 Authentication successful"
        assert handler.seen == [ANN]
    else:
        assert reply == "535 5.7.8 Authentication credentials invalid"
        assert handler.seen == []


@pytest.mark.usefixtures("scramp_knows")
@pytest.mark.parametrize("good", [True, False])
def test_scramp_s_server(good: bool) -> None:
    simulation = Simulation(2)
    near, far = simulation.pair()
    heard: list[str] = []

    async def theirs() -> None:
        tls = server_of(PyOpenSSL.server(LEAF))
        stream = TLSStream(far, tls, simulation.now)
        await stream.handshake(None)
        binding = EXPORTER, tls.bindings[EXPORTER] if good else bytes(32)
        mechanism, smtp = ScramMechanism(PLUS), Lines(stream)
        users = {LOGIN[0]: mechanism.make_auth_info(LOGIN[1])}
        exchange = mechanism.make_server(users.__getitem__, channel_binding=binding)
        await smtp.say("220 mx")
        heard.append(await smtp.line())
        await smtp.say("250-mx", f"250 AUTH {PLUS} SCRAM-SHA-256 PLAIN")
        heard.append(await smtp.line())
        exchange.set_client_first(decoded(heard[-1].split()[2]))
        await smtp.say(f"334 {encoded(exchange.get_server_first())}")
        try:
            exchange.set_client_final(decoded(await smtp.line()))
            await smtp.say(f"334 {encoded(exchange.get_server_final())}")
            heard.append(await smtp.line())
            await smtp.say("235 2.7.0 in")
        except ScramException:
            await smtp.say("535 5.7.8 no")
        heard.append(await smtp.line())
        await smtp.say("221 bye")
        await stream.close()

    async def ours() -> Exception | None:
        config = ClientConfig(context=PyOpenSSL.client(CA), tls=TLSMode.IMPLICIT, login=LOGIN)
        try:
            async with await start_client(simulation, near, NAME, config, TLSMode.IMPLICIT):
                return None
        except SMTPError as error:
            return error

    error, _ = simulation.run(ours(), theirs())
    assert isinstance(error, BadCredentials) is not good
    assert heard[1].startswith(f"AUTH {PLUS} ")
    assert heard[2:] == (["", "QUIT"] if good else ["QUIT"])


# -- over real sockets ---------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "required"])
def test_over_sockets(tls: str) -> None:
    handler, leaf = Guard(), CA.issue_cert("localhost")

    async def scenario(client: Client) -> dict[str, bytes]:
        await client.noop()
        return bindings(client.tls)

    config = options(PyOpenSSL.server(leaf), implicit=tls == "implicit")
    with running_server(Blocking, handler, **config) as server:
        found = Blocking.client(
            server.port, scenario, context=PyOpenSSL.client(CA), tls=TLSMode(tls), login=LOGIN
        )
    assert handler.seen == [ANN]
    assert handler.bindings == [found]
    assert EXPORTER in found


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("starttls", [False, True])
def test_openssl_s_own_tool_exports_the_same(starttls: bool, tmp_path: Path) -> None:
    handler = Guard()
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = options(PyOpenSSL.server(LEAF), implicit=not starttls)
    with running_server(Blocking, handler, **config) as server:
        said = run(
            program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}",
            "-servername", NAME, "-CAfile", tmp_path / "ca.pem", "-verify_return_error",
            "-crlf", "-ign_eof", *(["-starttls", "smtp"] if starttls else []),
            "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32",
            fed=b"quit\n",
        )  # fmt: skip
    [material] = re.findall(r"Keying material: ([0-9A-F]+)\n", said)
    [ours] = handler.bindings
    assert ours[EXPORTER] == bytes.fromhex(material)
    assert "221 2.0.0" in said
