"""The doctor runs under asyncio, under trio and with blocking sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
from attrs import evolve

from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.doctor import Diagnosis, examine_domain
from smtpproto.ports import Runtime
from tests.doctor.healthy import DOMAIN, World

Examination = Callable[[], Coroutine[Any, Any, Diagnosis]]
RUNTIMES: dict[str, tuple[Callable[[], Runtime], Callable[[Examination], Diagnosis]]] = {
    "asyncio": (on_asyncio.Runtime, lambda function: asyncio.run(function())),
    "trio": (on_trio.Runtime, trio.run),
    "blocking": (blocking.Runtime, lambda function: blocking.run(function())),
}


@pytest.mark.parametrize("name", RUNTIMES)
def test_each_runtime_comes_to_the_same_diagnosis(name: str) -> None:
    make, run = RUNTIMES[name]
    world = World()
    world.options = evolve(world.options, connects=False)

    async def examination() -> Diagnosis:
        world.zone.runtime = None
        return await examine_domain(DOMAIN, world.zone, make(), world.options)

    assert run(examination) == world.examine()
