"""What SASL does not let pass: comparisons that tell by their time, a yes that is none, secrets."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import (
    Anonymous,
    Authenticator,
    HashedPasswords,
    Limits,
    Login,
    ScramKeys,
    Secret,
    StoredKeys,
    hash_password,
)
from smtpproto.adapters.blocking import run
from smtpproto.sasl import BY_NAME, Channel, Denied, Identity, offers
from smtpproto.tls.verify import has_fingerprint

CHANNEL = Channel(random=bytes, secure=True)
SALT = bytes(16)


def outcome(mechanism: str, response: bytes, authenticator: Authenticator) -> Any:
    server = BY_NAME[mechanism].server(authenticator, CHANNEL)
    return run(server.step(Secret(response)))


# -- in constant time ----------------------------------------------------------------------------


class Shared(Authenticator):
    def shared_secret(self, username: str) -> Secret:
        return Secret("secret")


def cram_md5() -> object:
    server = BY_NAME["CRAM-MD5"].server(Shared(), CHANNEL)
    run(server.step(None))
    return run(server.step(Secret(b"ann " + b"0" * 32)))


KEYS = ScramKeys.derive("secret", salt=SALT)
HASH = hash_password("secret", salt=SALT, ln=10, p=1)


@pytest.mark.req("RFC5802-7-01")
@pytest.mark.parametrize(
    "compare",
    [
        cram_md5,
        lambda: KEYS.matches("guess"),
        lambda: KEYS.proved(bytes(32), b"message"),
        lambda: StoredKeys({"ann": str(KEYS)}).check_password("ann", Secret("guess")),
        lambda: HashedPasswords({"ann": HASH}).check_password("ann", Secret("guess")),
        lambda: Secret("a") == Secret("b"),
        lambda: has_fingerprint(b"certificate", (bytes(32),)),
    ],
    ids=["CRAM-MD5", "keys", "proof", "StoredKeys", "HashedPasswords", "Secret", "fingerprint"],
)
def test_what_must_not_tell_by_its_time(
    compare: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, compared = hmac.compare_digest, 0

    def counting(a: Any, b: Any) -> bool:
        nonlocal compared
        compared += 1
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    assert not compare() or isinstance(compare(), Denied)
    assert compared


# -- a yes is True, and nothing like it ----------------------------------------------------------


class Answers(Authenticator):
    """Knows ann; whether she may do more, it answers with something."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def check_password(self, username: str, password: Secret) -> Any:
        return username == "ann" or self.answer

    def may_act_as(self, username: str, authzid: str) -> Any:
        return self.answer

    def allow_anonymous(self, trace: str) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [1, "yes", "no", [0], object(), None, False, True], ids=repr)
def test_only_true_is_a_yes(answer: object) -> None:
    authenticator = Answers(answer)
    ends = [
        outcome("PLAIN", b"bob\0ann\0secret", authenticator),
        outcome("PLAIN", b"\0carl\0secret", authenticator),
        outcome("ANONYMOUS", b"", authenticator),
    ]
    kind = Identity if answer is True else Denied
    assert all(isinstance(end, kind) for end in ends)


@pytest.mark.req("RFC4616-2-04")
@pytest.mark.parametrize("response", [b"\0\0secret", b"\0ann\0", b"ann\0\0secret", b"\0\0"])
def test_nobody_without_a_name_or_a_password(response: bytes) -> None:
    with pytest.raises(ValueError, match="empty"):
        outcome("PLAIN", response, Answers(True))


# -- what is offered -----------------------------------------------------------------------------


@pytest.mark.parametrize("hashes", [(), ("SHA-256",), ("SHA-1",), ("SHA-256", "SHA-1")])
def test_scram_is_offered_for_hashes_that_users_have_keys_for(hashes: tuple[str, ...]) -> None:
    class Keys(Authenticator):
        scram_hashes = hashes

        def scram_keys(self, username: str, hash_name: str) -> None: ...

    assert offers(Keys(), CHANNEL) == tuple(f"SCRAM-{name}" for name in hashes)


@pytest.mark.req("RFC5802-5.1-06")
@pytest.mark.parametrize("iterations", [4096, 10_000, 1_000_000])
def test_iterations_are_said_as_they_are(iterations: int) -> None:
    keys = ScramKeys("SHA-256", iterations, SALT, bytes(32), bytes(32))
    said = outcome("SCRAM-SHA-256", b"n,,n=ann,r=x", StoredKeys({"ann": keys}))
    assert said.endswith(b",s=AAAAAAAAAAAAAAAAAAAAAA==,i=%d" % iterations)


# -- bounds and names ----------------------------------------------------------------------------


@pytest.mark.req("RFC4954-9-02")
def test_three_tries_are_for_everybody() -> None:
    for too_few in (0, 1, 2):
        with pytest.raises(ValueError, match="failed_logins"):
            Limits(failed_logins=too_few)


def test_no_credential_shows_its_secret() -> None:
    assert "hunter2" not in repr([Login("ann", "hunter2"), Anonymous(), KEYS, Secret("hunter2")])
