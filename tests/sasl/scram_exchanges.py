"""Both sides of a SCRAM exchange, with messages as text, and an authenticator for SCRAM."""

from __future__ import annotations

import secrets

from attrs import define, field

from smtpproto import Authenticator, Identity, Login, ScramKeys, Secret
from smtpproto.adapters.blocking import run
from smtpproto.sasl import Channel, Denied
from smtpproto.sasl.scram import ScramClient, ScramServer

SALT = bytes(range(16))
UNBOUND = Channel(random=secrets.token_bytes)
BOUND = Channel(
    random=secrets.token_bytes,
    bindings={"tls-exporter": b"exported", "tls-unique": b"unique"},
    peer_binds=True,
)
HASHES = ["SHA-256", "SHA-1"]
Result = Identity | Denied


@define(eq=False)
class ScramUsers(Authenticator):
    """Derives keys from passwords, and records the calls. *proxies* may act as others."""

    passwords: dict[str, str]
    proxies: set[tuple[str, str]] = field(factory=set)
    calls: list[tuple[str, str]] = field(factory=list)

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        self.calls.append((username, hash_name))
        if username not in self.passwords:
            return None
        return ScramKeys.derive(
            self.passwords[username], salt=SALT, iterations=4096, hash_name=hash_name
        )

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        return 4096, len(SALT)

    def may_act_as(self, username: str, authzid: str) -> bool:
        return (username, authzid) in self.proxies


USERS = ScramUsers({"ann": "secret"})
LOGIN = Login("ann", "secret")


def make_server(
    authenticator: Authenticator = USERS, channel: Channel = UNBOUND, *, plus: bool = False
) -> ScramServer:
    """Return the server's side of SCRAM-SHA-256, or of SCRAM-SHA-256-PLUS."""
    return ScramServer(authenticator, channel, "SHA-256", plus)


def challenge_after(server: ScramServer, response: str) -> str:
    """Return the challenge that follows *response*."""
    challenge = run(server.step(Secret(response)))
    assert isinstance(challenge, bytes), challenge
    return challenge.decode()


def step(server: ScramServer, response: str) -> bytes | Result:
    """Return the challenge or the result that follows *response*."""
    return run(server.step(Secret(response)))


def log_in(client: ScramClient, server: ScramServer) -> Result:
    """Run the whole exchange and return its result."""
    challenge = run(server.step(client.initial()))
    while isinstance(challenge, bytes):
        challenge = run(server.step(client.step(challenge)))
    if isinstance(challenge, Identity):
        client.finish()
    return challenge


def first_and_final(client: ScramClient, server: ScramServer) -> tuple[str, str]:
    """Return the server-first-message and the client-final-message, which is not yet sent."""
    server_first = challenge_after(server, client.initial().reveal().decode())
    return server_first, client.step(server_first.encode()).reveal().decode()
