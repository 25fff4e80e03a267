"""SPF against pyspf, an independent implementation, over generated zones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Kind, Record, Status
from smtpproto.policy.spf import SPFRequest, check_spf
from smtpproto.policy.spf_evaluation import reverse_name
from smtpproto.testing import Mood, Zone

spf: Any = pytest.importorskip("spf")

DOMAINS = ["a.example", "b.example", "c.example", "d.example", "e.example", "x.a.example"]
CLIENTS = ["192.0.2.1", "192.0.2.77", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"]
NAMES = [*DOMAINS, "gone.example", "A.Example"]
SPECS = [*NAMES, *NAMES, "%{d}", "%{l}.a.example", "%{d2}", "x.%{o}", "%{h1}.a.example", "%{P}",
         "%{ir}.%{v}.b.example", "%{o1r}.a.example", "%{l-}.example", "a..example", "example",
         "%{x}", "b.example."]  # fmt: skip
MECHANISMS = ["a", "mx", "ptr", "a:{}", "mx:{}", "ptr:{}", "include:{}", "include:{}", "exists:{}",
              "a:{}/24", "mx:{}/25//48", "a//64", "ip4:192.0.2.0/25", "ip4:192.0.2.1",
              "ip4:198.51.100.0/24", "ip6:2001:db8::/48", "ip6:::ffff:192.0.2.1"]  # fmt: skip
ODD = ["moo", "a:{}/33", "ip4:1.2.3", "all:{}", "include", "-x=y", "x=y", "x=%", "redirect={}"]


class Author:
    """Writes zones, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def zone(self) -> Zone:
        zone = Zone()
        for name in DOMAINS:
            zone.records[name] = self._records(is_first=name == DOMAINS[0])
        for client in CLIENTS:
            zone.records[reverse_name(ip_address(client))] = {
                Kind.PTR: self._some([it.lower() for it in NAMES], 2)
            }
        if self._dice.random() < 0.5:
            kind = self._dice.choice([Kind.TXT, Kind.MX])
            zone.moods[self._dice.choice(DOMAINS[1:]), kind] = Mood(Status.FAILED)
        return zone

    def client(self) -> str:
        return self._dice.choice(CLIENTS)

    def _some(self, values: list[str], most: int) -> list[str]:
        return self._dice.sample(values, self._dice.randint(0, most))

    def _records(self, *, is_first: bool) -> dict[Kind, Sequence[Record]]:
        addresses = self._some(CLIENTS, 3)
        has_record = is_first or self._dice.random() < 0.8
        return {
            Kind.TXT: [b"x", *([self._record().encode()] if has_record else [])],
            Kind.A: [it for it in addresses if "." in it],
            Kind.AAAA: [it for it in addresses if ":" in it],
            Kind.MX: [MX(10, it.lower()) for it in self._some(NAMES, 2)],
        }

    def _record(self) -> str:
        choice = self._dice.choice
        terms = [
            choice(["", "", "-", "~", "?"]) + choice(MECHANISMS) for _ in range(choice([1, 2, 4]))
        ]
        if self._dice.random() < 0.1:
            terms.append(choice(ODD))
        terms.append(choice(["", "-all", "~all", "?all", "all", "redirect={}", "exp={}"]))
        return " ".join(["v=spf1", *[term.format(choice(SPECS)) for term in terms if term]])


def pyspf(zone: Zone, client: str) -> tuple[str, str]:
    """The result of pyspf, and why."""

    def lookup(name: str, kind: str, *ignored: Any, **also: Any) -> list[Any]:
        if kind not in Kind.__members__:
            return []
        answer = run(zone.lookup(name, Kind[kind]))
        if not answer.known:
            raise spf.TempError("DNS failed")
        return [((name, kind), _theirs(record)) for record in answer.records]

    query = spf.query(i=client, s="ann@a.example", h="mx.helo.example", strict=1)
    original, spf.DNSLookup = spf.DNSLookup, lookup
    try:
        result, _, why = query.check()
    finally:
        spf.DNSLookup = original
    return result, why


def _theirs(record: object) -> object:
    if isinstance(record, MX):
        return record.preference, record.exchange
    return (record,) if isinstance(record, bytes) else record


def compare(seed: int) -> None:
    """Compare the results for the zone and the client of *seed*.

    pyspf counts each question that finds nothing, and we count terms; so neither counts them here.
    It also refuses a record that includes itself before it evaluates the terms before that, and
    counts redirect= even if that is not followed.
    """
    author = Author(seed)
    zone, client = author.zone(), author.client()
    request = SPFRequest(client=client, helo="mx.helo.example", sender="ann@a.example", now=1e9)
    ours = run(check_spf(request, zone, voids=99))
    theirs, why = pyspf(zone, client)
    early = "trivial recursion" in why or "Too many DNS lookups" in why
    assert early or ours.result.value == theirs, f"seed {seed}: {why}\n{ours}\n{zone.records}"


@pytest.fixture(autouse=True)
def without_void_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spf, "MAX_VOID_LOOKUPS", 99)


@pytest.mark.parametrize("hundred", range(2))
def test_pyspf_comes_to_the_same_results(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        compare(seed)


def test_an_ipv4_mapped_client_has_the_result_of_its_ipv4_address() -> None:
    for seed in range(50):
        zone = Author(seed).zone()
        found = [
            run(
                check_spf(SPFRequest(client=it, helo="x.test", sender="ann@a.example", now=0), zone)
            )
            for it in ("192.0.2.1", "::ffff:192.0.2.1")
        ]
        assert found[0] == found[1]


@pytest.mark.soak
@pytest.mark.parametrize("thousand", range(20))
def test_pyspf_comes_to_the_same_results_for_many_zones(thousand: int) -> None:
    for seed in range(1000 * thousand, 1000 * thousand + 1000):
        compare(seed)
