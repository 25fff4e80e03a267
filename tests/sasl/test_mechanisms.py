"""What holds for all of them."""

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
    Anonymous,
    Authenticator,
    BearerToken,
    Channel,
    Credential,
    Denied,
    External,
    Identity,
    Login,
    ServerExchange,
    TokenClaim,
    offers,
    usable,
)

from .parties import CERTIFICATE, Users, channel, client, end, outcome, server

WHERE = channel(host="mx.example.org", port=587, certificate=CERTIFICATE)


class Careful(Users):
    """Looks at what a token was meant for."""

    def check_token(self, claim: TokenClaim) -> str | None:
        told = (claim.host, claim.port)
        good = told in ((WHERE.host, WHERE.port), ("", 0)) and claim.token == Secret("secret")
        return "ann" if good else None


def users() -> Users:
    return Careful(certificates={CERTIFICATE: "ann"}, anonymous=True)


CREDENTIALS: dict[str, Credential] = {
    "CRAM-MD5": Login("ann", "secret"),
    "PLAIN": Login("ann", "secret"),
    "LOGIN": Login("ann", "secret"),
    "OAUTHBEARER": BearerToken("ann", "secret"),
    "XOAUTH2": BearerToken("ann", "secret"),
    "EXTERNAL": External(),
    "ANONYMOUS": Anonymous("trace"),
}
SECRETS = [name for name in CREDENTIALS if name not in ("EXTERNAL", "ANONYMOUS")]


def test_the_order() -> None:
    ours = [mechanism.name for mechanism in MECHANISMS if not mechanism.name.startswith("SCRAM")]
    assert ours == list(CREDENTIALS)
    assert set(CREDENTIALS) <= set(offers(users(), WHERE))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_one_of_each(name: str) -> None:
    said = outcome(client(name, CREDENTIALS[name], WHERE), server(name, users(), WHERE))
    assert said == Identity("anonymous" if name == "ANONYMOUS" else "ann", "", name)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_takes_its_kind_of_credential(name: str) -> None:
    for other, credential in CREDENTIALS.items():
        fits = BY_NAME[other].takes is BY_NAME[name].takes
        assert bool(usable(credential, [name], WHERE)) == fits
        assert usable(credential, [name], WHERE, allowed=["PLAIN-CLIENTTOKEN"]) == ()


def repeatable() -> Channel:
    """A channel on which the same is said each time."""
    return channel(random=lambda size: b"\1" * size, host=WHERE.host, port=WHERE.port)


def started(name: str) -> ServerExchange:
    exchange = server(name, users(), repeatable())
    if BY_NAME[name].server_first:
        run(exchange.step(None))
    return exchange


def responses(name: str) -> list[bytes]:
    """What a client says that knows the secret."""
    ours, theirs = client(name, CREDENTIALS[name], WHERE), server(name, users(), repeatable())
    said, spoken = run(theirs.step(response := ours.initial())), [response]
    while isinstance(said, bytes):
        spoken.append(ours.step(said))
        said = run(theirs.step(spoken[-1]))
    assert isinstance(said, Identity)
    return [response.reveal() for response in spoken if response is not None]


def meaning(name: str, message: bytes) -> bytes:
    """*message* with what may be written in more ways than one written in one (RFC 7628 3.1)."""
    if "AUTH" not in name:
        return message
    return re.sub(rb"(?i)bearer +", b"bearer ", re.sub(rb"^y,", b"n,", message))


@given(st.data())
@pytest.mark.parametrize("name", SECRETS)
def test_with_one_octet_changed_nobody_comes_in(name: str, data: st.DataObject) -> None:
    """Or with one more, or one less. Only our error escapes."""
    spoken = responses(name)
    assert isinstance(end(started(name), spoken), Identity)
    which = data.draw(st.integers(0, len(spoken) - 1))
    message = spoken[which]
    start = data.draw(st.integers(0, len(message)))
    stop = data.draw(st.sampled_from([start, start + 1]))
    spoken[which] = message[:start] + data.draw(st.binary(max_size=1)) + message[stop:]
    assume(meaning(name, spoken[which]) != meaning(name, message))
    assert not isinstance(end(started(name), spoken), Identity)


@given(st.lists(st.binary() | st.sampled_from([b"ann", b"\0", b"\1", b" ", b"="]), max_size=4))
@pytest.mark.parametrize("name", SECRETS)
def test_who_knows_nothing_does_not_come_in(name: str, said: list[bytes]) -> None:
    assert not isinstance(end(started(name), said), Identity)


@given(st.lists(st.binary(), max_size=4))
@pytest.mark.parametrize("name", CREDENTIALS)
def test_only_our_error_escapes_to_a_client(name: str, challenges: list[bytes]) -> None:
    exchange = client(name, CREDENTIALS[name], WHERE)
    exchange.initial()
    try:
        for challenge in challenges:
            assert isinstance(exchange.step(challenge), Secret)
        exchange.finish()
    except RemoteProtocolError as error:
        assert "secret" not in str(error)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_no_secret_is_shown(name: str) -> None:
    credential = CREDENTIALS[name]
    ours, theirs = client(name, credential, WHERE), server(name, users(), repeatable())
    shown = [repr(credential), repr(ours), repr(theirs), repr(ours.initial())]
    outcome(ours, theirs)
    shown += [repr(ours), repr(theirs)]
    for text in shown:
        assert "secret" not in text and "\1" not in text


@pytest.mark.parametrize("name", SECRETS)
def test_why_a_login_failed_shows_no_secret(name: str) -> None:
    wrong = BearerToken("ann", "wr0ng") if "AUTH" in name else Login("ann", "wr0ng")
    said = outcome(client(name, wrong, WHERE), server(name, users(), WHERE))
    assert isinstance(said, Denied) and "wr0ng" not in said.reason


@pytest.mark.parametrize("name", [name for name in SECRETS if name != "CRAM-MD5"])
def test_an_error_shows_no_secret(name: str) -> None:
    theirs = server(name, users(), WHERE)
    with pytest.raises(GrammarError) as caught:
        run(theirs.step(Secret(b"wr0ng\0\xff\0\0\1")))
    assert "wr0ng" not in str(caught.value)


def test_verifiers_may_be_asynchronous() -> None:
    class Waits(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            return (username, password) == ("ann", Secret("secret"))

        async def shared_secret(self, username: str) -> Secret | None:
            return Secret("secret") if username == "ann" else None

        async def check_token(self, claim: TokenClaim) -> str | None:
            return "ann" if claim.token == Secret("secret") else None

        async def certificate_user(self, certificate: bytes) -> str | None:
            return "ann" if certificate == CERTIFICATE else None

        async def allow_anonymous(self, trace: str) -> bool:
            return trace == "trace"

    for name, credential in CREDENTIALS.items():
        ours = client(name, credential, WHERE)
        assert isinstance(outcome(ours, server(name, Waits(), WHERE)), Identity)
