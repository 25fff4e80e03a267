"""Hosts of a simulation: addresses, faults of their networks, crashes, and the cost of a step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    ConnectFailed,
    ConnectionLost,
    Handler,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    TimedOut,
    Timeouts,
)
from smtpproto.client.connection import open_client
from smtpproto.testing import Task, Wait
from smtpproto.testing.simulation import SimulatedHost, Simulation
from tests.support.envelopes import TO_BOB

CONFIG = ServerConfig()


@define(eq=False)
class Inbox(Handler):
    """Counts sessions and messages."""

    peers: list[tuple[str, int]] = field(factory=list)
    messages: int = 0

    def connect(self, session: Session) -> Reply | None:
        self.peers.append(session.peer)
        return None

    def message(self, session: Session, envelope: Any, content: Any) -> Reply | None:
        self.messages += 1
        return None


def world(*addresses: str, seed: int = 1) -> tuple[Simulation, dict[str, Inbox]]:
    """Return a simulation with a server at each of *addresses*."""
    simulation, inboxes = Simulation(seed), {address: Inbox() for address in addresses}
    for address, inbox in inboxes.items():
        simulation.listen(25, inbox, CONFIG, host=address)
    return simulation, inboxes


async def send(source: Simulation | SimulatedHost, address: str, **options: Any) -> None:
    async with await open_client(source, address, 25, ClientConfig(**options)) as client:
        await client.send(b"hello\r\n", TO_BOB)


def test_a_message_reaches_the_host_whose_address_was_dialled() -> None:
    simulation, inboxes = world("192.0.2.7", "192.0.2.8")
    simulation.run(send(simulation, "192.0.2.8"))
    assert [inbox.messages for inbox in inboxes.values()] == [0, 1]


def test_a_host_connects_from_its_own_address_and_from_a_new_port_each_time() -> None:
    simulation, inboxes = world("192.0.2.7")
    source = simulation.host("192.0.2.9")
    simulation.run(send(source, "192.0.2.7"), send(source, "192.0.2.7"))
    peers = inboxes["192.0.2.7"].peers
    assert {address for address, _ in peers} == {"192.0.2.9"} and len(set(peers)) == 2


def test_a_server_without_a_host_answers_at_all_other_addresses() -> None:
    simulation, inboxes = world("192.0.2.7")
    anywhere = Inbox()
    simulation.listen(25, anywhere, CONFIG)
    simulation.run(send(simulation, "mx.example"), send(simulation.host("192.0.2.9"), "192.0.2.1"))
    assert anywhere.messages == 2 and inboxes["192.0.2.7"].messages == 0


def _refuse(host: SimulatedHost) -> None:
    host.faults.refuses = True


def _silence(host: SimulatedHost) -> None:
    host.faults.silent = True


def _listen_elsewhere(host: SimulatedHost) -> None:
    host._servers[587] = host._servers.pop(25)


@pytest.mark.parametrize(
    ("fault", "error", "seconds"),
    [(_refuse, ConnectFailed, 0), (_listen_elsewhere, ConnectFailed, 0), (_silence, TimedOut, 30)],
)
def test_a_host_that_does_not_answer_raises_at_the_connection(
    fault: Callable[[SimulatedHost], None], error: type[Exception], seconds: float
) -> None:
    simulation, _ = world("192.0.2.7")
    fault(simulation.host("192.0.2.7"))
    with pytest.raises(error):
        simulation.run(send(simulation, "192.0.2.7", timeouts=Timeouts(connect=30)))
    assert simulation.now() == seconds


def test_the_network_of_a_host_may_be_slow() -> None:
    simulation, inboxes = world("192.0.2.7")
    simulation.host("192.0.2.7").faults.latency = 3
    simulation.run(send(simulation, "192.0.2.7"))
    assert inboxes["192.0.2.7"].messages == 1 and simulation.now() >= 15


@pytest.mark.parametrize("seed", range(8))
def test_a_host_that_falls_silent_makes_its_clients_time_out(seed: int) -> None:
    simulation, inboxes = world("192.0.2.7", seed=seed)
    host = simulation.host("192.0.2.7")

    class Silencing(Inbox):
        def mail(self, session: Session, sender: Any, parameters: Any) -> None:
            host.faults.silent = True

    host.listen(25, Silencing(), CONFIG)
    with pytest.raises(TimedOut):
        simulation.run(send(simulation, "192.0.2.7"))
    assert inboxes["192.0.2.7"].messages == 0


def test_a_host_can_cut_a_connection_after_it_has_accepted_the_message() -> None:
    simulation, _ = world("192.0.2.7")
    host = simulation.host("192.0.2.7")

    class Cutting(Inbox):
        def message(self, session: Session, envelope: Any, content: Any) -> None:
            super().message(session, envelope, content)
            host.cut(session.peer)

    inbox = Cutting()
    host.listen(25, inbox, CONFIG)

    async def talk() -> Any:
        async with await open_client(simulation, "192.0.2.7", 25, ClientConfig()) as client:
            return await client.send(b"hello\r\n", TO_BOB)

    (outcome,) = simulation.run(talk())
    assert [*outcome.unknown] == ["bob@example.org"] and inbox.messages == 1


# -- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_crash_ends_what_runs_on_the_host_and_breaks_its_connections(seed: int) -> None:
    simulation, _ = world("192.0.2.7", seed=seed)
    host, done = simulation.host("192.0.2.7"), list[str]()

    class Crashing(Inbox):
        async def mail(self, session: Session, sender: Any, parameters: Any) -> None:
            host.crash(lambda: done.append("crashed"))
            await host.forever()
            done.append("went on")

    async def work() -> None:
        try:
            await host.sleep(1000)
            done.append("worked")
        finally:
            await host.sleep(1)
            done.append("cleaned up")

    host.start(work())
    host.listen(25, Crashing(), CONFIG)
    with pytest.raises((ConnectionLost, SendRefused)):
        simulation.run(send(simulation, "192.0.2.7"))
    assert done == ["crashed"] and simulation.now() < 1000
    with pytest.raises(ConnectFailed):
        simulation.run(send(simulation, "192.0.2.7"))


def test_a_crash_ends_the_generators_in_which_a_task_waits() -> None:
    simulation, ended = Simulation(1), list[str]()
    host = simulation.host("192.0.2.7")

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            await host.sleep(1000)
            yield 1
        finally:
            ended.append("inner")

    async def more() -> AsyncGenerator[int, None]:
        async with aclosing(numbers()) as found:
            async for number in found:
                yield number

    async def work() -> None:
        async with aclosing(more()) as found:
            async for _ in found:
                pass

    async def crash() -> None:
        await simulation.sleep(1)
        host.crash()

    host.start(work())
    simulation.run(crash())
    assert ended == ["inner"] and simulation.now() == 1


def test_what_runs_on_other_hosts_survives_a_crash() -> None:
    simulation, _ = world("192.0.2.7")
    done = list[str]()

    async def work() -> None:
        await simulation.sleep(1000)
        done.append("worked")

    simulation.host("192.0.2.8").start(work())
    simulation.host("192.0.2.7").crash()
    simulation.run()
    assert done == ["worked"]


def test_what_a_task_of_a_host_raises_is_raised_by_run() -> None:
    simulation = Simulation(1)

    async def fail() -> None:
        raise KeyError("bug")

    async def wait() -> None:
        async with simulation.tasks() as tasks:
            tasks.start(fail())
            await simulation.sleep(1e6)

    with pytest.raises(KeyError):
        simulation.run(wait())
    assert simulation.now() == 0 and not simulation._tasks


# -- costs -------------------------------------------------------------------------------------


def steps_and_looks(waiting: int) -> tuple[int, int]:
    """Return the steps of one exchange while *waiting* coroutines wait, and how often the
    scheduler looked whether one of these may go on."""
    simulation, looks = Simulation(1), 0
    simulation.listen(25, Inbox(), CONFIG, host="192.0.2.7")

    async def wait() -> None:
        nonlocal looks
        near, _ = simulation.pair()

        def has_input() -> bool:
            nonlocal looks
            looks += 1
            return False

        await simulation.wait(has_input, 1e6, near._source)

    simulation.run(*[wait() for _ in range(waiting)], send(simulation, "192.0.2.7"))
    return simulation.steps - 2 * waiting, looks // max(waiting, 1)


def test_a_step_looks_at_no_coroutine_that_waits_for_something_else() -> None:
    assert steps_and_looks(500)[1] == steps_and_looks(5)[1] < 10


def test_a_seed_reproduces_a_run() -> None:
    def trace(seed: int) -> list[Any]:
        simulation, inboxes = world("192.0.2.7", "192.0.2.8", seed=seed)
        source = simulation.host("192.0.2.9")
        simulation.run(*[send(source, address) for address in [*inboxes] * 3])
        return [simulation.steps, simulation.operations, simulation.dice.random()]

    assert trace(3) == trace(3) != trace(4)


class CountsParking(Simulation):
    """Counts how often the scheduler puts a task aside."""

    parked = 0

    def _park(self, task: Task, wait: Wait) -> None:
        self.parked += 1
        super()._park(task, wait)


def test_the_tasks_that_share_a_semaphore_are_woken_one_by_one() -> None:
    simulation, tasks = CountsParking(1), 1000
    semaphore = simulation.semaphore(2)

    async def take() -> None:
        await semaphore.acquire()
        await simulation.checkpoint()
        semaphore.release()

    simulation.run(*(take() for _ in range(tasks)))
    assert simulation.parked <= 4 * tasks
