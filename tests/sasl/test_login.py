"""LOGIN (draft-murchison-sasl-login)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Denied, Identity, Login, usable
from smtpproto.sasl.prepare import saslprep

from .exchanges import (
    NAMES,
    SOFT_HYPHEN,
    Users,
    log_in,
    make_channel,
    make_client,
    make_server,
    step,
)

ANN = Login("ann", "secret")


@given(NAMES, NAMES)
def test_any_user_name_and_password_log_in_by_login(name: str, password: str) -> None:
    users = Users({saslprep(name): saslprep(password)})
    result = log_in(make_client("LOGIN", Login(name, password)), make_server("LOGIN", users))
    assert result == Identity(saslprep(name), "", "LOGIN")


@pytest.mark.req("SASL-LOGIN-04")
@given(st.binary(), st.binary(), st.binary())
def test_the_client_answers_any_two_prompts_and_refuses_a_third(
    first: bytes, second: bytes, third: bytes
) -> None:
    client = make_client("LOGIN", ANN)
    assert client.initial() is None
    assert client.step(first) == Secret("ann")
    assert client.step(second) == Secret("secret")
    with pytest.raises(RemoteProtocolError):
        client.step(third)


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
def test_the_client_answers_the_prompts_of_known_servers(prompts: tuple[bytes, bytes]) -> None:
    client = make_client("LOGIN", ANN)
    assert [client.step(prompt) for prompt in prompts] == [Secret("ann"), Secret("secret")]


def test_the_server_asks_for_user_name_and_password() -> None:
    server = make_server("LOGIN", Users())
    assert step(server, None) == b"Username:"
    assert step(server, "ann") == b"Password:"
    assert step(server, "secret") == Identity("ann", "", "LOGIN")


def test_an_initial_response_is_the_user_name() -> None:
    server = make_server("LOGIN", Users())
    assert step(server, f"a{SOFT_HYPHEN}nn") == b"Password:"
    assert step(server, f"sec{SOFT_HYPHEN}ret") == Identity("ann", "", "LOGIN")


@pytest.mark.parametrize("responses", [("ann", "wrong"), ("bob", "secret"), ("secret", "ann")])
def test_a_wrong_name_or_password_is_denied(responses: tuple[str, str]) -> None:
    server = make_server("LOGIN", Users())
    assert step(server, responses[0]) == b"Password:"
    assert isinstance(step(server, responses[1]), Denied)


@pytest.mark.parametrize("response", [b"", b"\xff", b"a\0b", b"\x07", SOFT_HYPHEN.encode()])
def test_the_server_refuses_a_response_that_cannot_be_prepared(response: bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(make_server("LOGIN", users), response)
    server = make_server("LOGIN", users)
    step(server, b"ann")
    with pytest.raises(GrammarError):
        step(server, response)
    assert users.calls == []


@pytest.mark.parametrize(
    "login",
    [Login("", "x"), Login("ann", ""), Login("a\0nn", "x"), Login("ann", "x", "bob")],
    ids=["no name", "no password", "NUL", "authzid"],
)
def test_the_client_refuses_a_login_that_login_cannot_carry(login: Login) -> None:
    with pytest.raises(GrammarError):
        make_client("LOGIN", login)


def test_login_is_the_last_choice_and_is_not_used_to_act_as_another_user() -> None:
    names = [row.name for row in usable(ANN, ["LOGIN", "PLAIN", "CRAM-MD5"], make_channel())]
    assert names == ["CRAM-MD5", "PLAIN", "LOGIN"]
    for_bob = Login("ann", "secret", "bob")
    names = [row.name for row in usable(for_bob, ["LOGIN", "PLAIN", "CRAM-MD5"], make_channel())]
    assert names == ["PLAIN"]
