"""The authenticator: what counts as acceptance, and methods that are ``async``."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Denied, Identity, TokenClaim

from .exchanges import (
    CERTIFICATE,
    CHANNEL,
    CREDENTIALS,
    log_in,
    make_client,
    make_server,
    step,
)


class Returns(Authenticator):
    """Accepts ann's password, and answers every other question with *value*."""

    def __init__(self, value: object) -> None:
        self.value = value

    def check_password(self, username: str, password: Secret) -> Any:
        return username == "ann" or self.value

    def may_act_as(self, username: str, authzid: str) -> Any:
        return self.value

    def allow_anonymous(self, trace: str) -> Any:
        return self.value


@pytest.mark.parametrize(
    "value",
    [1, "yes", "no", [0], object(), None, False, True],
    ids=["1", "yes", "no", "list", "object", "None", "False", "True"],
)
def test_only_true_from_an_authenticator_accepts_a_login(value: object) -> None:
    authenticator = Returns(value)
    results = [
        step(make_server("PLAIN", authenticator), b"bob\0ann\0secret"),
        step(make_server("PLAIN", authenticator), b"\0carl\0secret"),
        step(make_server("ANONYMOUS", authenticator), b""),
    ]
    expected = Identity if value is True else Denied
    assert all(isinstance(result, expected) for result in results)


def test_each_method_of_an_authenticator_may_be_async() -> None:
    class Async(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            return (username, password) == ("ann", Secret("secret"))

        async def shared_secret(self, username: str) -> Secret | None:
            return Secret("secret") if username == "ann" else None

        async def check_token(self, claim: TokenClaim) -> str | None:
            return "ann" if claim.token == Secret("secret") else None

        async def certificate_user(self, certificate: bytes) -> str | None:
            return "ann" if certificate == CERTIFICATE else None

        async def allow_anonymous(self, trace: str) -> bool:
            return trace == "trace"

    for name, credential in CREDENTIALS.items():
        client = make_client(name, credential, CHANNEL)
        assert isinstance(log_in(client, make_server(name, Async(), CHANNEL)), Identity)
