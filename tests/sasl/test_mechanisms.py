"""The table of mechanisms, and properties that hold for each of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import (
    BY_NAME,
    MECHANISMS,
    Authenticator,
    BearerToken,
    Channel,
    Denied,
    Identity,
    Login,
    ServerExchange,
    TokenClaim,
    offers,
    usable,
)

from .exchanges import (
    CERTIFICATE,
    CHANNEL,
    CREDENTIALS,
    Users,
    log_in,
    make_channel,
    make_client,
    make_server,
    result_of,
)


class UsersOfThisServer(Users):
    """Accepts a token only if the client dialled this server."""

    def check_token(self, claim: TokenClaim) -> str | None:
        here = (claim.host, claim.port) in ((CHANNEL.host, CHANNEL.port), ("", 0))
        return "ann" if here and claim.token == Secret("secret") else None


def users() -> Users:
    return UsersOfThisServer(certificates={CERTIFICATE: "ann"}, anonymous=True)


WITH_SECRET = [name for name in CREDENTIALS if name not in ("EXTERNAL", "ANONYMOUS")]


# -- the table -----------------------------------------------------------------------------------


def test_mechanisms_other_than_scram_are_listed_strongest_first() -> None:
    names = [mechanism.name for mechanism in MECHANISMS if not mechanism.name.startswith("SCRAM")]
    assert names == list(CREDENTIALS)
    assert set(CREDENTIALS) <= set(offers(users(), CHANNEL))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_mechanism_takes_only_its_kind_of_credential(name: str) -> None:
    for other, credential in CREDENTIALS.items():
        fits = BY_NAME[other].credential_type is BY_NAME[name].credential_type
        assert bool(usable(credential, [name], CHANNEL)) == fits
        assert usable(credential, [name], CHANNEL, allowed=["PLAIN-CLIENTTOKEN"]) == ()


@pytest.mark.parametrize("hashes", [(), ("SHA-256",), ("SHA-1",), ("SHA-256", "SHA-1")])
def test_scram_is_offered_for_the_hashes_that_the_authenticator_names(
    hashes: tuple[str, ...],
) -> None:
    class Keys(Authenticator):
        scram_hashes = hashes

        def scram_keys(self, username: str, hash_name: str) -> None: ...

    assert offers(Keys(), make_channel()) == tuple(f"SCRAM-{name}" for name in hashes)


# -- properties of each mechanism ----------------------------------------------------------------


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_mechanism_logs_in_with_its_credential(name: str) -> None:
    client, server = (
        make_client(name, CREDENTIALS[name], CHANNEL),
        make_server(name, users(), CHANNEL),
    )
    user = "anonymous" if name == "ANONYMOUS" else "ann"
    assert log_in(client, server) == Identity(user, "", name)


@pytest.mark.req("RFC4954-4-08")
@pytest.mark.parametrize("name", [*BY_NAME])
def test_without_an_initial_response_a_mechanism_begins_with_an_empty_challenge(name: str) -> None:
    """But for CRAM-MD5, in which the server speaks first, and LOGIN, which asks for the name."""
    challenge = run(make_server(name, users(), CHANNEL).step(None))
    assert (challenge == b"") == (name not in ("CRAM-MD5", "LOGIN"))


def repeatable() -> Channel:
    """Return a channel on which each exchange has the same messages."""
    return make_channel(random=lambda size: b"\1" * size, host=CHANNEL.host, port=CHANNEL.port)


def started(name: str) -> ServerExchange:
    """Return a server that waits for the client's first response."""
    server = make_server(name, users(), repeatable())
    if BY_NAME[name].server_first:
        run(server.step(None))
    return server


def valid_responses(name: str) -> list[bytes]:
    """Return the responses of a client that knows the secret."""
    client = make_client(name, CREDENTIALS[name], CHANNEL)
    server = make_server(name, users(), repeatable())
    responses = [client.initial()]
    challenge = run(server.step(responses[0]))
    while isinstance(challenge, bytes):
        responses.append(client.step(challenge))
        challenge = run(server.step(responses[-1]))
    assert isinstance(challenge, Identity)
    return [response.reveal() for response in responses if response is not None]


def normalized(name: str, message: bytes) -> bytes:
    """Return *message* in one form where RFC 7628 3.1 allows several."""
    if "AUTH" not in name:
        return message
    return re.sub(rb"(?i)bearer +", b"bearer ", re.sub(rb"^y,", b"n,", message))


@given(st.data())
@pytest.mark.parametrize("name", WITH_SECRET)
def test_a_response_with_one_octet_changed_added_or_removed_fails(
    name: str, data: st.DataObject
) -> None:
    responses = valid_responses(name)
    assert isinstance(result_of(started(name), responses), Identity)
    which = data.draw(st.integers(0, len(responses) - 1))
    message = responses[which]
    start = data.draw(st.integers(0, len(message)))
    stop = data.draw(st.sampled_from([start, start + 1]))
    responses[which] = message[:start] + data.draw(st.binary(max_size=1)) + message[stop:]
    assume(normalized(name, responses[which]) != normalized(name, message))
    assert not isinstance(result_of(started(name), responses), Identity)


@given(st.lists(st.binary() | st.sampled_from([b"ann", b"\0", b"\1", b" ", b"="]), max_size=4))
@pytest.mark.parametrize("name", WITH_SECRET)
def test_random_responses_fail(name: str, responses: list[bytes]) -> None:
    assert not isinstance(result_of(started(name), responses), Identity)


@given(st.lists(st.binary(), max_size=4))
@pytest.mark.parametrize("name", CREDENTIALS)
def test_random_challenges_raise_only_remote_protocol_errors(
    name: str, challenges: list[bytes]
) -> None:
    client = make_client(name, CREDENTIALS[name], CHANNEL)
    client.initial()
    try:
        for challenge in challenges:
            assert isinstance(client.step(challenge), Secret)
        client.finish()
    except RemoteProtocolError as error:
        assert "secret" not in str(error)


# -- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CREDENTIALS)
def test_no_repr_shows_a_secret(name: str) -> None:
    credential = CREDENTIALS[name]
    client = make_client(name, credential, CHANNEL)
    server = make_server(name, users(), repeatable())
    shown = [repr(credential), repr(client), repr(server), repr(client.initial())]
    log_in(client, server)
    shown += [repr(client), repr(server)]
    for text in shown:
        assert "secret" not in text and "\1" not in text


@pytest.mark.parametrize("name", WITH_SECRET)
def test_the_reason_of_a_failed_login_shows_no_secret(name: str) -> None:
    wrong = BearerToken("ann", "wr0ng") if "AUTH" in name else Login("ann", "wr0ng")
    result = log_in(make_client(name, wrong, CHANNEL), make_server(name, users(), CHANNEL))
    assert isinstance(result, Denied) and "wr0ng" not in result.reason


@pytest.mark.parametrize("name", [name for name in WITH_SECRET if name != "CRAM-MD5"])
def test_a_grammar_error_shows_no_secret(name: str) -> None:
    server = make_server(name, users(), CHANNEL)
    with pytest.raises(GrammarError) as caught:
        run(server.step(Secret(b"wr0ng\0\xff\0\0\1")))
    assert "wr0ng" not in str(caught.value)
