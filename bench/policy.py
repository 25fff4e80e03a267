"""The CPU time of policies, in this process: signing and verifying with DKIM, checks of SPF.

The floor is what must be done in any case: the bare signature of cryptography, or the bare hash.
"""

from __future__ import annotations

import base64
import importlib
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from hashlib import sha256
from itertools import cycle
from typing import Any

from attrs import frozen

from smtpproto.adapters.blocking import Runtime
from smtpproto.adapters.cryptography_keys import CryptographyKeys, PrivateKey
from smtpproto.dns import Answer, Kind, Status
from smtpproto.dns_cache import CachingResolver
from smtpproto.limits import CHUNK
from smtpproto.policy import (
    DKIM,
    Algorithm,
    Canonicalization,
    Demand,
    DKIMSigner,
    DKIMVerifier,
    DMARCResult,
    Limit,
    MemoryStates,
    MessageVerifier,
    SPFRequest,
)
from smtpproto.policy.canonical import BodyHash
from smtpproto.testing import Zone

from . import spf
from .measuring import Figures, Measure, in_rounds
from .processes import NotHere
from .running import Absent

HEADER = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.net, carol@example.com\r\n"
    b"Subject: About the meeting\r\n of next week, and lunch\r\nMessage-ID: <1@example.org>\r\n"
    b"Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    b"Received: from a.example by b.example;\r\n\tMon, 30 Nov 2026 10:00:00 +0000\r\n\r\n"
)
NOW = 1_700_000_000.0  # the clock of dkimpy is later
MIB = 1024 * 1024


@frozen
class PolicyLoad:
    """What each contender does for one unit."""

    name: str
    title: str
    contenders: Mapping[str, Callable[[], Callable[[], object]]]
    """Each returns the function that is measured."""


class Keys:
    """Answers with the record of one key, at once."""

    def __init__(self, record: str) -> None:
        self._answer = Answer(status=Status.FOUND, records=(record.encode(),))

    async def lookup(self, name: str, kind: Kind) -> Answer:
        return self._answer


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


@cache
def key() -> PrivateKey:
    return PrivateKey.generate()


@cache
def text(size: int) -> bytes:
    """Return lines of words, as people write them."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 9))) for _ in range(500)]
    lines = [" ".join(chance.choices(words, k=11)) + "\r\n" for _ in range(size // 60)]
    return "".join(lines).encode()[: size - 2] + b"\r\n"


@cache
def attachment(size: int) -> bytes:
    octets = random.Random(1).randbytes(size * 3 // 4)
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


MESSAGE = HEADER + text(4096)


def signing() -> Callable[[], object]:
    signer = DKIMSigner(DKIM("example.org", selector="s1", key=key()))
    return lambda: done(signer.sign(MESSAGE, now=NOW))


def verifying() -> Callable[[], object]:
    signed, keys, resolver = signing()() + MESSAGE, CryptographyKeys(), Keys(key().record())  # type: ignore[operator]

    def verify() -> None:
        verifier = DKIMVerifier()
        verifier.feed(signed)
        [check] = done(verifier.results(resolver, keys, now=NOW))
        assert check.passed

    return verify


def checking() -> Callable[[], object]:
    signed, keys = signing()() + MESSAGE, CryptographyKeys()  # type: ignore[operator]
    texts = {
        "s1._domainkey.example.org": key().record(),
        "example.org": "v=spf1 ip4:192.0.2.0/24 -all",
        "_dmarc.example.org": "v=DMARC1; p=reject; rua=mailto:dmarc@example.org",
    }
    zone = Zone({name: {Kind.TXT: [it.encode()]} for name, it in texts.items()})
    resolver = CachingResolver(zone, Runtime())
    request = SPFRequest(client="192.0.2.1", helo="mx.test", sender="ann@example.org", now=NOW)

    def check() -> None:
        verifier = MessageVerifier(request)
        verifier.feed(signed)
        found = done(verifier.check(resolver, keys, now=NOW))
        assert found.dmarc.result is DMARCResult.PASS
        found.authentication_results("mx.example.net")

    return check


def bare_verifying() -> Callable[[], object]:
    octets = MESSAGE[:900]
    public = CryptographyKeys().read(Algorithm.RSA_SHA256, key().public_key())
    signature = key().sign(octets)
    return lambda: public.verify(octets, signature)


def dkimpy() -> Any:
    try:
        return importlib.import_module("dkim")
    except ImportError:
        raise NotHere("dkimpy is not installed") from None


def dkimpy_signing() -> Callable[[], object]:
    dkim, pem = dkimpy(), key().pem()
    return lambda: dkim.sign(MESSAGE, b"s1", b"example.org", pem)


def dkimpy_verifying() -> Callable[[], object]:
    dkim, signed, record = dkimpy(), signing()() + MESSAGE, key().record()  # type: ignore[operator]
    assert dkim.verify(signed, dnsfunc=lambda *_, **__: record)
    return lambda: dkim.verify(signed, dnsfunc=lambda *_, **__: record)


def hashing(body: bytes) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return the contenders that hash *body*, in slices as they arrive."""
    slices = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]

    def bare() -> Callable[[], object]:
        return lambda: sha256(body).digest()

    def ours(form: Canonicalization) -> Callable[[], Callable[[], object]]:
        def run() -> None:
            body_hash = BodyHash(form)
            for part in slices:
                body_hash.feed(part)
            body_hash.finish()

        return lambda: run

    return {"floor": bare, **{it.value: ours(it) for it in Canonicalization}}


