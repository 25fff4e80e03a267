"""The runtimes of all adapters, so that one coroutine runs on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import trio

from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.ports import Runtime
from smtpproto.testing.simulation import Simulation

T = TypeVar("T")
Main = Callable[[Any], Awaitable[T]]
Run = Callable[[Callable[[Runtime], Awaitable[Any]]], Any]


def in_asyncio(main: Main[T]) -> T:
    async def run() -> T:
        return await main(on_asyncio.Runtime())

    return asyncio.run(run())


def in_trio(main: Main[T]) -> T:
    async def run() -> T:
        return await main(on_trio.Runtime())

    return trio.run(run)


def in_threads(main: Main[T]) -> T:
    async def run() -> T:
        return await main(on_sockets.Runtime())

    return on_sockets.run(run())


def in_simulation(main: Main[T]) -> T:
    simulation = Simulation(1)

    async def run() -> T:
        return await main(simulation)

    result: T = simulation.run(run())[0]
    return result


REAL = [in_asyncio, in_trio, in_threads]
on_real = pytest.mark.parametrize("run", REAL, ids=["asyncio", "trio", "blocking"])
on_all = pytest.mark.parametrize(
    "run", [*REAL, in_simulation], ids=["asyncio", "trio", "blocking", "simulation"]
)
