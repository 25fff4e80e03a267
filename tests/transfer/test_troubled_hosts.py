"""Hosts that failed lately: what is not tried with them again for each message."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from smtpproto import Reply
from smtpproto.mta.queue import Result
from smtpproto.mta.route import Direct
from tests.support.hosts import Host
from tests.support.queued import delivery, message
from tests.transfer.relaying import CONTENT, ROUTE, Network


def send(network: Network, *pauses: float, route: Direct = ROUTE) -> list[str]:
    """Send a message, and one more after each of *pauses*; return the addresses that got them."""

    async def script() -> list[str]:
        addresses = []
        for pause in (0.0, *pauses):
            await network.simulation.sleep(pause)
            tried = await network.relay.attempt(
                route, message(size=len(CONTENT)), [delivery()], CONTENT
            )
            addresses += [it.address for _, it in tried if it.result is Result.RELAYED]
            await network.relay.connections.close()
        return addresses

    addresses: list[str] = network.simulation.run(script())[0]
    return addresses


def silent(network: Network, numbers: Sequence[int]) -> None:
    for number in numbers:
        network.simulation.host(f"192.0.2.{number}").faults.silent = True


def test_a_host_that_could_not_be_reached_comes_last_for_some_minutes() -> None:
    network = Network()
    silent(network, [1])
    assert send(network, 1, 1, 300) == ["192.0.2.2"] * 4
    assert network.simulation.dialled == [
        "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.1", "192.0.2.2",
    ]  # fmt: skip


def test_hosts_that_all_failed_are_tried_in_their_order() -> None:
    network = Network()
    silent(network, [1, 2])
    assert send(network, 1) == []
    assert network.simulation.dialled == ["192.0.2.1", "192.0.2.2"] * 2


def test_a_host_that_closes_with_421_at_once_comes_last_until_it_works_again() -> None:
    busy = Host(greeting=Reply(421, "4.3.2", "Too busy"))
    network = Network((busy, Host()))
    assert send(network) == ["192.0.2.2"]
    silent(network, [2])
    busy.greeting = None
    assert send(network, 1) == ["192.0.2.1"] * 2
    network.simulation.host("192.0.2.2").faults.silent = False
    assert send(network) == ["192.0.2.1"]


def test_a_host_that_refuses_a_message_keeps_its_place() -> None:
    network = Network((Host(refuse_mail=Reply(451, "4.3.2", "Later"), times=1), Host()))
    assert send(network, 1) == ["192.0.2.2", "192.0.2.1"]


def test_the_memory_of_hosts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpproto.transfer.connections.REMEMBERED_HOPS", 3)
    network = Network(tuple(Host() for _ in range(5)))
    silent(network, range(1, 6))
    assert send(network) == []
    assert len(network.relay._troubled._until) <= 3
