"""Logins bound to their TLS connection: SCRAM-SHA-256-PLUS with tls-exporter (RFC 9266)."""

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
from smtpproto.server.dialogue import Dialogue
from smtpproto.testing.simulation import Simulation
from smtpproto.tls.binding import EXPORTER, SERVER_END_POINT
from smtpproto.tls.context import Context, ContextSource
from smtpproto.tls.filter import Filter
from smtpproto.tls.stream import TLSStream
from tests.adapters.harness import Blocking, running_server
from tests.interop.programs import find_program, run
from tests.support.certificates import CA, LEAF, NAME
from tests.support.logins import LoginRecorder
from tests.support.tls_libraries import Library, PyOpenSSL, Standard, client_of, server_of

PLUS = "SCRAM-SHA-256-PLUS"
ANN = Identity("ann", mechanism=PLUS)
LOGIN = ("ann", "pencil")
KEYS = StoredKeys({"ann": ScramKeys.derive("pencil", salt=bytes(16), hash_name="SHA-256")})


@define(eq=False)
class BindingRecorder(LoginRecorder):
    """Records the bindings of each connection, too."""

    bindings: list[dict[str, bytes]] = field(factory=list)

    def tls(self, session: Session) -> None:
        self.bindings.append(bindings(session.tls))


def bindings(info: TLSInfo | None) -> dict[str, bytes]:
    """Return the channel bindings of a connection."""
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
) -> tuple[Simulation, BindingRecorder]:
    """Return a simulation with a server on port 465, and its handler."""
    simulation, handler = Simulation(seed), BindingRecorder()
    chosen = options(context, implicit=implicit, mechanisms=mechanisms)
    simulation.listen(465, handler, ServerConfig(**chosen))
    return simulation, handler


async def logged_in(
    simulation: Simulation,
    context: Context,
    tls: TLSMode = TLSMode.IMPLICIT,
    mechanisms: list[str] | None = None,
) -> dict[str, bytes]:
    """Log in and quit, and return the bindings of the connection."""
    config = ClientConfig(context=context, tls=tls, login=LOGIN, mechanisms=mechanisms)
    async with await open_client(simulation, NAME, 465, config) as client:
        return bindings(client.tls)


# -- our client and our server -------------------------------------------------------------------


