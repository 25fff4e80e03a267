"""Measure checks of SPF with all answers in a cache: ``python -m bench.spf``.

pyspf, another implementation, checks the same client with the same records.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import spf

from smtpproto.adapters.blocking import Runtime, run
from smtpproto.dns import MX, Kind
from smtpproto.dns_cache import CachingResolver
from smtpproto.policy import SPFRequest, SPFResult, check_spf
from smtpproto.policy.spf_record import read_terms
from smtpproto.testing import Zone

ROUNDS, CALLS = 7, 400
RECORDS = {
    "example.org": "v=spf1 mx include:_spf.mail.test include:news.test ip4:198.51.100.0/24 ~all",
    "_spf.mail.test": "v=spf1 include:_1.mail.test include:_2.mail.test include:_3.mail.test ~all",
    **{
        f"_{part}.mail.test": " ".join(
            ["v=spf1", *(f"ip4:10.{part}.{it}.0/20" for it in range(10)), "~all"]
        )
        for part in (1, 2, 3)
    },
    "news.test": "v=spf1 ip4:203.0.113.0/24 ip4:192.0.2.0/24 ~all",
    "small.test": "v=spf1 mx ip4:192.0.2.0/24 -all",
}
HOSTS = {"mx1.example.org": "203.0.113.1", "mx2.example.org": "203.0.113.2"}
CLIENT, HELO = "192.0.2.77", "mx.example.org"


def zone() -> Zone:
    """Six terms that ask the DNS, and 43 terms in all, as large senders have them."""
    names: Any = {name: {Kind.TXT: [record.encode()]} for name, record in RECORDS.items()}
    for name in ("example.org", "small.test"):
        names[name][Kind.MX] = [MX(10, host) for host in HOSTS]
    return Zone({**names, **{host: {Kind.A: [address]} for host, address in HOSTS.items()}})


def microseconds(call: Callable[[], object]) -> float:
    """Return the CPU time of *call*: the median of the rounds."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(rounds)


def ours(sender: str) -> Callable[[], object]:
    resolver = CachingResolver(zone(), Runtime())
    request = SPFRequest(client=CLIENT, helo=HELO, sender=sender, now=0)

    def check() -> None:
        assert run(check_spf(request, resolver)).result is SPFResult.PASS

    return check


def pyspf(sender: str) -> Callable[[], object]:
    names = zone()

    def lookup(name: str, kind: str, *_: object) -> list[Any]:
        found = run(names.lookup(name, Kind[kind])).records
        return [
            ((name, kind), (it.preference, it.exchange) if isinstance(it, MX) else
             (it,) if isinstance(it, bytes) else it)
            for it in found
        ]  # fmt: skip

    def check() -> None:
        assert spf.query(i=CLIENT, s=sender, h=HELO).check()[0] == "pass"

    spf.DNSLookup = lookup
    return check


def main() -> None:
    for title, sender in (("3 terms", "ann@small.test"), ("43 terms", "ann@example.org")):
        print(f"{title:>10}: {microseconds(ours(sender)):7.0f} us")
        print(f"{'pyspf':>10}: {microseconds(pyspf(sender)):7.0f} us")
    record = RECORDS["_1.mail.test"]
    print(f"{'parsing':>10}: {microseconds(lambda: [*read_terms(record)]):7.0f} us")


if __name__ == "__main__":
    main()
