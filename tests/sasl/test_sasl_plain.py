"""PLAIN (RFC 4616), and SASLprep (RFC 4013) in it, without any SMTP."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.sasl import Login
from smtpproto.sasl.plain import PlainClient, PlainServer
from smtpproto.sasl.prepare import saslprep
from smtpproto.secret import Secret

SOFT_HYPHEN = "\u00ad"


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


NAMES = st.text(string.ascii_letters + string.digits, min_size=1)


@given(NAMES, NAMES, st.one_of(st.just(""), NAMES))
def test_what_a_client_says_a_server_understands(name: str, password: str, authzid: str) -> None:
    claimed = PlainServer().step(PlainClient(Login(name, password, authzid)).initial())
    assert (claimed.username, claimed.authzid) == (name, authzid)
    assert claimed.password == Secret(password)


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
        PlainClient(login)


@pytest.mark.req("RFC4616-2-03")
def test_255_octets_each() -> None:
    name, password, authzid = "n" * 255, "p" * 255, "z" * 255
    claimed = PlainServer().step(PlainClient(Login(name, password, authzid)).initial())
    assert (claimed.username, claimed.authzid) == (name, authzid)
    assert claimed.password == Secret(password)


@pytest.mark.req("RFC4616-2-07", "RFC4954-4-18")
def test_names_and_passwords_are_prepared() -> None:
    message = f"{SOFT_HYPHEN}bob\0an{SOFT_HYPHEN}n\0se\u00a0cr\u2168et"
    claimed = PlainServer().step(Secret(message.encode()))
    assert (claimed.authzid, claimed.username) == ("bob", "ann")
    assert claimed.password == Secret("se crIXet")
    said = PlainClient(Login(f"an{SOFT_HYPHEN}n", "secret", f"bo{SOFT_HYPHEN}b")).initial()
    assert said == Secret("bob\0ann\0secret")


@pytest.mark.req("RFC4954-4-19")
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
    ],
)
def test_what_cannot_be_prepared_fails(message: str) -> None:
    with pytest.raises(GrammarError) as caught:
        PlainServer().step(Secret(message.encode()))
    assert caught.value.reply is not None and caught.value.reply.code == 535
