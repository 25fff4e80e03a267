"""SCRAM in SMTP's lines (RFC 4954 4): 334 with base64, empty lines, 235 and 535."""

from __future__ import annotations

from base64 import b64encode

import pytest
from attrs import define, evolve, field

from smtpproto import (
    BadCredentials,
    Client,
    ClientConfig,
    Handler,
    Identity,
    Limits,
    LoginRefused,
    RemoteProtocolError,
    Reply,
    ScramKeys,
    ServerConfig,
    Session,
    SMTPError,
    StoredKeys,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.grammar.xtext import decode_base64
from smtpproto.sasl import Channel, scram
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation

# RFC 7677 3
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
NONCES = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
BOTH = "".join(NONCES)
FIRST = f"n,,n=user,r={NONCES[0]}"
SERVER_FIRST = f"r={BOTH},s={SALT},i=4096"
FINAL = f"c=biws,r={BOTH},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
USERS = {
    "user": [
        ScramKeys.derive(
            "pencil", salt=decode_base64(SALT.encode()), iterations=4096, hash_name=name
        )
        for name in ("SHA-256", "SHA-1")
    ]
}
ALL = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]
FAILED = "S: 535 5.7.8 Authentication credentials invalid"
YES = "S: 235 2.7.0 Authentication successful"


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.fixture
def known_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of RFC 7677, the client's or the server's as they are asked for."""

    def nonce(channel: Channel) -> str:
        return NONCES[channel.host == "localhost"]

    monkeypatch.setattr(scram, "fresh_nonce", nonce)


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides have the same to bind to, as TLS gives it."""
    for kind in (Client, Conversation):
        of_kind: property = kind.__dict__["_channel"]

        def channel(self: object, was: property = of_kind) -> Channel:
            known: Channel = was.__get__(self)
            return evolve(known, bindings={"tls-exporter": b"exported"})

        monkeypatch.setattr(kind, "_channel", property(channel))


@define(eq=False)
class Guard(Handler):
    """Remembers who logged in."""

    seen: list[Identity] = field(factory=list)

    def login(self, session: Session, identity: Identity) -> Reply | None:
        self.seen.append(identity)
        return None


def config_of(*mechanisms: str) -> ServerConfig:
    return ServerConfig(
        authenticator=StoredKeys(USERS),
        mechanisms=mechanisms,
        auth_in_clear=True,
        limits=Limits(failed_login_delay=0),
    )


def serve(mechanism: str, *lines: str, offered: str = "") -> list[Identity]:
    """Converse with a server as *lines* say, from AUTH on; who has logged in."""
    handler, config = Guard(), config_of(*(offered or mechanism).split())
    hello = [
        "S: 220 localhost ESMTP ready",
        "C: EHLO client.example",
        *(f"S: 250-{line}" for line in keywords(config)),
    ]
    hello[-1] = hello[-1].replace("250-", "250 ")
    stream = ScriptedStream("\n".join([*hello, *lines, "C: QUIT", "S: 221 2.0.0 Bye"]), plays="C")
    run(Conversation(stream, handler, config, Runtime()).run())
    stream.finish()
    return handler.seen


