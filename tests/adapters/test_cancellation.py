"""Cancelled clients, errors inside a block, and streams that close at the same time."""

from __future__ import annotations

import asyncio

import pytest
import trio

from smtpproto import Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import trio as on_trio
from tests.adapters.inboxes import Inbox


def test_cancelling_an_asyncio_client_closes_its_connection(inbox: Inbox) -> None:
    async def main() -> None:
        async with on_asyncio.serve(inbox) as server:
            started = asyncio.Event()

            async def hold() -> None:
                async with on_asyncio.connect("127.0.0.1", server.port):
                    started.set()
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(hold())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(inbox.closed.wait, 30)

    asyncio.run(main())


def test_cancelling_a_trio_client_closes_its_connection(inbox: Inbox) -> None:
    async def main() -> None:
        async with on_trio.serve(inbox) as server:
            with trio.CancelScope() as scope:
                async with on_trio.connect("127.0.0.1", server.port):
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught
            assert await trio.to_thread.run_sync(inbox.closed.wait, 30)

    trio.run(main)


def test_an_error_inside_trio_serve_is_raised_without_an_exception_group() -> None:
    async def main() -> None:
        async with on_trio.serve(Handler()):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        trio.run(main)


def test_closing_an_asyncio_stream_does_not_abort_a_closed_transport() -> None:
    """asyncio's transports cannot be aborted once they are closed."""

    class Transport:
        closed = False

        def __init__(self, stream: on_asyncio.Stream) -> None:
            self.stream = stream

        def close(self) -> None:
            self.stream.connection_lost(None)
            self.closed = True

        def abort(self) -> None:
            assert not self.closed

    async def main() -> None:
        stream = on_asyncio.Stream()
        stream._transport = Transport(stream)  # type: ignore[assignment]
        await stream.close()

    asyncio.run(main())
