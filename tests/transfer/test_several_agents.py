"""Several agents deliver from one queue, and let others see how destinations are doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast

from attrs import define

from smtpproto import Envelope, Reply, Session
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.bounce import Reporter
from smtpproto.mta.destination_stats import DestinationStats
from smtpproto.mta.judge import Judge
from smtpproto.mta.queue import Result
from smtpproto.mta.schedule import Schedule
from smtpproto.mta.settlement import Fate
from smtpproto.mta.sharing import share_of
from smtpproto.mta.store import QueueStore
from smtpproto.transfer.agent import Agent
from tests.support.hosts import Host, Hosts
from tests.transfer.relaying import Network
from tests.transfer.working import Working

HOUR = 3600.0


@define(eq=False)
class Member:
    """What one of several machines sees of a queue."""

    number: int
    machines: int
    queue: QueueStore

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    def share(self, limit: int, what: str) -> int:
        return share_of(limit, what, self.number, range(self.machines))


class Slow(Host):
    """Takes a while for each message, and counts how many come at the same time."""

    simulation: Any
    busy = most = 0
    tries = 0  # before it was there

    async def _message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        await self.simulation.sleep(self.simulation.dice.randint(1, 20))
        self.busy -= 1
        return super().message(session, envelope, body)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        return self._message(session, envelope, body)


def relay(machines: int, limit: int, messages: int, *, back: float = 0, seed: int = 1) -> Slow:
    """Let *machines* relay *messages* to a host that is dead until *back*. It takes two hours more
    at most."""
    host = Slow()
    network = Network((host,), simulation=Hosts(seed))
    simulation = host.simulation = network.simulation
    working = Working(network)
    limits = ScheduleLimits(window=min(limit, 5), largest_window=limit)
    agents = []
    for number in range(machines):
        store = cast(QueueStore, Member(number, machines, working.store))
        schedule, reporter = Schedule(limits, store.share), Reporter(hostname="mx.us.test")
        judge = Judge(working.retry)
        agents.append(
            Agent(simulation, store, working.routes, network.relay, reporter, judge, schedule)
        )

    async def scenario() -> None:
        for _ in range(messages):
            await working.store.put([working.queued()])
            for agent in agents:
                agent.changed()
            await simulation.sleep(simulation.dice.randint(0, 3))
        await simulation.sleep(max(back - simulation.now(), 0))
        host.tries = len(simulation.dialled)
        simulation.host("192.0.2.1").faults.silent = False
        await simulation.sleep(2 * HOUR)
        for agent in agents:
            agent.stop()
        ended = working.ended(await working.entries())
        assert Counter(it.fate for it in ended) == {Fate.RELAYED: messages}
        assert len(host.received) == messages

    async def script() -> None:
        simulation.host("192.0.2.1").faults.silent = back > 0
        await working.store.open(simulation)
        async with simulation.tasks() as tasks:
            for agent in agents:
                tasks.start(agent.run())
            await scenario()

    simulation.run(script())
    assert host.most <= limit
    return host


def test_the_limit_of_a_destination_holds_for_all_agents_together(
    seeds: Callable[[int, int], Iterator[int]],
) -> None:
    most = set()
    for seed in seeds(60, 6):
        machines, limit = 1 + seed % 5, 1 + seed % 7
        most.add(limit - relay(machines, limit, 40, seed=seed).most)
    assert 0 in most


def test_each_agent_finds_out_that_a_host_is_dead_and_tries_it_ever_more_rarely() -> None:
    one, four = (relay(machines, 4, 40, back=6 * HOUR).tries for machines in (1, 4))
    assert 10 < one < 20
    assert four <= 4 * one


def test_others_see_the_windows_of_an_agent_as_long_as_it_works() -> None:
    working = Working(Network((Host(),)), limits=ScheduleLimits(window=2))
    simulation, seen = working.network.simulation, []

    async def scenario() -> None:
        seen.append((await working.store.stats()).destinations)
        simulation.host("192.0.2.1").faults.silent = True
        await working.store.put([working.queued() for _ in range(2)])
        working.agent.wake()
        for seconds in (10, 60, 3 * HOUR):
            await simulation.sleep(seconds)
            seen.append((await working.store.stats()).destinations)

    working.run(scenario)
    [nothing, running, paused, later] = seen
    assert nothing == {}
    fresh = DestinationStats(window=2, running=2, paused_until=None, trouble=None)
    assert running == {"example.net": fresh}
    [dead] = paused.values()
    assert dead.paused_until is not None and dead.trouble is not None
    assert (dead.window, dead.running, dead.trouble.result) == (1, 0, Result.UNREACHED)
    assert later["example.net"].paused_until != dead.paused_until
    assert working.store._known == {}  # type: ignore[attr-defined]
