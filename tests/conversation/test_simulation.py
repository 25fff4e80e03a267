"""The simulation itself: its clock, deadlocks, and ports without a server."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, ConnectFailed
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Deadlock, Simulation


def test_a_read_times_out_by_the_simulated_clock() -> None:
    simulation = Simulation(1)

    async def silent() -> float:
        near, _ = simulation.pair()
        with pytest.raises(TimeoutError):
            await near.read(300)
        return simulation.now()

    assert simulation.run(silent()) == [300]


def test_a_read_that_can_never_end_raises_deadlock() -> None:
    simulation = Simulation(1)

    async def silent() -> None:
        near, _ = simulation.pair()
        await near.read(None)

    with pytest.raises(Deadlock):
        simulation.run(silent())


def test_a_port_without_a_server_raises_connect_failed() -> None:
    simulation = Simulation(1)
    with pytest.raises(ConnectFailed):
        simulation.run(open_client(simulation, "mx.example", 26, ClientConfig()))
