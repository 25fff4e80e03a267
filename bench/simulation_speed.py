"""Measure how many steps a second a simulation takes: ``python -m bench.simulation_speed``.

A step resumes one task. Each row is a kind of task, each column a number of tasks that run at the
same time: a step should cost the same in all columns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from smtpproto import ClientConfig, Envelope, Limits, ServerConfig
from smtpproto.client.connection import open_client
from smtpproto.testing import Inbox, Simulation

NUMBERS = (10, 1_000, 10_000)
STEPS = 60_000  # of each measurement, about

Work = Callable[[Simulation, int], list[Coroutine[Any, Any, Any]]]


def turns(simulation: Simulation, tasks: int) -> list[Coroutine[Any, Any, Any]]:
    """Tasks that only give way to each other."""

    async def turn() -> None:
        for _ in range(STEPS // tasks):
            await simulation.checkpoint()

    return [turn() for _ in range(tasks)]


def clocks(simulation: Simulation, tasks: int) -> list[Coroutine[Any, Any, Any]]:
    """Tasks that sleep, each for times of its own."""

    async def sleep(number: int) -> None:
        for _ in range(STEPS // tasks):
            await simulation.sleep(1 + number / tasks)

    return [sleep(number) for number in range(tasks)]


def slots(simulation: Simulation, tasks: int) -> list[Coroutine[Any, Any, Any]]:
    """Tasks that share a semaphore of two slots."""
    semaphore = simulation.semaphore(2)

    async def take() -> None:
        for _ in range(max(1, STEPS // tasks // 2)):
            await semaphore.acquire()
            await simulation.checkpoint()
            semaphore.release()

    return [take() for _ in range(tasks)]


def sessions(simulation: Simulation, tasks: int) -> list[Coroutine[Any, Any, Any]]:
    """Clients of one host that each send a message to one server."""
    here, envelope = simulation.host("192.0.2.1"), Envelope("ann@example.org", "bob@example.org")
    limits = Limits(connections=tasks, connections_per_network=tasks)
    simulation.listen(25, Inbox(), ServerConfig(limits=limits), "192.0.2.25")

    async def send() -> None:
        async with await open_client(here, "192.0.2.25", 25, ClientConfig(tls="none")) as client:
            await client.send(b"Subject: hello\r\n\r\nhello\r\n", envelope)

    return [send() for _ in range(tasks)]


def speed(work: Work, tasks: int) -> float:
    """Return the steps in a second of CPU."""
    simulation = Simulation(1)
    coroutines = work(simulation, tasks)
    began = time.process_time()
    simulation.run(*coroutines)
    return simulation.steps / (time.process_time() - began)


def main() -> None:
    print(f"{'steps/s':10}", *(f"{number:>9,}" for number in NUMBERS))
    for work in (turns, clocks, slots, sessions):
        speeds = [speed(work, number) for number in NUMBERS]
        print(f"{work.__name__:10}", *(f"{one:9,.0f}" for one in speeds), flush=True)


if __name__ == "__main__":
    main()
