"""serve_forever: SIGTERM and SIGINT stop a server gracefully."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from smtpproto import Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio

RUNS: dict[str, Callable[..., Any]] = {
    "asyncio": lambda *args, **kwargs: asyncio.run(on_asyncio.serve_forever(*args, **kwargs)),
    "trio": lambda *args, **kwargs: trio.run(_with_trio, args, kwargs),
    "blocking": on_sockets.serve_forever,
}


async def _with_trio(args: Any, kwargs: Any) -> None:
    await on_trio.serve_forever(*args, **kwargs)


each_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


@each_run
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_signal_stops_the_server_and_handlers_are_restored(
    run: Callable[..., Any], number: signal.Signals
) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    greeted: list[bytes] = []

    def on_start(server: Any) -> None:
        assert server.port
        greeted.append(b"started")
        signal.raise_signal(number)

    run(Handler(), "127.0.0.1", on_start=on_start)
    assert greeted
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


@each_run
def test_outside_the_main_thread_stop_ends_serve_forever(run: Callable[..., Any]) -> None:
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            run(Handler(), "127.0.0.1", on_start=_stop_soon)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and not errors


def _stop_soon(server: Any) -> None:
    """Stop *server* from another task or thread."""
    if isinstance(server, on_sockets.Server):
        threading.Thread(target=server.stop, daemon=True).start()
    elif isinstance(server, on_trio.Server):
        trio.lowlevel.spawn_system_task(server.stop)
    else:
        server.stopping = asyncio.get_running_loop().create_task(server.stop())


@each_run
def test_an_error_of_on_start_stops_the_server(run: Callable[..., Any]) -> None:
    ports: list[int] = []

    def fail(server: Any) -> None:
        ports.append(server.port)
        raise LookupError("no display")

    with pytest.raises(LookupError):
        run(Handler(), "127.0.0.1", on_start=fail)
    run(Handler(), "127.0.0.1", ports[0], on_start=lambda _: signal.raise_signal(signal.SIGTERM))
