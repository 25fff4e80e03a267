"""TLS on a server: contexts that change, certificates of clients, the wrong port, ends."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
import trustme
from attrs import define, field

from smtpproto import (
    Authenticator,
    BadCredentials,
    Client,
    ClientCertificate,
    ClientConfig,
    External,
    Handler,
    Identity,
    Limits,
    Login,
    Refusal,
    Reply,
    ScramKeys,
    ServerConfig,
    Session,
    Timeouts,
    TLSFailed,
    TLSInfo,
    TLSMode,
    TLSVerify,
    TransportError,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.extension_command import XClient
from smtpproto.grammar.xclient import XClientAttributes
from smtpproto.sasl import Credential
from smtpproto.server.config import ServerOptions
from smtpproto.testing.simulation import SimulatedStream, Simulation
from smtpproto.tls.binding import SERVER_END_POINT
from tests.support.certificates import NAME, der, expired, server_context

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
LEAF = CA.issue_cert(NAME)
GOOD = server_context(LEAF)
AT_ONCE = Limits(failed_login_delay=0)
MODES = [TLSMode.REQUIRED, TLSMode.IMPLICIT]
SEEDS = range(5)

each_mode = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
each_seed = pytest.mark.parametrize("seed", SEEDS)


@define(eq=False)
class Watcher(Handler):
    """Remembers what it is told of."""

    said: list[str] = field(factory=list)
    tls_info: list[TLSInfo | None] = field(factory=list)

    def connect(self, session: Session) -> None:
        self.said.append("connect")

    def ehlo(self, session: Session, host: object) -> None:
        self.said.append("hello")
        self.tls_info.append(session.tls)

    def close(self, session: Session) -> None:
        self.said.append("close")


def converse(
    server: ServerConfig,
    client: ClientConfig,
    talk: Callable[[Client], Any],
    *,
    handler: Handler | None = None,
    seed: int = 1,
) -> Simulation:
    """One session; *talk* is told when it is open."""
    simulation = Simulation(seed)
    simulation.listen(25, handler or Handler(), server)

    async def main() -> None:
        async with await open_client(simulation, NAME, 25, client) as opened:
            talk(opened)
            await opened.noop()

    simulation.run(main())
    return simulation


def serving(mode: TLSMode, **options: Any) -> ServerConfig:
    return ServerConfig(implicit_tls=mode is TLSMode.IMPLICIT, **options)


def nothing(_: Client) -> None: ...


# -- a context for each handshake ----------------------------------------------------------------


@each_mode
def test_a_certificate_is_renewed_between_two_handshakes(mode: TLSMode) -> None:
    leaves = [expired(CA), LEAF, CA.issue_cert(NAME)]
    contexts = [server_context(leaf) for leaf in leaves]
    config = serving(mode, context=lambda: contexts.pop(0))
    seen: list[bytes | None] = []

    def look(client: Client) -> None:
        assert client.tls is not None
        seen.append(client.tls.peer_certificate)

    ours = ClientConfig(tls=mode, verify=TRUST)
    with pytest.raises(TLSFailed, match="expired"):
        converse(config, ours, look)
    for leaf in leaves[1:]:
        converse(config, ours, look)
        assert seen.pop() == der(leaf)
    assert not contexts, "one for each handshake"


def broken() -> ssl.SSLContext:
    raise FileNotFoundError("no certificate today: /secret/path")


@pytest.mark.parametrize("source", [broken, lambda: None, lambda: "context"])
def test_without_a_context_starttls_is_answered_454(
    source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """And the session goes on as it was."""
    lines: list[str] = []
    config = ServerConfig(
        context=source, trace=lambda who, line: lines.append(f"{who}: {line}"), require_tls=True
    )
    handler = Watcher()

    def look(client: Client) -> None:
        assert client.tls is None
        assert client.tls_refused == Reply(
            454, "4.7.0", "TLS not available due to temporary reason"
        )

    converse(config, ClientConfig(tls="opportunistic"), look, handler=handler)
    start = lines.index("C: STARTTLS")
    assert lines[start + 1].startswith("S: 454 4.7.0 ")
    assert lines[start + 2 :] == ["C: NOOP", "S: 250 2.0.0 OK", "C: QUIT", lines[-1]]
    assert not any("secret" in line for line in lines)
    assert "the context for TLS failed" in caplog.text
    assert handler.said == ["connect", "hello", "close"]


def test_without_a_context_implicit_tls_ends_without_an_octet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulation, handler = Simulation(1), Watcher()
    simulation.listen(465, handler, ServerConfig(context=broken, implicit_tls=True))

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        assert await stream.read(None) == b""

    simulation.run(main())
    assert "the context for TLS failed" in caplog.text
    assert handler.said == ["close"]


def test_a_context_of_a_client_is_none() -> None:
    wrong = ssl.create_default_context()
    with pytest.raises(Refusal, match="454"):
        converse(ServerConfig(context=wrong), ClientConfig(tls="required"), nothing)


# -- the certificates of clients -----------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    file = tmp_path_factory.mktemp("client") / "both.pem"
    CA.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(file)
    return ClientCertificate(file)


def asking(mode: ssl.VerifyMode) -> ssl.SSLContext:
    context = server_context(LEAF)
    CA.configure_trust(context)
    context.verify_mode = mode
    return context


class Known(Authenticator):
    def certificate_user(self, certificate: bytes) -> str | None:
        return "ann" if b"client.example" in certificate else None

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        salt = hash_name.encode() * 3
        ann = ScramKeys.derive("secret", salt=salt, hash_name=hash_name)
        return ann if username == "ann" else None


SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1")


@each_mode
@pytest.mark.parametrize(
    ("asked", "shows", "verified"),
    [
        (ssl.CERT_NONE, True, False),
        (ssl.CERT_OPTIONAL, True, True),
        (ssl.CERT_OPTIONAL, False, False),
        (ssl.CERT_REQUIRED, True, True),
    ],
)
@pytest.mark.req("RFC3207-6-08", "RFC8314-4.2-02", "RFC3207-4.2-04")
def test_a_verified_certificate_is_there_for_handlers_and_for_external(
    shown: ClientCertificate, mode: TLSMode, asked: ssl.VerifyMode, shows: bool, verified: bool
) -> None:
    handler = Watcher()
    offered: list[tuple[str, ...]] = []
    simulation = converse(
        serving(mode, context=asking(asked), authenticator=Known()),
        ClientConfig(tls=mode, verify=TRUST, certificate=shown if shows else None),
        lambda client: offered.append(client.extensions.mechanisms),
        handler=handler,
    )
    assert offered == [(*SCRAM[2:], *(["EXTERNAL"] if verified else []))]
    info = handler.tls_info[-1]
    assert info is not None
    assert info.verified is verified
    channel = simulation.conversations[0]._channel
    assert channel.certificate == (info.peer_certificate if verified else None)
    assert (channel.certificate is not None) is verified


def logged_in(
    mode: TLSMode, mechanism: str, credential: Credential, certificate: ClientCertificate
) -> Identity | None:
    """Log in by *mechanism* under TLS; who that is on the server."""
    simulation = converse(
        serving(
            mode,
            context=asking(ssl.CERT_OPTIONAL),
            authenticator=Known(),
            mechanisms=[mechanism],
            limits=AT_ONCE,
        ),
        ClientConfig(
            tls=mode,
            verify=TRUST,
            certificate=certificate,
            login=credential,
            mechanisms=[mechanism],
        ),
        nothing,
    )
    return simulation.conversations[0]._session.identity


@each_mode
@pytest.mark.parametrize("mechanism", [*SCRAM, "EXTERNAL"])
@pytest.mark.req("RFC3207-6-08", "RFC4422-A-01")
def test_logins_that_tls_takes_part_in(
    shown: ClientCertificate, mode: TLSMode, mechanism: str
) -> None:
    """Bound to the channel as both sides see it; and by the certificate that TLS has verified."""
    external = mechanism == "EXTERNAL"
    right: Credential = External("ann") if external else Login("ann", "secret")
    wrong: Credential = External("bob") if external else Login("ann", "wrong")
    assert logged_in(mode, mechanism, right, shown) == Identity("ann", mechanism=mechanism)
    if external:
        assert logged_in(mode, mechanism, External(), shown) is not None
    with pytest.raises(BadCredentials):
        logged_in(mode, mechanism, wrong, shown)


def test_nothing_of_the_kind_is_offered_in_clear() -> None:
    config = ServerConfig(context=GOOD, authenticator=Known(), auth_in_clear=True)
    offered: list[tuple[str, ...]] = []
    clear = ClientConfig(tls="none")
    converse(config, clear, lambda client: offered.append(client.extensions.mechanisms))
    assert offered == [SCRAM[2:]]
    converse(ServerConfig(context=GOOD, authenticator=Known()), clear, offered_none)


def offered_none(client: Client) -> None:
    assert "AUTH" not in client.extensions


@each_mode
def test_a_certificate_that_is_missing_ends_the_connection(mode: TLSMode) -> None:
    """With TLS 1.3 the client knows only after it has spoken."""
    handler = Watcher()
    with pytest.raises(TransportError) as caught:
        converse(
            serving(mode, context=asking(ssl.CERT_REQUIRED)),
            ClientConfig(tls=mode, verify=TRUST),
            nothing,
            handler=handler,
        )
    assert isinstance(caught.value, TLSFailed)
    assert "CERTIFICATE_REQUIRED" in str(caught.value)
    assert "set certificate" in caught.value.check
    said = ["connect", "hello", "close"] if mode is TLSMode.REQUIRED else ["close"]
    assert handler.said == said, "hello is that in clear"


def test_the_certificate_of_one_who_speaks_for_another_is_not_that_other_s(
    shown: ClientCertificate,
) -> None:
    simulation = Simulation(1)
    options: ServerOptions = {"context": asking(ssl.CERT_REQUIRED), "xclient_from": ["192.0.2.1"]}
    options["authenticator"] = Known()
    simulation.listen(25, Handler(), ServerConfig(**options))

    async def main() -> None:
        config = ClientConfig(tls="required", verify=TRUST, certificate=shown)
        async with await open_client(simulation, NAME, 25, config) as client:
            channel = simulation.conversations[0]
            assert channel._channel.certificate is not None
            assert "EXTERNAL" in client.extensions.mechanisms
            assert (
                await client.command(XClient(XClientAttributes(addr=ip_address("198.51.100.1"))))
            ).positive
            assert channel._channel.certificate is None
            assert "EXTERNAL" not in client.extensions.mechanisms
            assert channel._session.tls is not None, "which handlers still see"

    simulation.run(main())


@each_mode
def test_both_sides_of_a_session_have_the_same_binding(mode: TLSMode) -> None:
    sides: list[dict[str, bytes]] = []
    simulation = converse(
        serving(mode, context=GOOD),
        ClientConfig(tls=mode, verify=TRUST),
        lambda client: sides.append(dict(client._channel.bindings)),
    )
    theirs = simulation.conversations[0]._channel.bindings
    assert sides == [theirs] == [{SERVER_END_POINT: hashlib.sha256(der(LEAF)).digest()}]
    clear = converse(ServerConfig(context=GOOD), ClientConfig(tls="none"), nothing)
    assert not clear.conversations[0]._channel.bindings


# -- the wrong port ------------------------------------------------------------------------------


def hello_of_tls() -> bytes:
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME).do_handshake()
    return outgoing.read()


@each_seed
def test_tls_on_a_plain_port_is_named_and_no_command(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    simulation, handler, lines = Simulation(seed), Watcher(), list[str]()
    config = ServerConfig(context=GOOD, trace=lambda who, line: lines.append(f"{who}: {line}"))
    simulation.listen(25, handler, config)
    got = b""

    async def main() -> None:
        nonlocal got
        stream = await simulation.dial(NAME, 25, None)
        await stream.write(hello_of_tls() + b"\r\nNOOP\r\n", None)
        while octets := await stream.read(None):
            got += octets

    with caplog.at_level(logging.INFO, "smtpproto.server"):
        simulation.run(main())
    assert got == b"220 localhost ESMTP ready\r\n"
    assert lines == ["S: 220 localhost ESMTP ready"]
    assert handler.said == ["connect", "close"]
    assert "broke: the client speaks TLS here" in caplog.text
    assert "Traceback" not in caplog.text


@each_seed
@pytest.mark.parametrize("line", [b"EHLO client.example\r\n", b"QUIT\r\n"])
def test_smtp_in_clear_on_a_port_for_tls_is_named(
    seed: int, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    simulation, handler = Simulation(seed), Watcher()
    simulation.listen(465, handler, ServerConfig(context=GOOD, implicit_tls=True))

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        await stream.write(line, None)
        assert await stream.read(None) == b""

    with caplog.at_level(logging.INFO, "smtpproto.server"):
        simulation.run(main())
    assert handler.said == ["close"]
    assert "the client speaks plain SMTP here" in caplog.text


@each_seed
def test_our_own_clients_at_the_wrong_port(seed: int) -> None:
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here"):
        converse(ServerConfig(), ClientConfig(tls="implicit"), nothing, seed=seed)


# -- ends ----------------------------------------------------------------------------------------


async def until_end(stream: SimulatedStream) -> None:
    """Read to the end of the connection: nothing is said, but perhaps an alert of TLS."""
    got = b""
    while octets := await stream.read(None):
        got += octets
    assert got[:3] in (b"", b"\x15\x03\x03") and len(got) in (0, 7)


def silent(mode: TLSMode, timeouts: Timeouts, end: Callable[[Simulation], None]) -> list[str]:
    """A client that says nothing where its handshake is due, until *end* or a time-out."""
    simulation, handler = Simulation(1), Watcher()
    simulation.listen(25, handler, serving(mode, context=GOOD, timeouts=timeouts))

    async def main() -> None:
        stream = await simulation.dial(NAME, 25, None)
        if mode is TLSMode.REQUIRED:
            await stream.write(b"EHLO c.example\r\nSTARTTLS\r\n", None)
            got = b""
            while b"220 2.0.0" not in got or not got.endswith(b"\r\n"):
                got += await stream.read(None)
        await simulation.sleep(1)  # of the simulation: the server waits by now
        end(simulation)
        await until_end(stream)

    simulation.run(main())
    return handler.said


@each_mode
def test_a_handshake_that_stalls_is_not_waited_for_for_ever(mode: TLSMode) -> None:
    assert silent(mode, Timeouts(tls=5), lambda _: None)[-1] == "close"


@each_mode
def test_stopping_ends_a_handshake(mode: TLSMode) -> None:
    """Without time-outs: else nothing would ever end it."""
    never = Timeouts(tls=None, command=None)
    stop = silent(mode, never, lambda simulation: simulation.conversations[0].stop())
    assert stop[-1] == "close"


def test_a_server_that_stops_as_the_handshake_begins() -> None:
    simulation = Simulation(1)
    simulation.listen(
        465, Handler(), ServerConfig(context=GOOD, implicit_tls=True, timeouts=Timeouts(tls=None))
    )

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        simulation.conversations[0].stop()
        await until_end(stream)

    simulation.run(main())


def test_a_configuration_without_a_context() -> None:
    with pytest.raises(ValueError, match="need a context"):
        ServerConfig(implicit_tls=True)