@pytest.mark.parametrize("tls", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
@pytest.mark.parametrize("seed", range(5))
def test_our_client_and_server_bind_a_login_by_the_exporter(tls: TLSMode, seed: int) -> None:
    implicit = tls is TLSMode.IMPLICIT
    simulation, handler = listening(seed, PyOpenSSL.server(LEAF), implicit=implicit)
    [found] = simulation.run(logged_in(simulation, PyOpenSSL.client(CA), tls))
    assert handler.identities == [ANN]
    assert handler.bindings == [found]
    assert list(found) == [EXPORTER, SERVER_END_POINT]


def test_two_connections_have_different_exporter_bindings() -> None:
    simulation, handler = listening(1, lambda: PyOpenSSL.server(LEAF), implicit=True)
    client = PyOpenSSL.client(CA)
    found = simulation.run(logged_in(simulation, client), logged_in(simulation, client))
    assert handler.identities == [ANN, ANN]
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
def test_without_the_exporter_a_named_plus_mechanism_binds_to_the_certificate(
    client: Library, server: Library, version: str
) -> None:
    """It is used only if the option names it, because few servers support it."""
    simulation, handler = listening(1, server.server(LEAF), implicit=True, mechanisms=[PLUS])
    login = logged_in(simulation, client.client(CA, version), mechanisms=[PLUS])
    [found] = simulation.run(login)
    assert list(found) == [SERVER_END_POINT]
    assert handler.identities == [ANN]


@pytest.mark.parametrize("server", [Standard, PyOpenSSL])
@pytest.mark.parametrize("client", [Standard, PyOpenSSL])
@pytest.mark.req("RFC7677-4-01/client", "RFC7677-4-01/server")
def test_by_default_a_login_is_bound_by_the_exporter_or_not_at_all(
    client: Library, server: Library
) -> None:
    simulation, handler = listening(1, server.server(LEAF), implicit=True)
    simulation.run(logged_in(simulation, client.client(CA)))
    [identity] = handler.identities
    assert identity.mechanism == (PLUS if client is server is PyOpenSSL else "SCRAM-SHA-256")


def test_a_login_is_bound_to_the_certificate_if_the_server_lacks_the_exporter() -> None:
    """A login without any binding is what an attacker in the middle would want."""
    named = [PLUS, "SCRAM-SHA-256"]
    simulation, handler = listening(1, Standard.server(LEAF), implicit=True, mechanisms=named)
    simulation.run(logged_in(simulation, PyOpenSSL.client(CA), mechanisms=named))
    assert handler.identities == [ANN]


@pytest.mark.parametrize("client", [Standard, PyOpenSSL])
def test_a_client_with_the_exporter_never_logs_in_without_a_binding(
    client: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a client without the exporter may do so. For others, the server must be an attacker."""
    monkeypatch.setattr(
        Dialogue,
        "_channel",
        property(lambda self: Channel(random=bytes, secure=True, bindings={"other": b"x"})),
    )
    named = [PLUS, "SCRAM-SHA-256"]
    simulation, handler = listening(1, Standard.server(LEAF), implicit=True, mechanisms=named)
    login = logged_in(simulation, client.client(CA), mechanisms=named)
    if client is Standard:
        simulation.run(login)
        assert [identity.mechanism for identity in handler.identities] == ["SCRAM-SHA-256"]
    else:
        with pytest.raises(BadCredentials) as caught:
            simulation.run(login)
        assert caught.value.command == f"AUTH {PLUS}" and not handler.identities


# -- an attacker in the middle --------------------------------------------------------------------


def relayed(library: Library) -> tuple[BindingRecorder, str, SMTPError | None]:
    """Log in through an attacker with the server's own key.

    Return the handler, what the attacker reads, and the error of the client.
    """
    simulation, handler = listening(3, library.server(LEAF), implicit=True, mechanisms=[PLUS])
    near, far = simulation.pair()
    read = bytearray()

    async def our_client() -> SMTPError | None:
        context, tls = library.client(CA), TLSMode.IMPLICIT
        config = ClientConfig(context=context, tls=tls, login=LOGIN, mechanisms=[PLUS])
        try:
            async with await start_client(simulation, near, NAME, config, TLSMode.IMPLICIT):
                return None
        except SMTPError as error:
            return error

    ends: list[TLSStream] = []

    async def attacker(side: Filter, *, client: bool) -> None:
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
        our_client(),
        attacker(server_of(library.server(LEAF)), client=True),
        attacker(client_of(library.client(CA)), client=False),
    )
    assert error is None or isinstance(error, SMTPError)
    return handler, read.decode(), error


def first_message(read: str) -> str:
    """Return the client's first message, decoded."""
    [response] = re.findall(rf"AUTH {PLUS} (\S+)\r\n", read)
    return b64decode(response).decode()


def test_an_attacker_with_the_key_of_the_server_cannot_relay_a_login_bound_by_the_exporter() -> (
    None
):
    handler, read, error = relayed(PyOpenSSL)
    assert isinstance(error, BadCredentials)
    assert handler.identities == []
    assert first_message(read).startswith("p=tls-exporter,,n=ann,")
    assert read.count("AUTH ") == 2, (
        "one in the offer and one command: the client tried nothing weaker"
    )
    assert read.count("535 5.7.8 Authentication credentials invalid\r\n") == 1


def test_an_attacker_with_the_key_of_the_server_can_relay_a_login_bound_by_the_certificate() -> (
    None
):
    """The exporter exists to prevent this."""
    handler, read, error = relayed(Standard)
    assert error is None
    assert handler.identities == [ANN]
    assert first_message(read).startswith("p=tls-server-end-point,,n=ann,")


# -- scramp's client and server ------------------------------------------------------------------


@pytest.fixture
def scramp_with_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make scramp accept the name tls-exporter, which it refuses because ``ssl`` lacks it."""
    monkeypatch.setattr(CbName, "UNSUPPORTED_TYPES", frozenset())
    monkeypatch.setattr(CbName, "SUPPORTED_TYPES", frozenset({EXPORTER}))


@define(eq=False)
class Lines:
    """Lines and replies of SMTP over TLS."""

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

    async def send(self, *lines: str) -> None:
        await self.stream.write("".join(f"{line}\r\n" for line in lines).encode(), None)

    async def ask(self, line: str) -> str:
        await self.send(line)
        return await self.reply()


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return b64decode(text).decode()


@pytest.mark.usefixtures("scramp_with_exporter")
@pytest.mark.parametrize("good", [True, False])
def test_a_scramp_client_logs_in_only_with_the_binding_of_its_connection(good: bool) -> None:
    """It uses the binding that pyOpenSSL exports, or 32 NULs."""
    simulation, handler = listening(2, PyOpenSSL.server(LEAF), implicit=True)

    async def scramp_side() -> str:
        tls = client_of(PyOpenSSL.client(CA))
        stream = TLSStream(await simulation.dial(NAME, 465, None), tls, simulation.now)
        await stream.handshake(None)
        binding = EXPORTER, tls.info.bindings[EXPORTER] if good else bytes(32)
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

    [reply] = simulation.run(scramp_side())
    if good:
        assert reply == "235 2.7.0 Authentication successful"
        assert handler.identities == [ANN]
    else:
        assert reply == "535 5.7.8 Authentication credentials invalid"
        assert handler.identities == []


@pytest.mark.req("RFC9266-2-01/client")
@pytest.mark.usefixtures("scramp_with_exporter")
@pytest.mark.parametrize("good", [True, False])
def test_our_client_logs_in_to_a_scramp_server_only_with_the_same_binding(good: bool) -> None:
    simulation = Simulation(2)
    near, far = simulation.pair()
    received: list[str] = []

    async def scramp_side() -> None:
        tls = server_of(PyOpenSSL.server(LEAF))
        stream = TLSStream(far, tls, simulation.now)
        await stream.handshake(None)
        binding = EXPORTER, tls.info.bindings[EXPORTER] if good else bytes(32)
        mechanism, smtp = ScramMechanism(PLUS), Lines(stream)
        users = {LOGIN[0]: mechanism.make_auth_info(LOGIN[1])}
        exchange = mechanism.make_server(users.__getitem__, channel_binding=binding)
        await smtp.send("220 mx")
        received.append(await smtp.line())
        await smtp.send("250-mx", f"250 AUTH {PLUS} SCRAM-SHA-256 PLAIN")
        received.append(await smtp.line())
        exchange.set_client_first(decoded(received[-1].split()[2]))
        await smtp.send(f"334 {encoded(exchange.get_server_first())}")
        try:
            exchange.set_client_final(decoded(await smtp.line()))
            await smtp.send(f"334 {encoded(exchange.get_server_final())}")
            received.append(await smtp.line())
            await smtp.send("235 2.7.0 ok")
        except ScramException:
            await smtp.send("535 5.7.8 no")
        received.append(await smtp.line())
        await smtp.send("221 bye")
        await stream.close()

    async def our_client() -> Exception | None:
        config = ClientConfig(context=PyOpenSSL.client(CA), tls=TLSMode.IMPLICIT, login=LOGIN)
        try:
            async with await start_client(simulation, near, NAME, config, TLSMode.IMPLICIT):
                return None
        except SMTPError as error:
            return error

    error, _ = simulation.run(our_client(), scramp_side())
    assert isinstance(error, BadCredentials) is not good
    assert received[1].startswith(f"AUTH {PLUS} ")
    assert received[2:] == (["", "QUIT"] if good else ["QUIT"])


# -- over real sockets ---------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["implicit", "required"])
def test_a_login_over_sockets_is_bound_by_the_exporter(tls: str) -> None:
    handler, leaf = BindingRecorder(), CA.issue_cert("localhost")

    async def scenario(client: Client) -> dict[str, bytes]:
        await client.noop()
        return bindings(client.tls)

    config = options(PyOpenSSL.server(leaf), implicit=tls == "implicit")
    with running_server(Blocking, handler, **config) as server:
        found = Blocking.client(
            server.port, scenario, context=PyOpenSSL.client(CA), tls=TLSMode(tls), login=LOGIN
        )
    assert handler.identities == [ANN]
    assert handler.bindings == [found]
    assert EXPORTER in found


@pytest.mark.req("RFC9266-2-01/server")
@pytest.mark.peer("openssl")
@pytest.mark.parametrize("starttls", [False, True])
def test_openssl_s_client_exports_the_same_binding(starttls: bool, tmp_path: Path) -> None:
    handler = BindingRecorder()
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = options(PyOpenSSL.server(LEAF), implicit=not starttls)
    with running_server(Blocking, handler, **config) as server:
        output = run(
            find_program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}",
            "-servername", NAME, "-CAfile", tmp_path / "ca.pem", "-verify_return_error",
            "-crlf", "-ign_eof", *(["-starttls", "smtp"] if starttls else []),
            "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32",
            stdin=b"quit\n",
        )  # fmt: skip
    [material] = re.findall(r"Keying material: ([0-9A-F]+)\n", output)
    [server_bindings] = handler.bindings
    assert server_bindings[EXPORTER] == bytes.fromhex(material)
    assert "221 2.0.0" in output