def keywords(config: ServerConfig) -> list[str]:
    """What a server says to EHLO."""
    said: list[str] = []

    class Listening(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            said.extend(data.decode().split("\r\n")[:-1])

    stream = Listening("C: EHLO client.example", plays="C")
    run(Conversation(stream, Guard(), config, Runtime()).run())
    return [line[4:] for line in said if line.startswith("250")]


@pytest.mark.req("RFC5802-5-03")
@pytest.mark.usefixtures("known_nonces")
def test_the_server_s_lines() -> None:
    seen = serve(
        "SCRAM-SHA-256",
        f"C: AUTH SCRAM-SHA-256 {base64(FIRST)}",
        f"S: 334 {base64(SERVER_FIRST)}",
        f"C: {base64(FINAL)}",
        f"S: 334 {base64(SERVER_FINAL)}",
        "C: ",
        YES,
    )
    assert seen == [Identity("user", mechanism="SCRAM-SHA-256")]


@pytest.mark.usefixtures("known_nonces")
def test_a_client_without_initial_response() -> None:
    seen = serve(
        "SCRAM-SHA-256",
        "C: AUTH SCRAM-SHA-256",
        "S: 334 ",
        f"C: {base64(FIRST)}",
        f"S: 334 {base64(SERVER_FIRST)}",
        f"C: {base64(FINAL)}",
        f"S: 334 {base64(SERVER_FINAL)}",
        "C: *",
        "S: 501 5.7.0 Authentication cancelled",
    )
    assert seen == []  # who cancels even now is not in


@pytest.mark.req("RFC5802-5-01", "RFC5802-5.1-02")
@pytest.mark.usefixtures("known_nonces")
def test_first_messages_that_fail() -> None:
    fail = ["x,,n=u,r=n", "n,,n=a=2Xb,r=n", "n,,n=a=,r=n", "n,,m=x,n=u,r=n", ",,n=u,r=n"]
    for first in fail:
        assert serve("SCRAM-SHA-256", f"C: AUTH SCRAM-SHA-256 {base64(first)}", FAILED) == []


@pytest.mark.req("RFC5802-5-01")
@pytest.mark.usefixtures("known_nonces", "bound")
def test_first_messages_that_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = f"S: 334 {base64(f'r=n{NONCES[1]},s={SALT},i=4096')}"
    cancel = "C: *", "S: 501 5.7.0 Authentication cancelled"
    for header, mechanism in (("n,,", ALL[2]), ("p=tls-exporter,,", ALL[0])):
        first = base64(f"{header}n=user,r=n")
        assert serve(mechanism, f"C: AUTH {mechanism} {first}", challenge, *cancel) == []
    monkeypatch.undo()
    monkeypatch.setattr(scram, "fresh_nonce", lambda channel: NONCES[1])
    first = base64("y,,n=user,r=n")
    assert serve(ALL[2], f"C: AUTH {ALL[2]} {first}", challenge, *cancel) == []


@pytest.mark.req("RFC5802-6-02")
@pytest.mark.usefixtures("bound")
def test_an_offer_that_was_changed() -> None:
    for mechanism in ALL:
        said = f"C: AUTH {mechanism} {base64('y,,n=user,r=n')}"
        assert serve(mechanism, said, FAILED, offered=" ".join(ALL)) == []


@pytest.mark.req("RFC5802-6-03")
@pytest.mark.usefixtures("bound")
def test_bindings_that_are_not_known() -> None:
    for mechanism in ALL:
        for name in ("unknown", "tls-unique"):
            said = f"C: AUTH {mechanism} {base64(f'p={name},,n=user,r=n')}"
            assert serve(mechanism, said, FAILED) == []


@pytest.mark.req("RFC5802-6-04")
@pytest.mark.usefixtures("bound")
def test_what_is_offered_with_a_binding() -> None:
    """Both; or -PLUS alone, if nothing else can succeed."""
    assert f"AUTH {' '.join(ALL)} PLAIN" in keywords(config_of(*ALL, "PLAIN"))
    assert "AUTH SCRAM-SHA-256-PLUS" in keywords(config_of("SCRAM-SHA-256-PLUS"))


def test_what_is_offered_without_one() -> None:
    assert "AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN" in keywords(config_of(*ALL, "PLAIN"))


# -- the client ------------------------------------------------------------------------------

BEGIN = (
    "S: 220 mx.example.org ESMTP",
    "C: EHLO [127.0.0.1]",
    "S: 250-mx.example.org",
    "S: 250 AUTH PLAIN SCRAM-SHA-256",
    f"C: AUTH SCRAM-SHA-256 {base64(FIRST)}",
    f"S: 334 {base64(SERVER_FIRST)}",
    f"C: {base64(FINAL)}",
)
END = "C: QUIT", "S: 221 bye"


def log_in(*lines: str, end: tuple[str, ...] = END) -> None:
    """Log in to a server that says *lines*, and quit."""
    stream = ScriptedStream("\n".join([*lines, *end]))
    config = ClientConfig(login=("user", "pencil"), login_in_clear=True, tls=TLSMode.NONE)

    async def main() -> None:
        async with await start_client(Runtime(), stream, "mx.example.org", config, TLSMode.NONE):
            pass

    try:
        run(main())
    finally:
        stream.finish()


@pytest.mark.req("RFC5802-5-03")
@pytest.mark.usefixtures("known_nonces")
def test_the_client_s_lines() -> None:
    log_in(*BEGIN, f"S: 334 {base64(SERVER_FINAL)}", "C: ", "S: 235 ok")


@pytest.mark.req("RFC5802-5-02")
@pytest.mark.usefixtures("known_nonces")
@pytest.mark.parametrize(
    "lines",
    [
        (f"S: 334 {base64('v=' + 'A' * 43 + '=')}", "C: *", "S: 501 cancelled"),
        (f"S: 334 {base64('v=' + 'A' * 43 + '=')}", "C: *", "S: 235 come in all the same"),
        ("S: 235 come in",),
        (f"S: 334 {base64('e=other-error')}", "C: ", "S: 235 come in all the same"),
    ],
    ids=["forged", "forged, and a yes", "missing", "an error"],
)
def test_a_server_that_does_not_prove_itself(lines: tuple[str, ...]) -> None:
    """A yes that was not earned ends the conversation: not even QUIT is sent to who said it."""
    end = () if "235" in lines[-1] else END
    with pytest.raises(RemoteProtocolError):
        log_in(*BEGIN, *lines, end=end)


@pytest.mark.usefixtures("known_nonces")
@pytest.mark.parametrize("error", ["invalid-proof", "unknown-user", "other-error"])
def test_a_server_that_says_why(error: str) -> None:
    said = f"S: 334 {base64(f'e={error}')}", "C: ", "S: 535 5.7.8 no"
    with pytest.raises(BadCredentials) as caught:
        log_in(*BEGIN, *said)
    assert caught.value.details == {"scram-error": error}
    assert caught.value.command == "AUTH SCRAM-SHA-256"


@pytest.mark.usefixtures("known_nonces")
def test_a_server_that_does_not_say_why() -> None:
    with pytest.raises(BadCredentials) as caught:
        log_in(*BEGIN, "S: 535 5.7.8 no")
    assert caught.value.details == {}


@pytest.mark.usefixtures("known_nonces")
@pytest.mark.parametrize("iterations", ["1", "1000000000", "04096"])
def test_iterations_that_are_not_computed(iterations: str) -> None:
    said = f"S: 334 {base64(f'r={BOTH},s={SALT},i={iterations}')}", "C: *", "S: 501 cancelled"
    with pytest.raises(RemoteProtocolError):
        log_in(*BEGIN[:5], *said)


# -- both ------------------------------------------------------------------------------------


def simulate(seed: int, mechanism: str, password: str, cut_at: int | None = None) -> Guard:
    """A client logs in to a server and quits."""
    simulation, handler = Simulation(seed, cut_at=cut_at), Guard()
    simulation.listen(587, handler, config_of(mechanism))
    config = ClientConfig(
        login=("user", password), mechanisms=[mechanism], login_in_clear=True, tls=TLSMode.NONE
    )

    async def main() -> None:
        async with await open_client(simulation, "mx.example", 587, config):
            pass

    try:
        simulation.run(main())
    finally:
        assert handler.seen in ([], [Identity("user", mechanism=mechanism)])
    return handler


@pytest.mark.parametrize("mechanism", ALL)
@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_login(mechanism: str, seed: int, request: pytest.FixtureRequest) -> None:
    if mechanism.endswith("-PLUS"):
        request.getfixturevalue("bound")
    assert simulate(seed, mechanism, "pencil").seen
    with pytest.raises(LoginRefused) as caught:
        simulate(seed, mechanism, "pen")
    assert caught.value.reply.code == 535
    for cut_at in range(4, 14):
        try:
            simulate(seed, mechanism, "pencil", cut_at)
        except SMTPError as error:
            assert not isinstance(error, BadCredentials)
