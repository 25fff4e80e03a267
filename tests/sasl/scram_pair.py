"""The two sides of SCRAM, talked to in text."""

from __future__ import annotations

import secrets

from attrs import define, field

from smtpproto import Authenticator, Identity, Login, ScramKeys, Secret
from smtpproto.adapters.blocking import run
from smtpproto.sasl import Channel, Denied
from smtpproto.sasl.scram import ScramClient, ScramServer

SALT = bytes(range(16))
PLAIN_CHANNEL = Channel(random=secrets.token_bytes)
BOUND = Channel(
    random=secrets.token_bytes,
    bindings={"tls-exporter": b"exported", "tls-unique": b"unique"},
    peer_binds=True,
)
HASHES = ["SHA-256", "SHA-1"]
End = Identity | Denied


@define(eq=False)
class Users(Authenticator):
    """Passwords in clear, and who may act as whom."""

    passwords: dict[str, str]
    may: set[tuple[str, str]] = field(factory=set)
    asked: list[tuple[str, str]] = field(factory=list)

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        self.asked.append((username, hash_name))
        if username not in self.passwords:
            return None
        return ScramKeys.derive(
            self.passwords[username], salt=SALT, iterations=4096, hash_name=hash_name
        )

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        return 4096, len(SALT)

    def may_act_as(self, username: str, authzid: str) -> bool:
        return (username, authzid) in self.may


ANN = Users({"ann": "secret"})
LOGIN = Login("ann", "secret")


def server_of(
    authenticator: Authenticator = ANN, channel: Channel = PLAIN_CHANNEL, *, plus: bool = False
) -> ScramServer:
    return ScramServer(authenticator, channel, "SHA-256", plus)


def answer(server: ScramServer, response: str) -> str:
    """The challenge to *response*."""
    challenge = run(server.step(Secret(response)))
    assert isinstance(challenge, bytes), challenge
    return challenge.decode()


def finale(server: ScramServer, response: str) -> bytes | End:
    return run(server.step(Secret(response)))


def converse(client: ScramClient, server: ScramServer) -> End:
    """The whole exchange; the client is content with how it ends."""
    challenge = run(server.step(client.initial()))
    while isinstance(challenge, bytes):
        challenge = run(server.step(client.step(challenge)))
    if isinstance(challenge, Identity):
        client.finish()
    return challenge


def final(client: ScramClient, server: ScramServer) -> tuple[str, str]:
    """The server's first message and the client's final one."""
    first = answer(server, client.initial().reveal().decode())
    return first, client.step(first.encode()).reveal().decode()
