"""Checks of SPF with all answers in a cache, for the section of policies.

pyspf, another implementation, checks the same client with the same records.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from smtpproto.adapters.blocking import Runtime, run
from smtpproto.dns import MX, Kind
from smtpproto.dns_cache import CachingResolver
from smtpproto.policy import SPFRequest, SPFResult, check_spf
from smtpproto.testing import Zone

from .processes import NotHere

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


def ours(sender: str) -> Callable[[], object]:
    resolver = CachingResolver(zone(), Runtime())
    request = SPFRequest(client=CLIENT, helo=HELO, sender=sender, now=0)

    def check() -> None:
        assert run(check_spf(request, resolver)).result is SPFResult.PASS

    return check


def pyspf(sender: str) -> Callable[[], object]:
    try:
        spf = importlib.import_module("spf")
    except ImportError:
        raise NotHere("pyspf is not installed") from None
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

    spf.DNSLookup = lookup  # type: ignore[attr-defined]
    return check


def contenders(sender: str) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return those that check *sender*."""
    return {"ours": lambda: ours(sender), "pyspf": lambda: pyspf(sender)}
