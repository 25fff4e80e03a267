"""Pools and servers that end badly: faults that a hostile review found, and their mends."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest
import trio
from attrs import define, field

from smtpproto import Authenticator, Handler, Secret
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import Client, Pool, PoolConfig
from tests.adapters.flavours import Blocking, served
from tests.adapters.test_pool import Store
from tests.support.envelopes import TO_BOB


def test_all_of_a_pool_is_closed_if_it_is_cancelled() -> None:
    """Trio cancels each wait in a scope that is cancelled: that of the first QUIT, too."""
    store = Store()

    async def main(port: int) -> None:
        with trio.CancelScope() as scope:
            async with on_trio.pool("localhost", port) as pool:
                async with trio.open_nursery() as senders:
                    for _ in range(4):
                        senders.start_soon(pool.send, b"x\r\n", TO_BOB)
                scope.cancel()
                await trio.sleep_forever()
        assert await trio.to_thread.run_sync(store.ended.wait, 10)
        assert store.connections > 1

    with served(Blocking, store) as running:
        trio.run(main, running.port)


def test_all_of_a_pool_is_closed_if_its_end_is_cancelled() -> None:
    """The same with asyncio, which cancels once: while the first QUIT waits for its reply."""

    @define(eq=False)
    class Member:
        usable: bool = True
        ended: list[str] = field(factory=list)

        async def _send(self, *_: object) -> str:
            await asyncio.sleep(0)
            return "sent"

        async def quit(self) -> None:
            try:
                await asyncio.sleep(0)
            finally:
                self.ended.append("closed")

    async def main() -> None:
        members: list[Member] = []

        async def open_one(*_: object) -> Client:
            members.append(Member())
            return cast(Client, members[-1])

        pool = Pool(on_asyncio.Runtime(), open_one)
        await asyncio.gather(*(pool.send(b"x\r\n", TO_BOB) for _ in range(4)))
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert [member.ended for member in members] == [["closed"]] * 4

    asyncio.run(main())


def test_a_pool_that_another_thread_closes_as_a_connection_is_given_back() -> None:
    """Between the last look whether it is closed and the keeping somebody may have closed it."""
    ended: list[str] = []

    class Member:
        usable = True

        async def _send(self, *_: object) -> str:
            other = threading.Thread(target=lambda: on_sockets.run(pool.close()))
            other.start()
            other.join()
            return "sent"

        async def quit(self) -> None:
            ended.append("closed")

    async def open_one(*_: object) -> Client:
        return cast(Client, Member())

    pool = Pool(on_sockets.Runtime(), open_one, PoolConfig())
    outcome: Any = on_sockets.run(pool.send(b"x\r\n", TO_BOB))
    assert outcome == "sent"
    assert ended == ["closed"]


def test_a_server_on_trio_ends_though_a_password_is_still_checked() -> None:
    asked, answer, ended = threading.Event(), threading.Event(), threading.Event()

    class Slow(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            asked.set()
            answer.wait(5)
            ended.set()
            return False

    async def main() -> None:
        async with (
            on_trio.serve(Handler(), authenticator=Slow(), auth_in_clear=True) as server,
            await trio.open_tcp_stream("127.0.0.1", server.port) as stream,
        ):
            await stream.send_all(b"EHLO c.example\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n")
            await trio.to_thread.run_sync(asked.wait)
            await server.stop(grace=0)
        assert not ended.is_set()

    try:
        trio.run(main)
    finally:
        answer.set()


def test_what_the_blocking_adapter_has() -> None:
    assert {"pool", "Pool", "connect", "serve"} <= set(on_sockets.__all__)