LIMIT = Limit.parse("1000/h burst 1000000")


def taking() -> Callable[[], object]:
    """Take from the buckets of 1,000 users in turn."""
    store, runtime = MemoryStates(), Runtime()
    names = cycle(f"user:user{number}" for number in range(1000))

    def take() -> None:
        demand = Demand({next(names): LIMIT})
        assert done(store.update(demand.keys, demand, runtime)).number

    return take


def bare_taking() -> Callable[[], object]:
    """Take from one bucket, without a store."""
    demand, state = Demand({"user:ann": LIMIT}), [(3.0, NOW)]
    return lambda: demand(state, NOW)


def loads(*, smoke: bool) -> list[PolicyLoad]:
    size = MIB // 16 if smoke else 10 * MIB
    return [
        PolicyLoad(
            "sign",
            "sign a message of 4 kB, RSA, 2048 bits",
            {"floor": lambda: lambda: key().sign(MESSAGE[:900]), "ours": signing}
            | {"dkimpy": dkimpy_signing},
        ),
        PolicyLoad(
            "verify",
            "verify it",
            {"floor": bare_verifying, "ours": verifying, "dkimpy": dkimpy_verifying},
        ),
        PolicyLoad("text", "hash a body of 10 MiB of words", hashing(text(size))),
        PolicyLoad("spf", "check SPF, 3 terms, from a cache", spf.contenders("ann@small.test")),
        PolicyLoad("spf-large", "check SPF, 43 terms", spf.contenders("ann@example.org")),
        PolicyLoad(
            "check",
            "check a message of 4 kB by SPF, DKIM and DMARC, and write the results",
            {"floor": bare_verifying, "ours": checking},
        ),
        PolicyLoad(
            "limit",
            "take from the bucket of a user, in memory",
            {"floor": bare_taking, "ours": taking},
        ),
        PolicyLoad("base64", "hash a body of 10 MiB of base64", hashing(attachment(size))),
    ]


def run(load: PolicyLoad, rounds: int, seconds: float) -> Figures:
    """Measure all contenders of *load*."""
    absent, measures = Absent(), dict[str, Measure]()
    for name, prepare in load.contenders.items():
        with absent.noting(name):
            measures[name] = _measure(prepare())
    counts = {name: _count(measure, seconds) for name, measure in measures.items()}
    costs = in_rounds(measures, counts, rounds, absent.noting)
    return Figures(load.name, load.title, "us of CPU", 1e6, costs, absent, absent.failed)


def _measure(function: Callable[[], object]) -> Measure:
    def measure(count: int) -> tuple[float, float]:
        began = time.process_time()
        for _ in range(count):
            function()
        return time.process_time() - began, count

    return measure


def _count(measure: Measure, seconds: float) -> int:
    measure(1)
    return max(int(seconds / max(measure(1)[0], 1e-6)), 1)
