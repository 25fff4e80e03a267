"""The faults that a simulation injects at a point of the run, and the trace of what happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    Envelope,
    Handler,
    Outcome,
    ServerConfig,
    Session,
    TimedOut,
    Timeouts,
)
from smtpproto.client.connection import open_client
from smtpproto.testing import Cancelled, Livelock, SimulatedSemaphore, Simulation, Wait
from smtpproto.testing.fault_points import FAULTS
from smtpproto.testing.scheduler import always
from tests.support.envelopes import TO_BOB


@define(eq=False)
class Store(Handler):
    """Takes its time to store a message."""

    _simulation: Simulation
    kept: list[bytes] = field(factory=list)
    tidied: int = 0

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        await self._simulation.sleep(1)
        self.kept.append(body)

    async def close(self, session: Session) -> None:
        await self._simulation.sleep(1)
        self.tidied += 1


async def send(simulation: Simulation) -> Any:
    async with await open_client(simulation, "mx.example", 25, ClientConfig(tls="none")) as client:
        return await client.send(b"hello\r\n", TO_BOB)


def play(seed: int, **options: Any) -> tuple[Simulation, Store, Any]:
    """Return the simulation of one message, the handler, and the outcome or the error."""
    simulation = Simulation(seed, **options)
    store = Store(simulation)
    simulation.listen(25, store, ServerConfig())
    [result] = simulation.run(send(simulation), return_errors=True)
    return simulation, store, result


QUIET, _, _ = play(0, cancel_at=-1)


def kind(result: Any) -> str:
    """Return what the client knows."""
    if isinstance(result, Outcome):
        return "accepted" if result.accepted else "unknown"
    return type(result).__name__


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_at_any_point_loses_a_message_that_was_accepted(fault: str) -> None:
    count = {"hang": QUIET.hook_awaits, "cancel": QUIET.steps, "jump": QUIET.steps}
    seen = set[str]()
    for at in range(count.get(fault, QUIET.operations)):
        _, store, result = play(at, **{f"{fault}_at": at})
        seen.add(kind(result))
        assert len(store.kept) == 1 or (kind(result) != "accepted" and not store.kept)
        assert store.tidied or fault in ("hang", "cancel") or kind(result) == "ConnectFailed"
    expected = {
        "cut": {"unknown", "ConnectionLost"},
        "stall": {"accepted", "TimedOut"},
        "half_close": {"unknown", "ConnectionLost"},
        "cancel": {"accepted", "NoneType"},
        "hang": {"accepted", "SendRefused"},
        "jump": {"accepted"},
    }
    assert seen >= expected[fault], seen


def test_the_close_hook_runs_to_its_end_in_a_conversation_that_is_cancelled() -> None:
    cancelled = 0
    for at in range(QUIET.steps):
        simulation, store, _ = play(0, cancel_at=at, traced=True)
        ours = [line for line in str(simulation.trace).splitlines() if "is cancelled" in line]
        cancelled += (server := "server" in "".join(ours))
        assert store.tidied or not server
    assert cancelled > 5


def test_a_cancelled_task_can_clean_up_and_the_others_go_on() -> None:
    simulation, done = Simulation(1), list[str]()

    async def work() -> None:
        try:
            await simulation.sleep(10)
        except Cancelled:
            await simulation.sleep(5)
            done.append("cleaned up")
            raise

    async def cancel() -> str:
        task = simulation.start(work())
        await simulation.sleep(1)
        simulation.cancel(task)
        await simulation.wait(lambda: task.ended, None, task.end)
        return f"{done} at {simulation.now():.0f}"

    assert simulation.run(cancel()) == ["['cleaned up'] at 6"]


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_hook_that_takes_too_long_is_cancelled_and_has_a_second_to_clean_up(
    stubborn: bool,
) -> None:
    simulation, done = Simulation(1), list[str]()

    class Slow(Handler):
        async def connect(self, session: Session) -> None:
            try:
                await simulation.sleep(1000)
            finally:
                await simulation.sleep(2 if stubborn else 0.5)
                done.append("cleaned up")

    simulation.listen(25, Slow(), ServerConfig(timeouts=Timeouts(hook=30)))
    [error] = simulation.run(send(simulation), return_errors=True)
    assert "451" in str(error) and simulation.now() == (31 if stubborn else 30.5)
    assert done == ([] if stubborn else ["cleaned up"])


@pytest.mark.parametrize("at", range(15))
def test_a_semaphore_goes_to_another_waiter_if_the_chosen_one_is_cancelled(at: int) -> None:
    for seed in range(5):
        simulation, done = Simulation(seed, cancel_at=at), list[int]()
        semaphore = simulation.semaphore(1)

        async def take(semaphore: SimulatedSemaphore, done: list[int]) -> None:
            await semaphore.acquire()
            try:
                await Wait(always, 0)
                done.append(1)
            finally:
                semaphore.release()

        simulation.run(*(take(semaphore, done) for _ in range(4)))
        assert len(done) >= 3 and semaphore.free == 1


def test_after_a_stall_all_arrives_in_order_and_then_the_end() -> None:
    simulation = Simulation(1)

    async def talk() -> tuple[bytes, float]:
        near, far = simulation.pair()
        near.stall(60)
        await near.write(b"one ", 5)
        await near.write(b"two", 5)
        await near.close()
        with pytest.raises(TimedOut):
            await far.read(30)
        received = b""
        while octets := await far.read(100):
            received += octets
        return received, simulation.now()

    assert simulation.run(talk()) == [(b"one two", 60)]


def test_a_half_closed_side_can_read_and_not_write() -> None:
    simulation = Simulation(1)

    async def talk() -> None:
        near, far = simulation.pair()
        near.half_close()
        await near.write(b"lost", 5)
        await far.write(b"x", 5)
        assert await far.read(5) == b"" and await near.read(5) == b"x"

    simulation.run(talk())


def test_a_run_without_end_raises_livelock() -> None:
    simulation = Simulation(1, max_steps=1000)

    async def spin() -> None:
        while True:
            await simulation.checkpoint()

    with pytest.raises(Livelock, match="not ended after 1000 steps"):
        simulation.run(spin(), spin())
    assert not simulation._tasks


def test_an_error_is_raised_although_others_wait_for_ever() -> None:
    simulation = Simulation(1)

    async def fail() -> None:
        raise KeyError("bug")

    async def wait() -> None:
        await simulation.event().wait(None)

    with pytest.raises(KeyError):
        simulation.run(fail(), wait())
    simulation.end()


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(TypeError, match="no option of a simulation: cut"):
        Simulation(1, cut=1)  # type: ignore[call-arg]


def test_a_hook_or_a_client_that_awaits_asyncio_is_told_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulation = Simulation(1)

    class Foreign(Handler):
        async def connect(self, session: Session) -> None:
            await asyncio.sleep(0)

    simulation.listen(25, Foreign(), ServerConfig())
    [error] = simulation.run(send(simulation), return_errors=True)
    assert "451" in str(error) and "not of this simulation; await its sleep" in caplog.text
    with pytest.raises(TypeError, match="await its sleep, checkpoint"):
        simulation.run(asyncio.sleep(0))


def test_the_time_of_day_can_be_shifted() -> None:
    simulation = Simulation(1)
    before = simulation.utc()
    simulation.shift_utc(-3600)
    assert (simulation.utc(), simulation.now()) == (before - 3600, 0)
