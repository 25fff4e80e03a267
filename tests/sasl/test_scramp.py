"""SCRAM against scramp, whose authors are others: each is the other's server."""

from __future__ import annotations

import secrets

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Authenticator, Identity, Login, RemoteProtocolError, ScramKeys, Secret
from smtpproto.adapters.blocking import run
from smtpproto.sasl import BY_NAME, Channel, Denied

from .scram_pair import SALT, Users

MECHANISMS = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"]
NAMES = st.text("abc,=\u00fc\u2168 ", min_size=1).filter(str.strip)
BINDING = "tls-unique", b"binding"

pytestmark = pytest.mark.parametrize("mechanism", MECHANISMS)


def channel_of(mechanism: str) -> Channel:
    bindings = dict([BINDING]) if mechanism.endswith("-PLUS") else {}
    return Channel(random=secrets.token_bytes, bindings=bindings)


def binding_of(mechanism: str) -> tuple[str, bytes] | None:
    return BINDING if mechanism.endswith("-PLUS") else None


class Theirs(Authenticator):
    """A user whose keys scramp made."""

    def __init__(self, mechanism: str, password: str) -> None:
        self.made = scramp.ScramMechanism(mechanism).make_auth_info(password)

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
        salt, stored_key, server_key, iterations = self.made
        return ScramKeys(hash_name, iterations, salt, stored_key, server_key)


@given(NAMES, NAMES)
def test_our_client_and_their_server(mechanism: str, name: str, password: str) -> None:
    ours = BY_NAME[mechanism].client(Login(name, password), channel_of(mechanism))
    theirs = scramp.ScramMechanism(mechanism)
    info = theirs.make_auth_info(password, salt=SALT)
    server = theirs.make_server(lambda username: info, channel_binding=binding_of(mechanism))
    first = ours.initial()
    assert first is not None
    server.set_client_first(first.reveal().decode())
    server.set_client_final(ours.step(server.get_server_first().encode()).reveal().decode())
    assert ours.step(server.get_server_final().encode()) == Secret("")
    ours.finish()


@given(NAMES, NAMES)
def test_their_client_and_our_server(mechanism: str, name: str, password: str) -> None:
    users = Theirs(mechanism, password)
    ours = BY_NAME[mechanism].server(users, channel_of(mechanism))
    client = scramp.ScramClient([mechanism], name, password, channel_binding=binding_of(mechanism))
    first = run(ours.step(Secret(client.get_client_first())))
    assert isinstance(first, bytes)
    client.set_server_first(first.decode())
    last = run(ours.step(Secret(client.get_client_final())))
    assert isinstance(last, bytes)
    client.set_server_final(last.decode())
    end = run(ours.step(Secret("")))
    assert isinstance(end, Identity) and end.mechanism == mechanism


def test_our_client_with_a_wrong_password(mechanism: str) -> None:
    ours = BY_NAME[mechanism].client(Login("ann", "wrong"), channel_of(mechanism))
    theirs = scramp.ScramMechanism(mechanism)
    info = theirs.make_auth_info("secret", salt=SALT)
    server = theirs.make_server(lambda username: info, channel_binding=binding_of(mechanism))
    first = ours.initial()
    assert first is not None
    server.set_client_first(first.reveal().decode())
    said = ours.step(server.get_server_first().encode()).reveal().decode()
    with pytest.raises(scramp.ScramException):
        server.set_client_final(said)
    assert ours.step(server.get_server_final().encode()) == Secret("")
    assert ours.details == {"scram-error": "invalid-proof"}
    with pytest.raises(RemoteProtocolError):
        ours.finish()


def test_their_client_with_a_wrong_password_or_binding(mechanism: str) -> None:
    ours = BY_NAME[mechanism].server(Users({"ann": "secret"}), channel_of(mechanism))
    client = scramp.ScramClient([mechanism], "ann", "wrong", channel_binding=binding_of(mechanism))
    first = run(ours.step(Secret(client.get_client_first())))
    assert isinstance(first, bytes)
    client.set_server_first(first.decode())
    assert isinstance(run(ours.step(Secret(client.get_client_final()))), Denied)
