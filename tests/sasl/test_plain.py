"""PLAIN (RFC 4616), and SASLprep (RFC 4013) in it, without any SMTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Denied, Identity, Login
from smtpproto.sasl.prepare import saslprep

from .parties import NAMES, SOFT_HYPHEN, Users, client, outcome, server, step


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # the examples of RFC 4013 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("e\u0301", "\u00e9"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\U0001fae0", "\U0001fae0"),  # younger than RFC 3454
        ("", ""),
    ],
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text", ["\x07", "\x7f", "a\0b", "\u0627\u0031", "\u0627a\u0628", "\u200e", "\ue000", "\ufffd"]
)
def test_what_saslprep_prohibits(text: str) -> None:
    with pytest.raises(GrammarError):
        saslprep(text)


@given(st.text())
def test_saslprep_is_done_once(text: str) -> None:
    """Only our error escapes, and what is prepared stays as it is."""
    try:
        prepared = saslprep(text)
    except GrammarError:
        return
    assert saslprep(prepared) == prepared


@given(NAMES, NAMES, st.just("") | NAMES, st.booleans())
def test_what_a_client_says_a_server_understands(
    name: str, password: str, authzid: str, asked: bool
) -> None:
    user, whom = saslprep(name), saslprep(authzid)
    users = Users({user: saslprep(password)}, proxies=[(user, whom)])
    exchange = client("PLAIN", Login(name, password, authzid))
    identity = Identity(user, "" if whom == user else whom, "PLAIN")
    assert outcome(exchange, server("PLAIN", users), asked=asked) == identity


@pytest.mark.req("RFC4616-2-01")
@pytest.mark.parametrize(
    ("authzid", "message"),
    [
        ("", b"\0tim\0tanstaaftanstaaf"),  # the examples of RFC 4616 4
        ("Ursel", b"Ursel\0Kurt\0xipj3plmq"),
    ],
)
def test_the_examples(authzid: str, message: bytes) -> None:
    _, name, password = message.decode().split("\0")
    assert client("PLAIN", Login(name, password, authzid)).initial() == Secret(message)
    users = Users({name: password}, proxies=[("Kurt", "Ursel")])
    assert step(server("PLAIN", users), message) == Identity(name, authzid, "PLAIN")


@pytest.mark.req("RFC4616-2-02")
@pytest.mark.parametrize(
    "login",
    [
        Login("ann\0", "secret"),
        Login("ann", "sec\0ret"),
        Login("ann", Secret(b"\0")),
        Login("ann", "secret", "b\0b"),
    ],
    ids=["user name", "password", "octets", "identity"],
)
def test_no_part_has_a_nul(login: Login) -> None:
    with pytest.raises(GrammarError):
        client("PLAIN", login)


@pytest.mark.parametrize("login", [Login("", "secret"), Login("ann", ""), Login("", "", "bob")])
def test_nothing_is_said_of_an_empty_name_or_password(login: Login) -> None:
    with pytest.raises(GrammarError):
        client("PLAIN", login)


@pytest.mark.req("RFC4616-2-01")
@pytest.mark.parametrize(
    "message",
    [b"", b"secret", b"ann\0secret", b"\0ann\0secret\0", b"\0\0ann\0secret", b"a\0b\0c\0d"],
)
def test_two_nuls_or_nothing(message: bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(server("PLAIN", users), message)
    assert users.asked == []
    assert step(server("PLAIN", users), b"\0ann\0secret") == Identity("ann", "", "PLAIN")


@pytest.mark.req("RFC4616-2-03")
def test_255_octets_each() -> None:
    name, password, authzid = "n" * 255, "p" * 255, "z" * 255
    users = Users({name: password}, proxies=[(name, authzid)])
    exchange = client("PLAIN", Login(name, password, authzid))
    assert outcome(exchange, server("PLAIN", users)) == Identity(name, authzid, "PLAIN")


@pytest.mark.req("RFC4616-2-05")
def test_who_may_act_as_whom_is_asked() -> None:
    users = Users(proxies=[("ann", "bob")])
    assert step(server("PLAIN", users), "bob\0ann\0secret") == Identity("ann", "bob", "PLAIN")
    assert step(server("PLAIN", users), "ann\0ann\0secret") == Identity("ann", "", "PLAIN")
    assert isinstance(step(server("PLAIN", users), "eve\0ann\0secret"), Denied)

    class Usual(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            return True

    assert step(server("PLAIN", Usual()), "\0ann\0secret") == Identity("ann", "", "PLAIN")
    assert isinstance(step(server("PLAIN", Usual()), "bob\0ann\0secret"), Denied)
    assert isinstance(step(server("PLAIN", users), "bob\0ann\0wrong"), Denied)


@pytest.mark.req("RFC4616-2-07", "RFC4954-4-18")
def test_names_and_passwords_are_prepared() -> None:
    users = Users({"ann": "se crIXet"}, proxies=[("ann", "bob")])
    message = f"{SOFT_HYPHEN}bob\0an{SOFT_HYPHEN}n\0se\u00a0cr\u2168et"
    assert step(server("PLAIN", users), message) == Identity("ann", "bob", "PLAIN")
    assert users.asked == [("ann", Secret("se crIXet"))]
    login = Login(f"an{SOFT_HYPHEN}n", "secret", f"bo{SOFT_HYPHEN}b")
    assert client("PLAIN", login).initial() == Secret("bob\0ann\0secret")


@pytest.mark.parametrize(
    "message",
    [
        "\0an\x07n\0secret",
        "\0ann\0\x7f",
        "b\x07b\0ann\0secret",
        f"{SOFT_HYPHEN}\0ann\0secret",
        f"\0{SOFT_HYPHEN}\0secret",
        f"\0ann\0{SOFT_HYPHEN}",
        "\0\u0627a\0secret",
        b"\0ann\0\xff",
    ],
)
def test_what_cannot_be_prepared_fails(message: str | bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(server("PLAIN", users), message)
    assert users.asked == []


def test_there_is_nothing_to_challenge() -> None:
    exchange = client("PLAIN", Login("ann", "secret"))
    with pytest.raises(RemoteProtocolError):
        exchange.step(b"?")
    assert exchange.step(b"") == Secret("\0ann\0secret")
    with pytest.raises(RemoteProtocolError):
        exchange.step(b"")
