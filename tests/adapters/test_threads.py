"""Waiting for the future of another thread: the same on all runtimes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest
import trio

from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.ports import Runtime
from smtpproto.testing import Simulation

Use = Callable[[Runtime], Coroutine[Any, Any, object]]


def in_asyncio(use: Use) -> object:
    return asyncio.run(use(on_asyncio.Runtime()))


def in_trio(use: Use) -> object:
    return trio.run(use, on_trio.Runtime())


def in_blocking(use: Use) -> object:
    return on_sockets.run(use(on_sockets.Runtime()))


def in_simulation(use: Use) -> object:
    simulation = Simulation(0)
    return simulation.run(use(simulation))[0]


ALL = pytest.mark.parametrize("run", [in_asyncio, in_trio, in_blocking, in_simulation])


@ALL
def test_the_result_of_a_future_that_another_thread_completes_is_returned(
    run: Callable[[Use], object],
) -> None:
    async def use(runtime: Runtime) -> object:
        future: Future[str] = Future()
        thread = threading.Thread(target=future.set_result, args=("done",))
        thread.start()
        results = [await runtime.wait_for(future), await runtime.wait_for(future)]
        thread.join()
        return results

    assert run(use) == ["done", "done"]


@ALL
def test_what_a_future_raises_is_raised(run: Callable[[Use], object]) -> None:
    async def use(runtime: Runtime) -> None:
        future: Future[str] = Future()
        thread = threading.Thread(target=future.set_exception, args=(LookupError("gone"),))
        thread.start()
        try:
            await runtime.wait_for(future)
        finally:
            thread.join()

    with pytest.raises(LookupError, match="gone"):
        run(use)


def test_a_task_that_is_cancelled_stops_waiting_and_the_future_goes_on() -> None:
    future: Future[int] = Future()

    async def under_asyncio() -> None:
        task = asyncio.create_task(on_asyncio.Runtime().wait_for(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def under_trio() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await on_trio.Runtime().wait_for(future)
        assert scope.cancelled_caught

    asyncio.run(under_asyncio())
    trio.run(under_trio)
    assert not future.cancelled()
    future.set_result(1)  # both loops have ended, so nobody is woken
