"""Tasks, events, futures and the time of day: the same on all runtimes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from smtpproto.ports import Runtime
from tests.support.runtimes import Run, in_threads, on_all, on_real


@on_real
def test_utc_is_the_time_of_day(run: Run) -> None:
    async def main(runtime: Runtime) -> float:
        return runtime.utc()

    before = time.time()
    assert before - 1 <= run(main) <= time.time() + 1


@on_all
def test_the_end_of_tasks_waits_for_all(run: Run) -> None:
    async def main(runtime: Runtime) -> list[int]:
        done: list[int] = []

        async def work(number: int) -> None:
            await runtime.sleep(0.01)
            done.append(number)

        async with runtime.tasks() as tasks:
            for number in range(5):
                tasks.start(work(number))
        return sorted(done)

    assert run(main) == [0, 1, 2, 3, 4]


@on_real
def test_what_a_task_raises_is_raised_as_it_is(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        async def fail() -> None:
            raise ZeroDivisionError("a bug")

        async with runtime.tasks() as tasks:
            tasks.start(fail())

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(main)


@on_real
def test_what_the_block_raises_is_raised_as_it_is(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        async with runtime.tasks() as tasks:
            tasks.start(runtime.sleep(0.001))
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(main)


@on_all
def test_cancelled_tasks_end_if_the_runtime_can_cancel(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        async with runtime.tasks() as tasks:
            tasks.start(runtime.sleep(0.001 if run is in_threads else 1e6))
            await runtime.checkpoint()
            tasks.cancel()

    run(main)


@on_all
def test_an_event_that_was_set_wakes_the_next_wait_once(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        event = runtime.event()
        event.set()
        event.set()
        await event.wait(None)
        await event.wait(0.001)  # it is forgotten, so this ends by its time

    run(main)


@on_all
def test_an_event_wakes_another_task(run: Run) -> None:
    async def main(runtime: Runtime) -> str:
        event, said = runtime.event(), ["nothing"]

        async def say() -> None:
            said[0] = "hello"
            event.set()

        async with runtime.tasks() as tasks:
            tasks.start(say())
            await event.wait(None)
            return said[0]

    assert run(main) == "hello"


@on_real
def test_no_set_by_another_thread_is_lost(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        event, count = runtime.event(), [0]

        def work() -> None:
            for _ in range(500):
                count[0] += 1
                event.set()

        thread = threading.Thread(target=work)
        thread.start()
        while count[0] < 500:
            await event.wait(None)
        thread.join()

    run(main)


@on_real
def test_a_future_of_another_thread_is_awaited(run: Run) -> None:
    async def main(runtime: Runtime) -> str:
        future: Future[str] = Future()
        threading.Timer(0.01, future.set_result, ["done"]).start()
        return await runtime.wait_for(future) + await runtime.wait_for(future)

    assert run(main) == "donedone"


@on_real
def test_what_a_future_raises_is_raised(run: Run) -> None:
    async def main(runtime: Runtime) -> None:
        future: Future[None] = Future()
        threading.Timer(0.01, future.set_exception, [ZeroDivisionError("a bug")]).start()
        await runtime.wait_for(future)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(main)
