"""Both sides of an exchange, without SMTP."""

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
    Authenticator,
    Channel,
    ClientExchange,
    Credential,
    Denied,
    Identity,
    ServerExchange,
    TokenClaim,
    TokenRefused,
)
from smtpproto.sasl.prepare import saslprep

SOFT_HYPHEN = "\u00ad"
NAMES = st.text(st.sampled_from("aZ09 ,=@.\\\u00e9\u00df\u00ad\u2168\u0301\u6f22")).filter(saslprep)
"""What user names and passwords may be before SASLprep."""
CERTIFICATE = b"a certificate"


def channel(**known: Any) -> Channel:
    """A channel with TLS."""
    return Channel(**{"random": random.Random(7).randbytes, "secure": True, **known})


@define(eq=False)
class Users(Authenticator):
    """Knows all that an authenticator can know; *passwords* by names, both prepared."""

    passwords: Mapping[str, str] = field(factory=lambda: {"ann": "secret"})
    tokens: Mapping[str, str] = field(factory=dict)
    certificates: Mapping[bytes, str] = field(factory=dict)
    proxies: Iterable[tuple[str, str]] = ()
    refused: TokenRefused | None = None
    anonymous: bool = False
    asked: list[Any] = field(factory=list)

    def check_password(self, username: str, password: Secret) -> bool:
        self.asked.append((username, password))
        known = self.passwords.get(username)
        return known is not None and Secret(known) == password

    def shared_secret(self, username: str) -> Secret | None:
        self.asked.append(username)
        known = self.passwords.get(username)
        return None if known is None else Secret(known)

    def check_token(self, claim: TokenClaim) -> str | TokenRefused | None:
        self.asked.append(claim)
        return self.tokens.get(claim.token.reveal().decode()) or self.refused

    def certificate_user(self, certificate: bytes) -> str | None:
        return self.certificates.get(certificate)

    def allow_anonymous(self, trace: str) -> bool:
        self.asked.append(trace)
        return self.anonymous

    def may_act_as(self, username: str, authzid: str) -> bool:
        return (username, authzid) in self.proxies


def client(name: str, credential: Credential, known: Channel | None = None) -> ClientExchange:
    return BY_NAME[name].client(credential, known or channel())


def server(name: str, authenticator: Authenticator, known: Channel | None = None) -> ServerExchange:
    return BY_NAME[name].server(authenticator, known or channel())


def step(exchange: ServerExchange, response: bytes | str | None) -> bytes | Identity | Denied:
    """What a server makes of *response*."""
    return run(exchange.step(None if response is None else Secret(response)))


def outcome(
    ours: ClientExchange, theirs: ServerExchange, *, asked: bool = False
) -> Identity | Denied:
    """Let both talk; *asked*: the client keeps its first word until the server wants it."""
    response = None if asked else ours.initial()
    while isinstance(said := run(theirs.step(response)), bytes):
        response = ours.step(said)
    if isinstance(said, Identity):
        ours.finish()
    return said


def end(exchange: ServerExchange, responses: Iterable[bytes]) -> Identity | Denied | bytes:
    """What becomes of *responses*; what the grammar does not allow is denied."""
    said: Identity | Denied | bytes = b""
    for response in responses:
        try:
            said = run(exchange.step(Secret(response)))
        except GrammarError as error:
            return Denied(error.message)
        if not isinstance(said, bytes):
            break
    return said
