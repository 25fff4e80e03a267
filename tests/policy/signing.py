"""Keys, messages and zones for the tests of signatures."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from functools import cache
from typing import Any, TypeVar

from smtpproto.adapters.cryptography_keys import CryptographyKeys, PrivateKey
from smtpproto.dns import Kind
from smtpproto.policy import DKIM, Algorithm, DKIMCheck, DKIMLimits, DKIMSigner, DKIMVerifier
from smtpproto.testing.zone import Zone

T = TypeVar("T")

NOW = 1_800_000_000
KEYS = CryptographyKeys()
HEADER = (
    b"Received: from a.example by b.example;\r\n\tThu, 15 Jan 2027 08:00:00 +0000\r\n"
    b"From: Ann <ann@example.org>\r\nTo: bob@example.net,\r\n carol@example.com\r\n"
    b"Subject:  Lunch  at \t noon?\r\nMessage-ID: <1@example.org>\r\n"
)
BODY = b"Hello \t Bob,\r\n\r\n let us meet. \r\nAnn\r\n\r\n\r\n"
MESSAGE = HEADER + b"\r\n" + BODY


@cache
def rsa_key() -> PrivateKey:
    return PrivateKey.generate()


@cache
def ed25519_key() -> PrivateKey:
    return PrivateKey.generate(Algorithm.ED25519_SHA256)


def rsa(domain: str = "example.org", **options: Any) -> DKIM:
    return DKIM(domain, selector="r", key=rsa_key(), **options)


def ed25519(domain: str = "example.org", **options: Any) -> DKIM:
    return DKIM(domain, selector="e", key=ed25519_key(), **options)


def zone(domain: str = "example.org", flags: str = "") -> Zone:
    """Return a zone with the records of both keys, and perhaps the tag *flags*."""
    records = {}
    for selector, key in (("r", rsa_key()), ("e", ed25519_key())):
        record = key.record().replace("; p=", f"; {flags}p=")
        records[f"{selector}._domainkey.{domain}"] = {Kind.TXT: [record.encode()]}
    return Zone(records)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it suspended")


def sign(message: bytes = MESSAGE, *keys: DKIM, now: float = NOW, **options: Any) -> bytes:
    """Return *message* with its signatures: of an Ed25519 key, because that is quick."""
    signer = DKIMSigner(keys or (ed25519(),), **options)
    return run(signer.sign([message], now=now)) + message


def verify(
    message: bytes | Iterable[bytes],
    resolver: Any = None,
    *,
    now: float = NOW,
    **limits: Any,
) -> list[DKIMCheck]:
    """Return the results for *message*, whole or in slices."""
    verifier = DKIMVerifier(DKIMLimits(**limits))
    for data in [message] if isinstance(message, bytes) else message:
        verifier.feed(data)
    return run(verifier.results(resolver or zone(), KEYS, now=now))


def verify_one(message: bytes, resolver: Any = None, **options: Any) -> DKIMCheck:
    [result] = verify(message, resolver, **options)
    return result
