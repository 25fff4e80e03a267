"""SCRAM in SMTP: our server, our client, and our client against our server (RFC 4954 4)."""

from __future__ import annotations

import pytest
from attrs import evolve

from smtpproto import (
    BadCredentials,
    Client,
    ClientConfig,
    Identity,
    Limits,
    LoginRefused,
    RemoteProtocolError,
    ScramKeys,
    ServerConfig,
    SMTPError,
    StoredKeys,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.grammar.xtext import decode_base64
from smtpproto.sasl import Channel, scram
from smtpproto.server.conversation import Conversation
from smtpproto.server.dialogue import Dialogue
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation
from tests.support.logins import LoginRecorder, base64

# The example of RFC 7677 3.
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
MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]
REFUSED = "S: 535 5.7.8 Authentication credentials invalid"
ACCEPTED = "S: 235 2.7.0 Authentication successful"


@pytest.fixture
def known_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides use the nonces of RFC 7677."""

    def nonce(channel: Channel) -> str:
        return NONCES[channel.host == "localhost"]

    monkeypatch.setattr(scram, "fresh_nonce", nonce)


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides have the same channel binding, as under TLS."""
    for kind in (Client, Dialogue):
        of_kind: property = kind.__dict__["_channel"]

        def channel(self: object, was: property = of_kind) -> Channel:
            known: Channel = was.__get__(self)
            return evolve(known, bindings={"tls-exporter": b"exported"})

        monkeypatch.setattr(kind, "_channel", property(channel))


def config_of(*mechanisms: str) -> ServerConfig:
    return ServerConfig(
        authenticator=StoredKeys(USERS),
        mechanisms=mechanisms,
        auth_in_clear=True,
        limits=Limits(failed_login_delay=0),
    )


def serve(mechanism: str, *lines: str, offered: str = "") -> list[Identity]:
    """Play *lines* with a server, from AUTH on, and return the identities that logged in."""
    handler, config = LoginRecorder(), config_of(*(offered or mechanism).split())
    hello = [
        "S: 220 localhost ESMTP ready",
        "C: EHLO client.example",
        *(f"S: 250-{line}" for line in keywords(config)),
    ]
    hello[-1] = hello[-1].replace("250-", "250 ")
    stream = ScriptedStream(
        "\n".join(
            [
                *hello,
                *lines,
                "C: QUIT",
                "S: 221 2.0.0 localhost Service closing transmission channel",
            ]
        ),
        plays="C",
    )
    run(Conversation(stream, handler, config, Runtime()).run())
    stream.finish()
    return handler.identities


