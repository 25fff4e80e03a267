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

from .exchanges import NAMES, Users, log_in, make_channel, make_client, make_server, step

CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
RESPONSE = b"tim b913a602c7eda7a495b4e6e7334d3890"
TIM = Login("tim", "tanstaaftanstaaf")
MESSAGE_ID = re.compile(rb"<\d+\.\d+@[a-z0-9.-]+>")


def response_to(challenge: bytes, name: str, secret: str) -> str:
    return f"{name} {hmac.new(secret.encode(), challenge, 'md5').hexdigest()}"


def challenged(
    users: Authenticator, channel: Channel | None = None
) -> tuple[bytes, ServerExchange]:
    """Return the challenge of a new exchange, and the server's side."""
    server = make_server("CRAM-MD5", users, channel)
    challenge = step(server, None)
    assert isinstance(challenge, bytes)
    return challenge, server


@pytest.mark.req(
    "RFC2195-2-02/client", "RFC2195-2-02/server", "RFC4954-4-31/client", "RFC4954-4-31/server"
)
def test_both_sides_reproduce_the_example_of_rfc_2195() -> None:
    client = make_client("CRAM-MD5", TIM)
    assert client.initial() is None
    assert client.step(CHALLENGE) == Secret(RESPONSE)
    channel = make_channel(
        random=lambda size: (1896).to_bytes(size, "big"),
        now=697170952.7,
        host="postoffice.reston.mci.net",
    )
    server = make_server("CRAM-MD5", Users({"tim": "tanstaaftanstaaf"}), channel)
    assert step(server, None) == CHALLENGE
    assert step(server, RESPONSE) == Identity("tim", "", "CRAM-MD5")


@given(NAMES, NAMES)
def test_any_user_name_and_password_log_in_by_cram_md5(name: str, password: str) -> None:
    users = Users({saslprep(name): saslprep(password)})
    result = log_in(make_client("CRAM-MD5", Login(name, password)), make_server("CRAM-MD5", users))
    assert result == Identity(saslprep(name), "", "CRAM-MD5")


@pytest.mark.req("RFC2195-2-01")
@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("mx.example.org", b"mx.example.org"),
        ("", b"localhost"),
        ("[192.0.2.1]", b"localhost"),
        ("b\u00fccher.example", b"localhost"),
        ("a@b", b"localhost"),
        ("a>b", b"localhost"),
    ],
)
def test_each_challenge_is_a_new_message_id(host: str, sent: bytes) -> None:
    channel = make_channel(random=random.Random(1).randbytes, host=host, now=12.5)
    challenges = {challenged(Users(), channel)[0] for _ in range(100)}
    assert len(challenges) == 100
    for challenge in challenges:
        assert MESSAGE_ID.fullmatch(challenge)
        assert challenge.endswith(b".12@" + sent + b">")


@pytest.mark.req("RFC2195-2-03")
def test_a_user_name_may_contain_spaces() -> None:
    challenge, server = challenged(Users({"joe user": "x"}))
    result = step(server, response_to(challenge, "joe user", "x"))
    assert result == Identity("joe user", "", "CRAM-MD5")


def test_a_response_answers_only_its_own_challenge() -> None:
    channel = make_channel()
    challenge, first = challenged(Users(), channel)
    response = response_to(challenge, "ann", "secret")
    _, second = challenged(Users(), channel)
    assert isinstance(step(second, response), Denied)
    assert step(first, response) == Identity("ann", "", "CRAM-MD5")


@pytest.mark.parametrize(
    ("name", "secret"), [("ann", "wrong"), ("ann", ""), ("bob", "secret"), ("bob", ""), ("eve", "")]
)
def test_a_wrong_secret_an_empty_one_or_an_unknown_user_is_denied(name: str, secret: str) -> None:
    users = Users({"ann": "secret", "eve": ""})
    challenge, server = challenged(users)
    assert isinstance(step(server, response_to(challenge, name, secret)), Denied)
    assert users.calls == [name]


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
def test_a_response_must_be_a_name_and_a_lower_case_digest(change: object) -> None:
    assert callable(change)
    users = Users()
    challenge, server = challenged(users)
    with pytest.raises(GrammarError):
        step(server, change(response_to(challenge, "ann", "secret")))
    assert users.calls == []


@pytest.mark.parametrize(
    "login",
    [
        Login("", "x"),
        Login("ann", ""),
        Login("a\0nn", "x"),
        Login("ann", Secret(b"\xff")),
        Login("ann", "x", "bob"),
    ],
    ids=["no name", "no password", "NUL", "not UTF-8", "authzid"],
)
def test_the_client_refuses_a_login_that_cram_md5_cannot_carry(login: Login) -> None:
    with pytest.raises(GrammarError):
        make_client("CRAM-MD5", login)


def test_the_client_answers_one_challenge_that_is_not_empty() -> None:
    client = make_client("CRAM-MD5", TIM)
    with pytest.raises(RemoteProtocolError):
        client.step(b"")
    client.step(CHALLENGE)
    with pytest.raises(RemoteProtocolError):
        client.step(CHALLENGE)


def test_only_an_authenticator_with_shared_secrets_offers_cram_md5() -> None:
    class Hashes(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            return False

    class Secrets(Authenticator):
        def shared_secret(self, username: str) -> None: ...

    assert offers(Authenticator(), make_channel()) == ()
    assert "CRAM-MD5" not in offers(Hashes(), make_channel())
    assert offers(Secrets(), make_channel()) == ("CRAM-MD5",)
