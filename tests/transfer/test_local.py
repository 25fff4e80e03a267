"""Deliveries by functions that block: how many run at the same time."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from smtpproto.mta.route import Local
from smtpproto.testing import Simulation
from smtpproto.transfer.local import LocalDelivery
from tests.delivery.samples import ANN, CONTENT, queued


@pytest.mark.parametrize("is_async", [False, True])
def test_functions_that_block_leave_threads_to_others(is_async: bool) -> None:
    """Others are logins, and the queue. Those that fail free their places, too."""
    simulation = Simulation(1)
    running: set[object] = set()
    counts: list[int] = []

    async def slow() -> None:
        running.add(me := object())
        counts.append(len(running))
        await simulation.sleep(1)
        running.remove(me)
        if len(counts) % 2:
            raise ZeroDivisionError

    def plain(*_: object) -> Coroutine[Any, Any, None]:
        return slow()

    async def function(*_: object) -> None:
        await slow()

    here, route = LocalDelivery(simulation), Local(function if is_async else plain)

    async def attempt() -> None:
        [(_, attempt)] = await here.attempt(route, *queued(ANN), CONTENT)
        assert attempt.seconds >= 1

    async def scenario() -> None:
        async with simulation.tasks() as tasks:
            for _ in range(40):
                tasks.start(attempt())

    simulation.run(scenario())
    assert len(counts) == 40
    assert max(counts) == (40 if is_async else 16)
