"""Questions of threads to an MTA."""

from __future__ import annotations

import asyncio

import pytest

from smtpproto.adapters.asyncio import Runtime
from smtpproto.transfer.desk import Desk


async def answer() -> int:
    return 7


async def fail() -> int:
    raise LookupError("no")


def test_the_desk_answers_and_raises_and_passes_over_what_was_cancelled() -> None:
    async def main() -> None:
        desk = Desk(Runtime().event())
        first, cancelled, failing = desk.ask(answer), desk.ask(answer), desk.ask(fail)
        assert cancelled.cancel()
        async with Runtime().tasks() as tasks:
            tasks.start(desk.run())
            assert await asyncio.wrap_future(first) == 7
            with pytest.raises(LookupError):
                await asyncio.wrap_future(failing)
            assert await asyncio.wrap_future(desk.ask(answer)) == 7
            desk.close()
        with pytest.raises(RuntimeError, match="the MTA does not run"):
            desk.ask(answer).result(0)

    asyncio.run(main())


def test_a_question_whose_answer_is_cancelled_does_not_wait_for_ever() -> None:
    async def hang() -> int:
        await asyncio.sleep(3600)
        return 0

    async def main() -> None:
        desk = Desk(Runtime().event())
        asked, waiting = desk.ask(hang), desk.ask(answer)
        task = asyncio.create_task(desk.run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for each in (asked, waiting):
            with pytest.raises(RuntimeError, match="the MTA does not run"):
                each.result(0)

    asyncio.run(main())
