"""PLAIN (RFC 4616)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Denied, Identity, Login
from smtpproto.sasl.prepare import saslprep

from .exchanges import NAMES, SOFT_HYPHEN, Users, log_in, make_client, make_server, step


@given(NAMES, NAMES, st.just("") | NAMES, st.booleans())
def test_any_user_name_password_and_authzid_log_in_by_plain(
    name: str, password: str, authzid: str, on_request: bool
) -> None:
    user, other = saslprep(name), saslprep(authzid)
    users = Users({user: saslprep(password)}, proxies=[(user, other)])
    client, server = (
        make_client("PLAIN", Login(name, password, authzid)),
        make_server("PLAIN", users),
    )
    identity = Identity(user, "" if other == user else other, "PLAIN")
    assert log_in(client, server, on_request=on_request) == identity


@pytest.mark.req("RFC4616-2-01")
@pytest.mark.parametrize(
    ("authzid", "message"),
    [
        ("", b"\0tim\0tanstaaftanstaaf"),
        ("Ursel", b"Ursel\0Kurt\0xipj3plmq"),
    ],
)
def test_both_sides_reproduce_the_examples_of_rfc_4616(authzid: str, message: bytes) -> None:
    _, name, password = message.decode().split("\0")
    assert make_client("PLAIN", Login(name, password, authzid)).initial() == Secret(message)
    users = Users({name: password}, proxies=[("Kurt", "Ursel")])
    assert step(make_server("PLAIN", users), message) == Identity(name, authzid, "PLAIN")


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
def test_the_client_refuses_a_nul(login: Login) -> None:
    with pytest.raises(GrammarError):
        make_client("PLAIN", login)


@pytest.mark.parametrize(
    "login",
    [Login("", "secret"), Login("ann", ""), Login("", "", "bob")],
    ids=["user name", "password", "both"],
)
def test_the_client_refuses_an_empty_name_or_password(login: Login) -> None:
    with pytest.raises(GrammarError):
        make_client("PLAIN", login)


@pytest.mark.req("RFC4616-2-01")
@pytest.mark.parametrize(
    "message",
    [b"", b"secret", b"ann\0secret", b"\0ann\0secret\0", b"\0\0ann\0secret", b"a\0b\0c\0d"],
)
def test_a_message_without_exactly_two_nuls_is_refused(message: bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(make_server("PLAIN", users), message)
    assert users.calls == []
    assert step(make_server("PLAIN", users), b"\0ann\0secret") == Identity("ann", "", "PLAIN")


@pytest.mark.req("RFC4616-2-04")
@pytest.mark.parametrize("response", [b"\0\0secret", b"\0ann\0", b"ann\0\0secret", b"\0\0"])
def test_the_server_refuses_an_empty_name_or_password(response: bytes) -> None:
    class Anyone(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            return True

        def may_act_as(self, username: str, authzid: str) -> bool:
            return True

    with pytest.raises(GrammarError, match="empty"):
        step(make_server("PLAIN", Anyone()), response)


@pytest.mark.req("RFC4616-2-03")
def test_user_name_password_and_authzid_may_have_255_octets_each() -> None:
    name, password, authzid = "n" * 255, "p" * 255, "z" * 255
    users = Users({name: password}, proxies=[(name, authzid)])
    client = make_client("PLAIN", Login(name, password, authzid))
    assert log_in(client, make_server("PLAIN", users)) == Identity(name, authzid, "PLAIN")


@pytest.mark.req("RFC4616-2-05")
def test_acting_as_another_user_needs_permission_and_the_password() -> None:
    users = Users(proxies=[("ann", "bob")])
    assert step(make_server("PLAIN", users), "bob\0ann\0secret") == Identity("ann", "bob", "PLAIN")
    assert step(make_server("PLAIN", users), "ann\0ann\0secret") == Identity("ann", "", "PLAIN")
    assert isinstance(step(make_server("PLAIN", users), "eve\0ann\0secret"), Denied)
    assert isinstance(step(make_server("PLAIN", users), "bob\0ann\0wrong"), Denied)


@pytest.mark.req("RFC4616-2-05")
def test_acting_as_another_user_is_denied_by_default() -> None:
    class OnlyPasswords(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            return True

    server = make_server("PLAIN", OnlyPasswords())
    assert step(server, "\0ann\0secret") == Identity("ann", "", "PLAIN")
    for other in ("bob", "anna", "an", "Ann", "ann@example.org"):
        server = make_server("PLAIN", OnlyPasswords())
        assert isinstance(step(server, f"{other}\0ann\0secret"), Denied)


@pytest.mark.req("RFC4616-2-07", "RFC4954-4-18/client", "RFC4954-4-18/server")
def test_names_and_passwords_are_prepared() -> None:
    users = Users({"ann": "se crIXet"}, proxies=[("ann", "bob")])
    message = f"{SOFT_HYPHEN}bob\0an{SOFT_HYPHEN}n\0se\u00a0cr\u2168et"
    assert step(make_server("PLAIN", users), message) == Identity("ann", "bob", "PLAIN")
    assert users.calls == [("ann", Secret("se crIXet"))]
    login = Login(f"an{SOFT_HYPHEN}n", "secret", f"bo{SOFT_HYPHEN}b")
    assert make_client("PLAIN", login).initial() == Secret("bob\0ann\0secret")


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
def test_the_server_refuses_parts_that_cannot_be_prepared(message: str | bytes) -> None:
    users = Users()
    with pytest.raises(GrammarError):
        step(make_server("PLAIN", users), message)
    assert users.calls == []


def test_the_client_refuses_all_challenges_but_one_empty_one() -> None:
    client = make_client("PLAIN", Login("ann", "secret"))
    with pytest.raises(RemoteProtocolError):
        client.step(b"?")
    assert client.step(b"") == Secret("\0ann\0secret")
    with pytest.raises(RemoteProtocolError):
        client.step(b"")


@pytest.mark.req("RFC4616-2-06")
@pytest.mark.parametrize(
    "message", [b"\0an\xffn\0secret", b"\0ann\0sec\xffret", b"b\xffob\0ann\0secret"]
)
def test_octets_that_are_not_utf_8_are_refused_and_not_repaired(message: bytes) -> None:
    users = Users(proxies=[("ann", "bob")])
    with pytest.raises(GrammarError):
        step(make_server("PLAIN", users), message)
    assert users.calls == []
