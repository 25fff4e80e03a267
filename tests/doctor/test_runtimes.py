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
from smtpproto.dns import Answer, Kind
from smtpproto.doctor import Examination, ProbeOptions, examine_domain, examine_server
from smtpproto.ports import Runtime
from smtpproto.testing import SMTPD
from tests.doctor.healthy import DOMAIN, World
from tests.support.runtimes import Run, on_real

Scene = Callable[[], Coroutine[Any, Any, Examination]]
RUNTIMES: dict[str, tuple[Callable[[], Runtime], Callable[[Scene], Examination]]] = {
    "asyncio": (on_asyncio.Runtime, lambda function: asyncio.run(function())),
    "trio": (on_trio.Runtime, trio.run),
    "blocking": (blocking.Runtime, lambda function: blocking.run(function())),
}


@pytest.mark.parametrize("name", RUNTIMES)
def test_each_runtime_comes_to_the_same_diagnosis(name: str) -> None:
    make, run = RUNTIMES[name]
    world = World()
    world.options = evolve(world.options, connects=False)

    async def examination() -> Examination:
        world.zone.runtime = None
        return await examine_domain(DOMAIN, world.zone, make(), world.options)

    assert run(examination) == world.examine()


class _Clock(blocking.Runtime):
    """Blocks, with a clock that its owner sets."""

    time = 0.0

    def now(self) -> float:
        return self.time


def test_questions_that_block_end_the_examination_in_time() -> None:
    world, clock = World(), _Clock()
    world.zone.runtime = None
    asked: list[str] = []

    class Slow:
        async def lookup(self, name: str, kind: Kind) -> Answer:
            asked.append(name)
            clock.time += 50
            return await world.zone.lookup(name, kind)

    examination = blocking.run(examine_domain(DOMAIN, Slow(), clock, world.options))
    assert len(asked) == 4 and not world.web.asked
    assert any("the time of 180 seconds is over" in it.what for it in examination.findings)
    assert all(host.connections == 0 for host in world.net.hosts.values())


@on_real
def test_each_runtime_probes_a_server(run: Run) -> None:
    with SMTPD() as smtpd:
        options = ProbeOptions(ports=(smtpd.port,), addresses=("127.0.0.1",))
        examination = run(lambda runtime: examine_server("localhost", runtime, options))
    assert {it.fault for it in examination.findings if it.fault} == {"starttls-not-offered"}
