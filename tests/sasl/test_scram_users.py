"""SCRAM and the users of a server: preparing names, acting as another user, unknown users."""

from __future__ import annotations

import re

import pytest

from smtpproto import (
    Authenticator,
    GrammarError,
    Identity,
    LocalProtocolError,
    Login,
    RemoteProtocolError,
    ScramKeys,
    Secret,
    StoredKeys,
)
from smtpproto.adapters.blocking import run
from smtpproto.grammar.xtext import decode_base64, encode_base64
from smtpproto.sasl import Denied
from smtpproto.sasl.scram import ScramClient, ScramServer
from smtpproto.sasl.scram_keys import client_key

from .scram_exchanges import (
    HASHES,
    LOGIN,
    SALT,
    UNBOUND,
    ScramUsers,
    challenge_after,
    log_in,
    make_server,
    step,
)


@pytest.mark.req("RFC5802-5.1-10/client", "RFC5802-5.1-10/server")
def test_names_and_passwords_are_prepared() -> None:
    """The server prepares a name again, so that a client may leave it as it is."""
    users = ScramUsers({"IX": "IX"}, {("IX", "IX2")})
    login = Login("\u2168", "I\u00adX", "\u21682")
    client = ScramClient(login, UNBOUND, "SHA-256")
    assert client.initial().reveal().startswith(b"n,a=IX2,n=IX,r=")
    assert log_in(client, make_server(users)) == Identity("IX", "IX2", "SCRAM-SHA-256")
    users.calls.clear()
    challenge_after(make_server(users), "n,,n=\u2168,r=n")
    assert users.calls == [("IX", "SHA-256")]
    keys = ScramKeys.derive("\u2168", salt=SALT)
    assert keys == ScramKeys.derive("IX", salt=SALT) and keys.matches(Secret("\u2168"))


@pytest.mark.req("RFC5802-5.1-10/client", "RFC5802-5.1-10/server")
@pytest.mark.parametrize(
    "login",
    [
        Login("", "secret"),
        Login("\u00ad", "secret"),
        Login("a\x07", "secret"),
        Login("ann", ""),
        Login("ann", "\u00ad"),
        Login("ann", "a\x07"),
        Login("ann", Secret(b"\xff")),
        Login("ann", "secret", "\u00ad"),
        Login("ann", "secret", "a\x07"),
        Login("\ud800", "secret"),
    ],
)
def test_the_client_refuses_a_login_that_cannot_be_prepared(login: Login) -> None:
    with pytest.raises(GrammarError):
        ScramClient(login, UNBOUND, "SHA-256")


def test_acting_as_another_user_needs_permission() -> None:
    login = Login("ann", "secret", "bob")
    allowed = ScramUsers({"ann": "secret"}, {("ann", "bob")})
    client = ScramClient(login, UNBOUND, "SHA-256")
    assert log_in(client, make_server(allowed)) == Identity("ann", "bob", "SCRAM-SHA-256")
    client = ScramClient(login, UNBOUND, "SHA-256")
    assert isinstance(log_in(client, make_server()), Denied)
    with pytest.raises(RemoteProtocolError):
        client.finish()


@pytest.mark.req("RFC5802-5.1-06")
@pytest.mark.parametrize("iterations", [4096, 10_000, 1_000_000])
def test_the_server_sends_the_salt_and_iterations_of_the_users_keys(iterations: int) -> None:
    keys = ScramKeys("SHA-256", iterations, bytes(16), bytes(32), bytes(32))
    challenge = challenge_after(make_server(StoredKeys({"ann": keys})), "n,,n=ann,r=x")
    assert challenge.endswith(f",s=AAAAAAAAAAAAAAAAAAAAAA==,i={iterations}")


