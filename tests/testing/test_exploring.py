"""``explore`` finds the seed with which a scene fails, and shows what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import ClientConfig, Envelope, Handler, ServerConfig, Session
from smtpproto.client.connection import open_client
from smtpproto.sasl import PlainPasswords
from smtpproto.testing import SeedFailed, Simulation, explore
from tests.support.envelopes import TO_BOB


class Counting(Handler):
    """Counts messages, and reads the number before the await."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.count = self.kept = 0

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        count = self.count
        await self.simulation.checkpoint()
        self.kept += 1
        self.count = count + 1


def scene(simulation: Simulation) -> None:
    handler = Counting(simulation)
    users = PlainPasswords({"ann": "secret"})
    simulation.listen(25, handler, ServerConfig(authenticator=users, auth_in_clear=True))

    async def client() -> Any:
        config = ClientConfig(tls="none", login=("ann", "secret"), login_in_clear=True)
        async with await open_client(simulation, "mx.example", 25, config) as client:
            return await client.send(b"hello\r\n", TO_BOB)

    simulation.run(client(), client(), return_errors=True)
    assert handler.count == handler.kept


def failure_of(scene: Callable[[Simulation], object], **options: Any) -> SeedFailed:
    with pytest.raises(SeedFailed) as caught:
        explore(scene, **options)
    return caught.value


def test_the_seed_that_was_found_fails_again_with_the_same_trace() -> None:
    failed = failure_of(scene)
    again = failure_of(scene, seeds=[failed.seed])
    assert str(again.trace) == str(failed.trace) and isinstance(failed.error, AssertionError)
    assert f"seeds=[{failed.seed}]" in str(failed)
    assert "\nin scene, test_exploring.py:42: assert handler.count == handler.kept\n" in str(failed)


def test_the_trace_says_who_waited_where_and_shows_no_secret() -> None:
    text = str(failure_of(scene))
    line = "Counting.message, test_exploring.py:26: await self.simulation.checkpoint()"
    assert {f"server {number}     waits in {line}" in text for number in (1, 2)} == {True}
    assert "client 1     connects to server" in text and "C: MAIL FROM:<ann@example.org>" in text
    assert "secret" not in text.replace('"secret"', "") and "AGFubgBzZWNyZXQ" not in text


def test_each_seed_chooses_a_fault_which_the_text_names() -> None:
    def no_message_is_lost(simulation: Simulation) -> None:
        handler = Counting(simulation)
        simulation.listen(25, handler, ServerConfig())

        async def client() -> Any:
            config = ClientConfig(tls="none")
            async with await open_client(simulation, "mx.example", 25, config) as client:
                return await client.send(b"hello\r\n", TO_BOB)

        simulation.run(client(), return_errors=True)
        assert handler.kept == 1

    explore(no_message_is_lost, 20)
    explore(no_message_is_lost, 20, faults=["jump"])
    failed = failure_of(no_message_is_lost, faults=["cut"])
    [(name, at)] = failed.points.items()
    assert name == "cut_at" and f"scene(Simulation({failed.seed}, cut_at={at}))" in str(failed)
    assert "the connection breaks" in str(failed)
    with pytest.raises(AssertionError):
        no_message_is_lost(Simulation(failed.seed, **failed.points))


def test_a_scene_that_fails_only_once_is_named_as_such() -> None:
    runs = list[Simulation]()

    def fails_once(simulation: Simulation) -> None:
        runs.append(simulation)
        assert len(runs) != 3

    with pytest.raises(AssertionError, match="fails with seed 2, but not when it is repeated"):
        explore(fails_once)


def test_a_scene_without_end_fails_and_leaves_no_task() -> None:
    def endless(simulation: Simulation) -> None:
        async def spin() -> None:
            while True:
                await simulation.checkpoint()

        simulation.run(spin())

    failed = failure_of(endless, max_steps=100)
    assert "Livelock" in str(failed) and "waits in" in str(failed)


def test_a_long_trace_keeps_its_last_lines() -> None:
    def long(simulation: Simulation) -> None:
        simulation.listen(25, Counting(simulation), ServerConfig())

        async def client() -> None:
            for _ in range(100):
                await open_client(simulation, "mx.example", 25, ClientConfig(tls="none"))
            raise KeyError("bug")

        simulation.run(client())

    text = str(failure_of(long))
    assert "older lines)\n" in text and len(text.splitlines()) < 510


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="no fault: cuts; there are cut, stall"):
        explore(scene, faults=["cuts"])  # type: ignore[list-item]


def test_a_test_that_would_try_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are no seeds"):
        explore(scene, seeds=0)
    with pytest.raises(ValueError, match="there are no seeds"):
        explore(scene, seeds=[])
    with pytest.raises(TypeError, match=r"pass \['cut'\]"):
        explore(scene, faults="cut")  # type: ignore[arg-type]

    async def never_awaited(simulation: Simulation) -> None: ...

    with pytest.raises(TypeError, match="a scene is a plain function"):
        explore(never_awaited, seeds=1)
