"""Routes by the records of a real name server, on all three adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import trio

from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.dns import SRV, Answer, Kind, Status
from smtpproto.dns_cache import CachingResolver
from smtpproto.errors import NoRoute
from smtpproto.mta.exchangers import Exchanger, Self, exchangers
from tests.interop.nsd import name_server

pytest.importorskip("dns")

from smtpproto.adapters.dnspython import DNSResolver

pytestmark = pytest.mark.peer("nsd")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def run_trio(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def main() -> Any:
        return await coroutine

    return trio.run(main)


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    with name_server() as found:
        yield found


@pytest.fixture(
    params=[
        (asyncio.run, on_asyncio.Runtime),
        (run_trio, on_trio.Runtime),
        (on_sockets.run, on_sockets.Runtime),
    ],
    ids=["asyncio", "trio", "blocking"],
)
def adapter(request: pytest.FixtureRequest) -> tuple[Run, Any]:
    found: tuple[Run, Any] = request.param
    return found


@pytest.fixture
def ask(adapter: tuple[Run, Any], port: int) -> Callable[[str, Kind], Answer]:
    def asks(name: str, kind: Kind = Kind.MX) -> Answer:
        resolver = DNSResolver(["127.0.0.1"], port=port, lifetime=5)
        answer: Answer = adapter[0](resolver.lookup(name, kind))
        return answer

    return asks


@pytest.fixture
def route(adapter: tuple[Run, Any], port: int) -> Callable[[str], list[Exchanger]]:
    def routes(domain: str) -> list[Exchanger]:
        run, runtime = adapter
        resolver = CachingResolver(DNSResolver(["127.0.0.1"], port=port, lifetime=5), runtime())

        async def collect() -> list[Exchanger]:
            return [host async for host in exchangers(domain, resolver, Self(), list)]

        found: list[Exchanger] = run(collect())
        return found

    return routes


@pytest.mark.parametrize(
    ("domain", "hosts"),
    [
        ("example.test", [("mx1", 10), ("mx2", 20)]),
        ("alias.example.test", [("mx1", 10), ("mx2", 20)]),
        ("ours.example.test", [("mx1", 10)]),
        ("any.wild.example.test", [("mx1", 10)]),
        ("implicit.example.test", [("implicit", 0)]),
    ],
)
def test_the_hosts_of_a_domain(
    route: Callable[[str], list[Exchanger]], domain: str, hosts: list[tuple[str, int]]
) -> None:
    found = route(domain)
    assert [(host.name, host.preference) for host in found] == [
        (f"{name}.example.test", preference) for name, preference in hosts
    ]


def test_a_host_has_its_addresses_of_both_families(
    route: Callable[[str], list[Exchanger]],
) -> None:
    assert route("example.test")[0].addresses == ("2001:db8::1", "192.0.2.1")


@pytest.mark.parametrize(
    ("domain", "reply"),
    [
        ("gone.example.test", "550 5.1.2"),
        ("dangling.example.test", "550 5.1.2"),
        ("text.example.test", "550 5.1.2"),
        ("null.example.test", "556 5.1.10"),
        ("no-host.example.test", "550 5.4.4"),
        ("here.example.test", "550 5.4.6"),
        ("not-served.test", "451 4.4.3"),
    ],
)
def test_a_domain_without_hosts(
    route: Callable[[str], list[Exchanger]], domain: str, reply: str
) -> None:
    with pytest.raises(NoRoute) as caught:
        route(domain)
    assert str(caught.value.reply).startswith(reply)


def test_answers_have_the_times_of_the_zone(ask: Callable[..., Answer]) -> None:
    assert ask("example.test").ttl == 300
    assert ask("example.test", Kind.A).status is Status.NO_DATA
    assert ask("example.test", Kind.A).ttl == 60
    assert ask("gone.example.test").ttl == 60
    assert ask("example.test", Kind.TXT).octets == (b"v=spf1 -all",)
    assert not ask("example.test").authentic


def test_the_hosts_of_a_service_are_found(ask: Callable[..., Answer]) -> None:
    found = ask("_submissions._tcp.example.test", Kind.SRV).services
    assert sorted(found, key=lambda it: it.target) == [
        SRV(priority=0, weight=3, port=465, target="mail1.example.test"),
        SRV(priority=0, weight=1, port=465, target="mail2.example.test"),
    ]
    [refused] = ask("_submission._tcp.example.test", Kind.SRV).services
    assert (refused.port, refused.target) == (0, "")
