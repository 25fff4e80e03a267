"""SCRAM against scramp, an independent library: each is client and server of the other."""

from __future__ import annotations

import secrets

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Authenticator, Identity, Login, RemoteProtocolError, ScramKeys, Secret
from smtpproto.adapters.blocking import run
from smtpproto.sasl import BY_NAME, Channel, Denied

from .scram_exchanges import SALT, ScramUsers

MECHANISMS = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"]
NAMES = st.text("abc,=\u00fc\u2168 ", min_size=1).filter(str.strip)
BINDING = "tls-unique", b"binding"

pytestmark = pytest.mark.parametrize("mechanism", MECHANISMS)


def channel_of(mechanism: str) -> Channel:
    bindings = dict([BINDING]) if mechanism.endswith("-PLUS") else {}
    return Channel(random=secrets.token_bytes, bindings=bindings)


def binding_of(mechanism: str) -> tuple[str, bytes] | None:
    return BINDING if mechanism.endswith("-PLUS") else None


class KeysOfScramp(Authenticator):
    """Returns keys that scramp has made."""

    def __init__(self, mechanism: str, password: str) -> None:
        self.auth_info = scramp.ScramMechanism(mechanism).make_auth_info(password)

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
        salt, stored_key, server_key, iterations = self.auth_info
        return ScramKeys(hash_name, iterations, salt, stored_key, server_key)


@given(NAMES, NAMES)
def test_our_client_logs_in_to_scramp(mechanism: str, name: str, password: str) -> None:
    client = BY_NAME[mechanism].client(Login(name, password), channel_of(mechanism))
    scramp_mechanism = scramp.ScramMechanism(mechanism)
    info = scramp_mechanism.make_auth_info(password, salt=SALT)
    server = scramp_mechanism.make_server(
        lambda username: info, channel_binding=binding_of(mechanism)
    )
    first = client.initial()
    assert first is not None
    server.set_client_first(first.reveal().decode())
    server.set_client_final(client.step(server.get_server_first().encode()).reveal().decode())
    assert client.step(server.get_server_final().encode()) == Secret("")
    client.finish()


@given(NAMES, NAMES)
def test_scramp_logs_in_to_our_server(mechanism: str, name: str, password: str) -> None:
    users = KeysOfScramp(mechanism, password)
    server = BY_NAME[mechanism].server(users, channel_of(mechanism))
    client = scramp.ScramClient([mechanism], name, password, channel_binding=binding_of(mechanism))
    first = run(server.step(Secret(client.get_client_first())))
    assert isinstance(first, bytes)
    client.set_server_first(first.decode())
    last = run(server.step(Secret(client.get_client_final())))
    assert isinstance(last, bytes)
    client.set_server_final(last.decode())
    result = run(server.step(Secret("")))
    assert isinstance(result, Identity) and result.mechanism == mechanism


def test_scramp_refuses_our_client_with_a_wrong_password(mechanism: str) -> None:
    client = BY_NAME[mechanism].client(Login("ann", "wrong"), channel_of(mechanism))
    scramp_mechanism = scramp.ScramMechanism(mechanism)
    info = scramp_mechanism.make_auth_info("secret", salt=SALT)
    server = scramp_mechanism.make_server(
        lambda username: info, channel_binding=binding_of(mechanism)
    )
    first = client.initial()
    assert first is not None
    server.set_client_first(first.reveal().decode())
    client_final = client.step(server.get_server_first().encode()).reveal().decode()
    with pytest.raises(scramp.ScramException):
        server.set_client_final(client_final)
    assert client.step(server.get_server_final().encode()) == Secret("")
    assert client.details == {"scram-error": "invalid-proof"}
    with pytest.raises(RemoteProtocolError):
        client.finish()


def test_our_server_refuses_scramp_with_a_wrong_password(mechanism: str) -> None:
    server = BY_NAME[mechanism].server(ScramUsers({"ann": "secret"}), channel_of(mechanism))
    client = scramp.ScramClient([mechanism], "ann", "wrong", channel_binding=binding_of(mechanism))
    first = run(server.step(Secret(client.get_client_first())))
    assert isinstance(first, bytes)
    client.set_server_first(first.decode())
    assert isinstance(run(server.step(Secret(client.get_client_final()))), Denied)