@pytest.mark.req("RFC5802-5.1-11")
@pytest.mark.parametrize("hash_name", HASHES)
def test_an_unknown_user_looks_like_a_known_one_until_the_proof(hash_name: str) -> None:
    """The salt is always the same for a name, and different for each name, hash and server. The
    login is denied only after the proof."""

    def first(users: ScramUsers, name: str, hash_name: str = hash_name) -> str:
        server = ScramServer(users, UNBOUND, hash_name)
        return challenge_after(server, f"n,,n={name},r=n").partition(",")[2]

    users, other = ScramUsers({"ann": "secret"}), ScramUsers({"ann": "secret"})
    announced = first(users, "nobody")
    assert re.fullmatch(r"s=[A-Za-z0-9+/]{22}==,i=4096", announced)
    assert len(announced) == len(first(users, "ann"))
    assert announced == first(users, "nobody") == first(users, "nobody")
    assert announced != first(users, "nobod")
    assert announced != first(users, "nobody", "SHA-1" if hash_name == "SHA-256" else "SHA-256")
    assert announced != first(other, "nobody")
    other.decoy_key = users.decoy_key
    assert announced == first(other, "nobody")
    client = ScramClient(Login("nobody", "secret"), UNBOUND, hash_name)
    result = log_in(client, ScramServer(users, UNBOUND, hash_name))
    assert result == Denied("wrong user name or password: 'nobody'")
    client = ScramClient(Login("ann", "wrong"), UNBOUND, hash_name)
    result = log_in(client, ScramServer(users, UNBOUND, hash_name))
    assert result == Denied("wrong user name or password: 'ann'")


def test_an_unknown_user_is_denied_even_with_the_proof_of_the_decoy() -> None:
    users = ScramUsers({})
    users.decoy_key = Secret(b"known")
    server, bare = make_server(users), "n=nobody,r=n"
    first = challenge_after(server, f"n,,{bare}")
    nonce = first[2:].split(",")[0]
    signed = f"{bare},{first},c=biws,r={nonce}".encode()
    keys = ScramKeys.of_salted(b"known", SALT, 4096, "SHA-256")
    proof = keys.masked(client_key(b"known", "SHA-256"), signed)
    assert keys.proved(proof, signed)
    result = step(server, f"c=biws,r={nonce},p={encode_base64(proof).decode()}")
    assert isinstance(result, Denied)


def test_the_authenticator_chooses_the_shape_of_decoys() -> None:
    class Strong(Authenticator):
        def decoy_shape(self, hash_name: str) -> tuple[int, int]:
            return 20_000, 32

    first = challenge_after(make_server(Strong()), "n,,n=nobody,r=n")
    assert re.fullmatch(r"r=[^,]+,s=[A-Za-z0-9+/]{43}=,i=20000", first)


@pytest.mark.parametrize("size", [1, 16, 64, 65, 200])
def test_a_decoy_has_a_salt_of_any_size(size: int) -> None:
    class Salted(Authenticator):
        decoy_key = Secret("key")

        def decoy_shape(self, hash_name: str) -> tuple[int, int]:
            return 4096, size

    first = challenge_after(make_server(Salted()), "n,,n=nobody,r=n")
    assert len(decode_base64(first.split(",")[1][2:].encode())) == size


def test_scram_keys_may_be_async_may_raise_and_must_be_for_the_hash() -> None:
    keys = ScramKeys.derive("secret", salt=SALT, hash_name="SHA-1")

    class Slow(Authenticator):
        async def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
            if username == "ann":
                return keys
            raise OSError("no database")

    client = ScramClient(LOGIN, UNBOUND, "SHA-1")
    server = ScramServer(Slow(), UNBOUND, "SHA-1")
    assert isinstance(log_in(client, server), Identity)
    with pytest.raises(OSError, match="no database"):
        run(make_server(Slow()).step(Secret("n,,n=bob,r=n")))
    with pytest.raises(LocalProtocolError, match="SHA-256"):  # the keys are for SHA-1
        run(make_server(Slow()).step(Secret("n,,n=ann,r=n")))
