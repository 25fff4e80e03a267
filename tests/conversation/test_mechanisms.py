"""The SASL mechanisms that a server offers, and each of them between our client and our server."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import (
    Anonymous,
    Authenticator,
    BadCredentials,
    BearerToken,
    ClientConfig,
    Envelope,
    Handler,
    Login,
    ServerConfig,
    Session,
    TLSMode,
)
from smtpproto.client.connection import open_client
from smtpproto.sasl import Credential, Identity
from smtpproto.testing.simulation import Simulation
from tests.support.accounts import Accounts, AllMechanisms
from tests.support.logins import ANN, TOKEN, Contexts, LoginRecorder


def offered(
    contexts: Contexts, authenticator: Authenticator, *, secure: bool, **options: Any
) -> list[str]:
    """Return the mechanisms that the server offers."""
    simulation = Simulation(2)
    lists: list[str] = []
    config = ServerConfig(context=contexts[1], authenticator=authenticator, **options)
    simulation.listen(25, Handler(), config)
    mode = TLSMode.REQUIRED if secure else TLSMode.NONE

    async def look() -> None:
        client_config = ClientConfig(tls=mode, context=contexts[0])
        async with await open_client(simulation, "mx.example.org", 25, client_config) as client:
            lists.extend(client.extensions.mechanisms)

    simulation.run(look())
    return lists


@pytest.mark.req("RFC2195-2-04")
def test_a_server_offers_the_mechanisms_that_its_authenticator_supports(contexts: Contexts) -> None:
    passwords = ["PLAIN", "LOGIN"]
    for secure in (True, False):
        assert offered(contexts, Authenticator(), secure=secure, auth_in_clear=True) == []
        assert offered(contexts, Accounts(), secure=secure, auth_in_clear=True) == passwords
    everything = ["CRAM-MD5", *passwords, "OAUTHBEARER", "XOAUTH2", "ANONYMOUS"]
    assert offered(contexts, AllMechanisms(), secure=True) == everything
    assert offered(contexts, AllMechanisms(), secure=False) == []
    clear = offered(contexts, AllMechanisms(), secure=False, auth_in_clear=True)
    assert clear == ["CRAM-MD5", *passwords, "ANONYMOUS"]
    some = offered(contexts, AllMechanisms(), secure=True, mechanisms=["XOAUTH2", "LOGIN"])
    assert some == ["LOGIN", "XOAUTH2"]


def log_in_and_send(
    contexts: Contexts, seed: int, login: Credential, mechanism: str, handler: LoginRecorder
) -> None:
    """Log in over STARTTLS and send a message. Raises the error of the client."""
    simulation = Simulation(seed)
    server = ServerConfig(context=contexts[1], authenticator=AllMechanisms(), require_auth=True)
    simulation.listen(25, handler, server)
    config = ClientConfig(context=contexts[0], login=login, mechanisms=[mechanism])

    async def main() -> None:
        async with await open_client(simulation, "mx.example.org", 25, config) as client:
            await client.send(b"hi\n", Envelope("ann@example.org", "bob@example.org"))

    simulation.run(main())


class AcceptingRecorder(LoginRecorder):
    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


LOGINS: list[tuple[str, Credential, Credential]] = [
    ("CRAM-MD5", ANN, Login("ann", "wrong")),
    ("PLAIN", ANN, Login("ann", "wrong")),
    ("LOGIN", ANN, Login("ann", "wrong")),
    ("OAUTHBEARER", TOKEN, BearerToken("ann", "wrong")),
    ("XOAUTH2", TOKEN, BearerToken("ann", "wrong")),
    ("ANONYMOUS", Anonymous("ann@example.org"), Anonymous("eve")),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("mechanism", "right", "wrong"), LOGINS)
def test_our_server_accepts_the_right_credential_of_our_client_and_refuses_the_wrong_one(
    contexts: Contexts, seed: int, mechanism: str, right: Credential, wrong: Credential
) -> None:
    handler = AcceptingRecorder()
    log_in_and_send(contexts, seed, right, mechanism, handler)
    user = "anonymous" if mechanism == "ANONYMOUS" else "ann"
    assert handler.identities == [Identity(user, "", mechanism)]
    with pytest.raises(BadCredentials) as caught:
        log_in_and_send(contexts, seed, wrong, mechanism, handler)
    assert caught.value.details.get("scope", "mail") == "mail"
    assert bool(caught.value.details) == ("AUTH" in mechanism)
    assert len(handler.identities) == 1
