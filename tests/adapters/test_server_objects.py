"""The class Server of each adapter, made and started without a ``with`` block."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import Any

import pytest
import trio

from smtpproto import Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio


def greeting_of(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        return client.recv(100)


async def start_stop_and_start_with_asyncio() -> list[str]:
    server = on_asyncio.Server(Handler(), "127.0.0.1", grace=1)
    await server.stop()  # before the start: does nothing
    with pytest.raises(RuntimeError) as not_started:
        await server.wait()
    await server.start()
    assert await asyncio.to_thread(greeting_of, server.port)
    with pytest.raises(RuntimeError) as twice:
        await server.start()
    waiter = asyncio.create_task(server.wait())
    cancelled = asyncio.create_task(server.wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled() and not waiter.done()
    await server.stop(0)
    await waiter
    await server.stop()
    with pytest.raises(RuntimeError) as again:
        await server.start()
    return [str(error.value) for error in (not_started, twice, again)]


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """A loop like that of Windows, which cannot watch sockets for the program."""

    def add_reader(self, *_: object) -> None:
        raise NotImplementedError


def test_a_loop_that_cannot_watch_sockets_accepts_connections() -> None:
    async def main() -> None:
        server = on_asyncio.Server(Handler(), "127.0.0.1")
        await server.start()
        try:
            assert await asyncio.to_thread(greeting_of, server.port)
        finally:
            await server.stop(0)

    with asyncio.Runner(loop_factory=LoopWithoutReaders) as runner:
        runner.run(main())


async def start_stop_and_start_with_trio() -> list[str]:
    server = on_trio.Server(Handler(), "127.0.0.1", grace=1)
    await server.stop()
    with pytest.raises(RuntimeError) as not_started:
        await server.wait()
    async with trio.open_nursery() as nursery:
        await server.start(nursery)
        assert await trio.to_thread.run_sync(greeting_of, server.port)
        with pytest.raises(RuntimeError) as twice:
            await server.start(nursery)
        nursery.start_soon(server.wait)
        with trio.move_on_after(0) as scope:
            await server.wait()
        assert scope.cancelled_caught
        await server.stop(0)
        await server.stop()
        with pytest.raises(RuntimeError) as again:
            await server.start(nursery)
    return [str(error.value) for error in (not_started, twice, again)]


def start_stop_and_start_with_sockets() -> list[str]:
    server = on_sockets.Server(Handler(), "127.0.0.1", grace=1)
    server.stop()
    with pytest.raises(RuntimeError) as not_started:
        server.wait()
    server.start()
    assert greeting_of(server.port)
    with pytest.raises(RuntimeError) as twice:
        server.start()
    waiter = threading.Thread(target=server.wait, daemon=True)
    waiter.start()
    server.stop(0)
    waiter.join(30)
    assert not waiter.is_alive()
    server.stop()
    with pytest.raises(RuntimeError) as again:
        server.start()
    return [str(error.value) for error in (not_started, twice, again)]


@pytest.mark.parametrize(
    "run",
    [
        lambda: asyncio.run(start_stop_and_start_with_asyncio()),
        lambda: trio.run(start_stop_and_start_with_trio),
        start_stop_and_start_with_sockets,
    ],
    ids=["asyncio", "trio", "blocking"],
)
def test_a_server_starts_once_and_stops_as_often_as_wanted(run: Any) -> None:
    not_started, twice, again = run()
    assert not_started == "the server is not running; call start() first"
    assert twice == again == "the server has been started before; make a new Server"


def test_a_blocking_server_without_a_descriptor_for_its_thread_says_so_and_does_not_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_pair(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    server = on_sockets.Server(Handler())
    monkeypatch.setattr(socket, "socketpair", no_pair)
    with pytest.raises(OSError, match="Too many open files"):
        server.start()
    server.stop()
    assert server.addresses == []


@pytest.mark.parametrize("module", [on_asyncio, on_trio, on_sockets])
def test_a_server_refuses_wrong_options_when_it_is_made(module: Any) -> None:
    with pytest.raises(ValueError, match="LMTP must not use port 25"):
        module.Server(Handler(), "127.0.0.1", 25, lmtp=True)
    with pytest.raises(TypeError):
        module.Server(Handler(), nonsense=True)
    with pytest.raises(TypeError, match="port cannot be of the type str"):
        module.Server(Handler(), port="25")
    with pytest.raises(ValueError, match="no host to listen on"):
        module.Server(Handler(), [])


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"host": "127.0.0.1:25"}, OSError, "cannot listen on '127.0.0.1:25': "),
        ({"host": "mx.sock"}, OSError, "cannot listen on 'mx.sock': .*an absolute path"),
        ({"host": "a" * 70 + ".test"}, OSError, "cannot listen on 'aaa"),
        ({"host": "/nonexistent/mx.sock"}, OSError, "cannot listen at /nonexistent/mx.sock: "),
        ({"host": b"127.0.0.1"}, TypeError, "host cannot be of the type bytes; pass a name"),
        ({"host": 25}, TypeError, "host cannot be of the type int; pass a name"),
        ({"grace": "5"}, TypeError, "grace cannot be of the type str; pass a number"),
        ({"grace": None}, TypeError, "grace cannot be None; pass a number"),
        ({"grace": -1}, ValueError, "grace must be 0 or more, not -1"),
        ({"grace": float("nan")}, ValueError, "grace must be 0 or more, not nan"),
    ],
    ids=str,
)
def test_an_error_about_host_or_grace_has_the_value_and_says_what_to_pass(
    arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason), on_sockets.serve(Handler(), **arguments):
        pass


async def _serve_on(adapter: Any) -> None:
    async with adapter.serve(Handler()):
        pass


@pytest.mark.parametrize(
    "serve", [lambda: asyncio.run(_serve_on(on_trio)), lambda: trio.run(_serve_on, on_asyncio)]
)
def test_serving_with_the_adapter_of_another_loop_is_a_runtime_error(serve: Any) -> None:
    """It opens no socket: pytest would report one that is never closed."""
    with pytest.raises(RuntimeError):
        serve()
