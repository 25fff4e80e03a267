"""LOGIN, which no RFC describes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Denied, Identity, Login, usable
from smtpproto.sasl.prepare import saslprep

from .parties import NAMES, SOFT_HYPHEN, Users, channel, client, outcome, server, step

ANN = Login("ann", "secret")


@given(NAMES, NAMES)
def test_what_a_client_says_a_server_understands(name: str, password: str) -> None:
    users = Users({saslprep(name): saslprep(password)})
    said = outcome(client("LOGIN", Login(name, password)), server("LOGIN", users))
    assert said == Identity(saslprep(name), "", "LOGIN")


@pytest.mark.req("SASL-LOGIN-04")
@given(st.binary(), st.binary(), st.binary())
def test_prompts_mean_nothing(first: bytes, second: bytes, third: bytes) -> None:
    exchange = client("LOGIN", ANN)
    assert exchange.initial() is None
    assert exchange.step(first) == Secret("ann")
    assert exchange.step(second) == Secret("secret")
    with pytest.raises(RemoteProtocolError):
        exchange.step(third)


@pytest.mark.req("SASL-LOGIN-04")
@pytest.mark.parametrize(
    "prompts",
    [
        (b"Username:", b"Password:"),
        (b"User Name\0", b"Password\0"),
        (b"", b""),
        (b"Password:",) * 2,
    ],
)
def test_prompts_that_servers_have(prompts: tuple[bytes, bytes]) -> None:
    exchange = client("LOGIN", ANN)
    assert [exchange.step(prompt) for prompt in prompts] == [Secret("ann"), Secret("secret")]


def test_a_server_asks_for_both() -> None:
    exchange = server("LOGIN", Users())
    assert step(exchange, None) == b"Username:"
    assert step(exchange, "ann") == b"Password:"
    assert step(exchange, "secret") == Identity("ann", "", "LOGIN")


def test_an_initial_response_is_the_user_name() -> None:
    exchange = server("LOGIN", Users())
    assert step(exchange, f"a{SOFT_HYPHEN}nn") == b"Password:"
    assert step(exchange, f"sec{SOFT_HYPHEN}ret") == Identity("ann", "", "LOGIN")


@pytest.mark.parametrize("responses", [("ann", "wrong"), ("bob", "secret"), ("secret", "ann")])
def test_wrong_ones(responses: tuple[str, str]) -> None:
    exchange = server("LOGIN", Users())
    assert step(exchange, responses[0]) == b"Password:"
    assert isinstance(step(exchange, responses[1]), Denied)


@pytest.mark.parametrize("bad", [b"", b"\xff", b"a\0b", b"\x07", SOFT_HYPHEN.encode()])
def test_what_cannot_be_prepared_fails(bad: bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(server("LOGIN", users), bad)
    exchange = server("LOGIN", users)
    step(exchange, b"ann")
    with pytest.raises(GrammarError):
        step(exchange, bad)
    assert users.asked == []


@pytest.mark.parametrize(
    "login", [Login("", "x"), Login("ann", ""), Login("a\0nn", "x"), Login("ann", "x", "bob")]
)
def test_what_it_cannot_say(login: Login) -> None:
    with pytest.raises(GrammarError):
        client("LOGIN", login)


def test_it_is_the_last_choice_and_none_for_who_acts_as_another() -> None:
    names = [row.name for row in usable(ANN, ["LOGIN", "PLAIN", "CRAM-MD5"], channel())]
    assert names == ["CRAM-MD5", "PLAIN", "LOGIN"]
    deputy = Login("ann", "secret", "bob")
    names = [row.name for row in usable(deputy, ["LOGIN", "PLAIN", "CRAM-MD5"], channel())]
    assert names == ["PLAIN"]
