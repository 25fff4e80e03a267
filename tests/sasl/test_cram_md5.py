"""CRAM-MD5 (RFC 2195)."""

from __future__ import annotations

import hmac
import random
import re

import pytest
from hypothesis import given

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Channel, Denied, Identity, Login, ServerExchange, offers
from smtpproto.sasl.prepare import saslprep

from .parties import NAMES, Users, channel, client, outcome, server, step

CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
RESPONSE = b"tim b913a602c7eda7a495b4e6e7334d3890"
TIM = Login("tim", "tanstaaftanstaaf")
MSG_ID = re.compile(rb"<\d+\.\d+@[a-z0-9.-]+>")


def signed(name: str, secret: str, challenge: bytes) -> str:
    return f"{name} {hmac.new(secret.encode(), challenge, 'md5').hexdigest()}"


def challenged(users: Authenticator, known: Channel | None = None) -> tuple[bytes, ServerExchange]:
    """A new exchange and its challenge."""
    exchange = server("CRAM-MD5", users, known)
    said = step(exchange, None)
    assert isinstance(said, bytes)
    return said, exchange


@pytest.mark.req("RFC2195-2-02", "RFC4954-4-31")
def test_the_example() -> None:
    exchange = client("CRAM-MD5", TIM)
    assert exchange.initial() is None
    assert exchange.step(CHALLENGE) == Secret(RESPONSE)
    known = channel(
        random=lambda size: (1896).to_bytes(size, "big"),
        now=697170952.7,
        host="postoffice.reston.mci.net",
    )
    theirs = server("CRAM-MD5", Users({"tim": "tanstaaftanstaaf"}), known)
    assert step(theirs, None) == CHALLENGE
    assert step(theirs, RESPONSE) == Identity("tim", "", "CRAM-MD5")


@given(NAMES, NAMES)
def test_what_a_client_says_a_server_understands(name: str, password: str) -> None:
    users = Users({saslprep(name): saslprep(password)})
    said = outcome(client("CRAM-MD5", Login(name, password)), server("CRAM-MD5", users))
    assert said == Identity(saslprep(name), "", "CRAM-MD5")


@pytest.mark.req("RFC2195-2-01")
@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("mx.example.org", b"mx.example.org"),
        ("", b"localhost"),
        ("[192.0.2.1]", b"localhost"),
        ("b\u00fccher.example", b"localhost"),
        ("a@b", b"localhost"),
        ("a>b", b"localhost"),
    ],
)
def test_challenges_are_message_ids_and_never_the_same(host: str, said: bytes) -> None:
    known = channel(random=random.Random(1).randbytes, host=host, now=12.5)
    challenges = {challenged(Users(), known)[0] for _ in range(100)}
    assert len(challenges) == 100
    for challenge in challenges:
        assert MSG_ID.fullmatch(challenge)
        assert challenge.endswith(b".12@" + said + b">")


@pytest.mark.req("RFC2195-2-03")
def test_a_user_name_may_have_spaces() -> None:
    challenge, exchange = challenged(Users({"joe user": "x"}))
    said = step(exchange, signed("joe user", "x", challenge))
    assert said == Identity("joe user", "", "CRAM-MD5")


def test_a_response_is_good_for_one_challenge() -> None:
    known = channel()
    challenge, first = challenged(Users(), known)
    response = signed("ann", "secret", challenge)
    _, second = challenged(Users(), known)
    assert isinstance(step(second, response), Denied)
    assert step(first, response) == Identity("ann", "", "CRAM-MD5")


@pytest.mark.parametrize(
    ("name", "secret"), [("ann", "wrong"), ("ann", ""), ("bob", "secret"), ("bob", ""), ("eve", "")]
)
def test_wrong_ones(name: str, secret: str) -> None:
    """Nobody whose secret is empty, or who is not known, has a digest."""
    users = Users({"ann": "secret", "eve": ""})
    challenge, exchange = challenged(users)
    assert isinstance(step(exchange, signed(name, secret, challenge)), Denied)
    assert users.asked == [name]


@pytest.mark.parametrize(
    "change",
    [
        lambda response: response.upper(),
        lambda response: response.replace(" ", ""),
        lambda response: response[:-1],
        lambda response: response + "0",
        lambda response: response + " ",
        lambda response: response + "\n",
        lambda response: response[3:],
        lambda response: response[4:],
        lambda response: "",
        lambda response: "\x07" + response,
    ],
)
def test_only_a_name_and_a_digest_in_small_letters(change: object) -> None:
    assert callable(change)
    users = Users()
    challenge, exchange = challenged(users)
    with pytest.raises(GrammarError):
        step(exchange, change(signed("ann", "secret", challenge)))
    assert users.asked == []


@pytest.mark.parametrize(
    "login",
    [
        Login("", "x"),
        Login("ann", ""),
        Login("a\0nn", "x"),
        Login("ann", Secret(b"\xff")),
        Login("ann", "x", "bob"),
    ],
)
def test_what_it_cannot_say(login: Login) -> None:
    with pytest.raises(GrammarError):
        client("CRAM-MD5", login)


def test_one_challenge() -> None:
    exchange = client("CRAM-MD5", TIM)
    with pytest.raises(RemoteProtocolError):
        exchange.step(b"")
    exchange.step(CHALLENGE)
    with pytest.raises(RemoteProtocolError):
        exchange.step(CHALLENGE)


def test_only_who_has_shared_secrets_offers_it() -> None:
    class Hashes(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            return False

    class Secrets(Authenticator):
        def shared_secret(self, username: str) -> None: ...

    assert offers(Authenticator(), channel()) == ()
    assert "CRAM-MD5" not in offers(Hashes(), channel())
    assert offers(Secrets(), channel()) == ("CRAM-MD5",)