def keywords(config: ServerConfig) -> list[str]:
    """Return the lines of a server's reply to EHLO."""
    replies: list[str] = []

    class RecordingStream(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            replies.extend(data.decode().split("\r\n")[:-1])

    stream = RecordingStream("C: EHLO client.example", plays="C")
    run(Conversation(stream, LoginRecorder(), config, Runtime()).run())
    return [line[4:] for line in replies if line.startswith("250")]


@pytest.mark.req("RFC5802-5-03")
@pytest.mark.usefixtures("known_nonces")
def test_the_server_sends_its_messages_in_334_and_then_235() -> None:
    identities = serve(
        "SCRAM-SHA-256",
        f"C: AUTH SCRAM-SHA-256 {base64(FIRST)}",
        f"S: 334 {base64(SERVER_FIRST)}",
        f"C: {base64(FINAL)}",
        f"S: 334 {base64(SERVER_FINAL)}",
        "C: ",
        ACCEPTED,
    )
    assert identities == [Identity("user", mechanism="SCRAM-SHA-256")]


@pytest.mark.usefixtures("known_nonces")
def test_a_client_without_an_initial_response_gets_an_empty_challenge() -> None:
    identities = serve(
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
    assert identities == []  # the client may cancel even now


@pytest.mark.req("RFC5802-5-01", "RFC5802-5.1-02")
@pytest.mark.usefixtures("known_nonces")
def test_invalid_first_messages_are_refused_with_535() -> None:
    fail = ["x,,n=u,r=n", "n,,n=a=2Xb,r=n", "n,,n=a=,r=n", "n,,m=x,n=u,r=n", ",,n=u,r=n"]
    for first in fail:
        assert serve("SCRAM-SHA-256", f"C: AUTH SCRAM-SHA-256 {base64(first)}", REFUSED) == []


@pytest.mark.req("RFC5802-5-01")
@pytest.mark.usefixtures("known_nonces", "bound")
def test_each_gs2_header_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = f"S: 334 {base64(f'r=n{NONCES[1]},s={SALT},i=4096')}"
    cancel = "C: *", "S: 501 5.7.0 Authentication cancelled"
    for header, mechanism in (("n,,", MECHANISMS[2]), ("p=tls-exporter,,", MECHANISMS[0])):
        first = base64(f"{header}n=user,r=n")
        assert serve(mechanism, f"C: AUTH {mechanism} {first}", challenge, *cancel) == []
    monkeypatch.undo()
    monkeypatch.setattr(scram, "fresh_nonce", lambda channel: NONCES[1])
    first = base64("y,,n=user,r=n")
    assert serve(MECHANISMS[2], f"C: AUTH {MECHANISMS[2]} {first}", challenge, *cancel) == []


@pytest.mark.req("RFC5802-6-02")
@pytest.mark.usefixtures("bound")
def test_the_server_refuses_a_client_that_saw_no_plus_in_its_offer() -> None:
    for mechanism in MECHANISMS:
        command = f"C: AUTH {mechanism} {base64('y,,n=user,r=n')}"
        assert serve(mechanism, command, REFUSED, offered=" ".join(MECHANISMS)) == []


@pytest.mark.req("RFC5802-6-03")
@pytest.mark.usefixtures("bound")
def test_unknown_channel_bindings_are_refused() -> None:
    for mechanism in MECHANISMS:
        for name in ("unknown", "tls-unique"):
            command = f"C: AUTH {mechanism} {base64(f'p={name},,n=user,r=n')}"
            assert serve(mechanism, command, REFUSED) == []


@pytest.mark.req("RFC5802-6-04")
@pytest.mark.usefixtures("bound")
def test_with_a_binding_the_plus_mechanisms_are_offered() -> None:
    """With the others, or alone if the server has no other mechanism."""
    assert f"AUTH {' '.join(MECHANISMS)} PLAIN" in keywords(config_of(*MECHANISMS, "PLAIN"))
    assert "AUTH SCRAM-SHA-256-PLUS" in keywords(config_of("SCRAM-SHA-256-PLUS"))


def test_without_a_binding_no_plus_mechanism_is_offered() -> None:
    assert "AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN" in keywords(config_of(*MECHANISMS, "PLAIN"))


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
    """Log in to the server of *lines*, and quit."""
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
def test_the_client_answers_the_server_signature_with_an_empty_line() -> None:
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
    ids=["forged", "forged, then 235", "missing", "error, then 235"],
)
def test_a_server_without_a_valid_signature_raises_remote_protocol_error(
    lines: tuple[str, ...],
) -> None:
    """After a 235 without proof the client closes the connection without QUIT."""
    end = () if "235" in lines[-1] else END
    with pytest.raises(RemoteProtocolError):
        log_in(*BEGIN, *lines, end=end)


@pytest.mark.req("RFC5802-7-02")
@pytest.mark.usefixtures("known_nonces")
@pytest.mark.parametrize("error", ["invalid-proof", "unknown-user", "other-error"])
def test_the_error_that_the_server_sends_is_in_the_details(error: str) -> None:
    lines = f"S: 334 {base64(f'e={error}')}", "C: ", "S: 535 5.7.8 no"
    with pytest.raises(BadCredentials) as caught:
        log_in(*BEGIN, *lines)
    assert caught.value.details == {"scram-error": error}
    assert caught.value.command == "AUTH SCRAM-SHA-256"


@pytest.mark.usefixtures("known_nonces")
def test_the_details_are_empty_if_the_server_sends_no_error() -> None:
    with pytest.raises(BadCredentials) as caught:
        log_in(*BEGIN, "S: 535 5.7.8 no")
    assert caught.value.details == {}


@pytest.mark.usefixtures("known_nonces")
@pytest.mark.parametrize("iterations", ["1", "1000000000", "04096"])
def test_the_client_refuses_impossible_iteration_counts(iterations: str) -> None:
    lines = f"S: 334 {base64(f'r={BOTH},s={SALT},i={iterations}')}", "C: *", "S: 501 cancelled"
    with pytest.raises(RemoteProtocolError):
        log_in(*BEGIN[:5], *lines)


# -- our client and our server ---------------------------------------------------------------


def simulate(seed: int, mechanism: str, password: str, cut_at: int | None = None) -> LoginRecorder:
    """Log in to a server and quit."""
    simulation, handler = Simulation(seed, cut_at=cut_at), LoginRecorder()
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
        assert handler.identities in ([], [Identity("user", mechanism=mechanism)])
    return handler


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("seed", range(5))
def test_our_client_logs_in_to_our_server_and_no_fault_looks_like_a_wrong_password(
    mechanism: str, seed: int, request: pytest.FixtureRequest
) -> None:
    if mechanism.endswith("-PLUS"):
        request.getfixturevalue("bound")
    assert simulate(seed, mechanism, "pencil").identities
    with pytest.raises(LoginRefused) as caught:
        simulate(seed, mechanism, "pen")
    assert caught.value.reply.code == 535
    for cut_at in range(4, 14):
        try:
            simulate(seed, mechanism, "pencil", cut_at)
        except SMTPError as error:
            assert not isinstance(error, BadCredentials)
