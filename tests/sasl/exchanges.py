"""Both sides of an exchange, without SMTP, and an authenticator for all mechanisms but SCRAM."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.errors import GrammarError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import (
    BY_NAME,
    Anonymous,
    Authenticator,
    BearerToken,
    Channel,
    ClientExchange,
    Credential,
    Denied,
    External,
    Identity,
    Login,
    ServerExchange,
    TokenClaim,
    TokenRefused,
)
from smtpproto.sasl.prepare import saslprep

SOFT_HYPHEN = "\u00ad"
NAMES = st.text(st.sampled_from("aZ09 ,=@.\\\u00e9\u00df\u00ad\u2168\u0301\u6f22")).filter(saslprep)
"""User names and passwords as users write them, before SASLprep."""
CERTIFICATE = b"a certificate"


def make_channel(**options: Any) -> Channel:
    """Return a channel with TLS."""
    return Channel(**{"random": random.Random(7).randbytes, "secure": True, **options})


CHANNEL = make_channel(host="mx.example.org", port=587, certificate=CERTIFICATE)
CREDENTIALS: dict[str, Credential] = {
    "CRAM-MD5": Login("ann", "secret"),
    "PLAIN": Login("ann", "secret"),
    "LOGIN": Login("ann", "secret"),
    "OAUTHBEARER": BearerToken("ann", "secret"),
    "XOAUTH2": BearerToken("ann", "secret"),
    "EXTERNAL": External(),
    "ANONYMOUS": Anonymous("trace"),
}
"""A credential for each mechanism but SCRAM, in the order of the table."""


@define(eq=False)
class Users(Authenticator):
    """An authenticator with every method but ``scram_keys``. It records the calls.

    The names and passwords in *passwords* are prepared.
    """

    passwords: Mapping[str, str] = field(factory=lambda: {"ann": "secret"})
    tokens: Mapping[str, str] = field(factory=dict)
    certificates: Mapping[bytes, str] = field(factory=dict)
    proxies: Iterable[tuple[str, str]] = ()
    refused: TokenRefused | None = None
    anonymous: bool = False
    calls: list[Any] = field(factory=list)

    def check_password(self, username: str, password: Secret) -> bool:
        self.calls.append((username, password))
        known = self.passwords.get(username)
        return known is not None and Secret(known) == password

    def shared_secret(self, username: str) -> Secret | None:
        self.calls.append(username)
        known = self.passwords.get(username)
        return None if known is None else Secret(known)

    def check_token(self, claim: TokenClaim) -> str | TokenRefused | None:
        self.calls.append(claim)
        return self.tokens.get(claim.token.reveal().decode()) or self.refused

    def certificate_user(self, certificate: bytes) -> str | None:
        return self.certificates.get(certificate)

    def allow_anonymous(self, trace: str) -> bool:
        self.calls.append(trace)
        return self.anonymous

    def may_act_as(self, username: str, authzid: str) -> bool:
        return (username, authzid) in self.proxies


def make_client(
    name: str, credential: Credential, channel: Channel | None = None
) -> ClientExchange:
    """Return the client's side of mechanism *name*, by default on a channel with TLS."""
    return BY_NAME[name].client(credential, channel or make_channel())


def make_server(
    name: str, authenticator: Authenticator, channel: Channel | None = None
) -> ServerExchange:
    """Return the server's side of mechanism *name*, by default on a channel with TLS."""
    return BY_NAME[name].server(authenticator, channel or make_channel())


def step(server: ServerExchange, response: bytes | str | None) -> bytes | Identity | Denied:
    """Return the challenge or the result that follows *response*."""
    return run(server.step(None if response is None else Secret(response)))


def log_in(
    client: ClientExchange, server: ServerExchange, *, on_request: bool = False
) -> Identity | Denied:
    """Run the whole exchange and return its result.

    With *on_request* the client sends its initial response only after an empty challenge.
    """
    response = None if on_request else client.initial()
    while isinstance(challenge := run(server.step(response)), bytes):
        response = client.step(challenge)
    if isinstance(challenge, Identity):
        client.finish()
    return challenge


def result_of(server: ServerExchange, responses: Iterable[bytes]) -> Identity | Denied | bytes:
    """Return what the server returns last for *responses*; Denied for a GrammarError."""
    result: Identity | Denied | bytes = b""
    for response in responses:
        try:
            result = run(server.step(Secret(response)))
        except GrammarError as error:
            return Denied(error.message)
        if not isinstance(result, bytes):
            break
    return result
