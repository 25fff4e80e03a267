"""Comparisons of secrets take the same time wherever the values differ."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import (
    Authenticator,
    HashedPasswords,
    ScramKeys,
    Secret,
    StoredKeys,
    hash_password,
)
from smtpproto.sasl import Denied
from smtpproto.tls.verify import has_fingerprint

from .exchanges import make_server, step

SALT = bytes(16)
KEYS = ScramKeys.derive("secret", salt=SALT)
HASH = hash_password("secret", salt=SALT, ln=10, p=1)


class SharedSecrets(Authenticator):
    def shared_secret(self, username: str) -> Secret:
        return Secret("secret")


def wrong_cram_md5_digest() -> object:
    server = make_server("CRAM-MD5", SharedSecrets())
    step(server, None)
    return step(server, b"ann " + b"0" * 32)


@pytest.mark.req("RFC5802-7-01")
@pytest.mark.parametrize(
    "compare",
    [
        wrong_cram_md5_digest,
        lambda: KEYS.matches("guess"),
        lambda: KEYS.proved(bytes(32), b"message"),
        lambda: StoredKeys({"ann": str(KEYS)}).check_password("ann", Secret("guess")),
        lambda: HashedPasswords({"ann": HASH}).check_password("ann", Secret("guess")),
        lambda: Secret("a") == Secret("b"),
        lambda: has_fingerprint(b"certificate", (bytes(32),)),
    ],
    ids=["CRAM-MD5", "keys", "proof", "StoredKeys", "HashedPasswords", "Secret", "fingerprint"],
)
def test_secrets_are_compared_with_compare_digest(
    compare: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = hmac.compare_digest, 0

    def counting(a: Any, b: Any) -> bool:
        nonlocal calls
        calls += 1
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert not compare() or isinstance(compare(), Denied)
    assert calls
