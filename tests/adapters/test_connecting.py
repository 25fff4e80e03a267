"""``connect`` that is awaited or entered, ``send`` for one message, and ``timeout=``."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from smtpproto import (
    ConnectFailed,
    GrammarError,
    LocalProtocolError,
    NotOffered,
    SendRefused,
    TimedOut,
    Timeouts,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import (
    connect_and,
    must_not_connect,
    recording_server,
    send_with,
    unused_port,
)
from tests.adapters.harness import Adapter, Blocking, Trio, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.support.envelopes import TO_BOB

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def run_on_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await main()

    return asyncio.run(awaited())


each_loop_library = pytest.mark.parametrize(
    ("library", "run"), [(on_asyncio, run_on_asyncio), (on_trio, trio.run)], ids=["asyncio", "trio"]
)


# -- await connect ---------------------------------------------------------------------------------


@each_loop_library
def test_connect_can_be_awaited(library: Any, run: Run, inbox: Inbox) -> None:
    with running_server(Blocking, inbox) as running:

        async def main() -> None:
            client = await library.connect("127.0.0.1", running.port, tls="none")
            await client.send(b"hello\r\n", TO_BOB)
            await client.quit()
            async with await library.connect("127.0.0.1", running.port, tls="none") as client:
                await client.send(b"hello\r\n", TO_BOB)

        run(main)
    assert len(inbox.messages) == 2


@each_loop_library
def test_errors_of_the_arguments_are_raised_by_the_call_of_connect(library: Any, run: Run) -> None:
    with pytest.raises(GrammarError):
        library.connect("ann@mx.example")
    with pytest.raises(ValueError, match="tls"):
        library.connect("mx.example", tls="always")


@each_loop_library
def test_an_awaited_connect_raises_what_failed(library: Any, run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ConnectFailed):
            await library.connect("127.0.0.1", unused_port())

    run(main)


@each_loop_library
@pytest.mark.parametrize("first", ["await", "enter", "fail"])
def test_a_connect_opens_one_connection_only(
    library: Any, run: Run, first: str, inbox: Inbox
) -> None:
    async def main() -> None:
        port = unused_port() if first == "fail" else running.port
        connecting = library.connect("127.0.0.1", port, tls="none")
        if first == "await":
            await (await connecting).quit()
        elif first == "enter":
            async with connecting:
                pass
        else:
            with pytest.raises(ConnectFailed):
                await connecting
        with pytest.raises(LocalProtocolError, match=r"connect\(\.\.\.\) was used before"):
            await connecting
        with pytest.raises(LocalProtocolError, match="once for each connection"):
            async with connecting:
                raise AssertionError("the client connected")

    with running_server(Blocking, inbox) as running:
        run(main)


@each_loop_library
def test_a_connect_that_is_never_awaited_warns_and_says_what_to_write(
    library: Any, run: Run
) -> None:
    with pytest.warns(RuntimeWarning, match="never awaited; write `client = await connect"):
        library.connect("mx.example")
        gc.collect()


def test_an_error_that_shows_a_connect_does_not_show_its_options() -> None:
    """asyncio shows what is no coroutine; the options would be two thousand characters."""

    async def main() -> None:
        connecting = on_asyncio.connect("mx.example", login=("ann", "secret"))
        with pytest.raises(TypeError) as caught:
            await asyncio.create_task(connecting)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 100
        connecting._used = True  # no warning

    asyncio.run(main())


def test_connect_works_with_wait_for_and_gather(inbox: Inbox) -> None:
    async def main(port: int) -> None:
        first = await asyncio.wait_for(on_asyncio.connect("127.0.0.1", port), 30)
        second, third = await asyncio.gather(
            on_asyncio.connect("127.0.0.1", port), on_asyncio.connect("127.0.0.1", port)
        )
        for client in (first, second, third):
            await client.quit()

    with running_server(Blocking, inbox) as running:
        asyncio.run(main(running.port))


@each_loop_library
def test_the_block_of_connect_sends_quit_after_an_error_and_passes_it_on(
    library: Any, run: Run
) -> None:
    async def main(near: socket.socket) -> None:
        key = "stream" if library is on_trio else "sock"
        async with library.connect("mx.example", 25, **{key: near}):
            raise LookupError("mine")

    with recording_server() as (near, server):
        with pytest.raises(LookupError, match="mine"):
            run(lambda: main(near))
        assert server.received().endswith(b"QUIT\r\n")


# -- send ------------------------------------------------------------------------------------------


@each_client
def test_send_connects_sends_one_message_and_quits(client: type[Adapter], inbox: Inbox) -> None:
    with running_server(Blocking, inbox) as running:
        options: dict[str, Any] = {"envelope": TO_BOB, "tls": "none", "hello": "c.example"}
        outcome = send_with(client, b"hello\r\n", "127.0.0.1", running.port, **options)
        assert inbox.closed.wait(30)
    assert list(map(str, outcome.accepted)) == ["bob@example.org"]
    ((session, _, body),) = inbox.messages
    assert session.hello == "c.example" and body == b"hello\r\n"


@each_client
def test_send_takes_the_envelope_from_the_message_and_the_server_from_a_url(
    client: type[Adapter], inbox: Inbox
) -> None:
    message = b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\r\n"
    with running_server(Blocking, inbox) as running:
        send_with(client, message, f"smtp://127.0.0.1:{running.port}?tls=none")
    assert len(inbox.messages) == 1


@each_client
def test_send_raises_what_connect_and_client_send_raise(
    client: type[Adapter], inbox: Inbox
) -> None:
    with running_server(Blocking, inbox) as running:
        where = b"raise\r\n", "127.0.0.1", running.port
        with pytest.raises(SendRefused):
            send_with(client, *where, envelope=TO_BOB, tls="none")
        with pytest.raises(NotOffered):
            send_with(client, *where, envelope=TO_BOB, tls="required")
    with pytest.raises(ConnectFailed):
        send_with(client, b"hello\r\n", "127.0.0.1", unused_port(), envelope=TO_BOB)
    with pytest.raises(TypeError):
        send_with(client, b"hello\r\n", "127.0.0.1", max_connections=3)


# -- timeout ---------------------------------------------------------------------------------------


@each_client
def test_timeout_bounds_an_operation_as_a_whole(client: type[Adapter]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = "127.0.0.1", silent.getsockname()[1]
        with pytest.raises(TimedOut, match=r"the whole operation took longer than 0\.05 seconds"):
            connect_and(must_not_connect, client, *where, timeout=0.05)
        with pytest.raises(TimedOut, match="the whole operation"):
            send_with(client, b"hello\r\n", *where, envelope=TO_BOB, timeout=0.05)
        url = f"smtp://{where[0]}:{where[1]}?timeout=0.05"
        with pytest.raises(TimedOut, match="the whole operation"):
            connect_and(must_not_connect, client, url)


@each_client
@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"timeout": "60"}, TypeError, "timeout cannot be of the type str; pass a number"),
        ({"timeout": True}, TypeError, "timeout cannot be of the type bool; pass a number"),
        ({"timeout": -1}, ValueError, "timeout must be more than 0.*not -1"),
        ({"timeout": 0}, ValueError, "timeout must be more than 0"),
        ({"timeout": float("nan")}, ValueError, "timeout must be more than 0"),
        ({"timeout": float("inf")}, ValueError, "timeout must be more than 0, and at most"),
        ({"timeout": 60, "timeouts": Timeouts()}, ValueError, "timeout and timeouts are both"),
    ],
)
def test_a_timeout_that_cannot_be_used_is_refused(
    client: type[Adapter], options: Any, error: type[Exception], match: str
) -> None:
    library = {Trio: on_trio, Blocking: on_sockets}.get(client, on_asyncio)
    for call in (library.connect, library.pool):
        with pytest.raises(error, match=match):
            call("mx.example", **options)
    with pytest.raises(error, match=match):
        send_with(client, b"hello\r\n", "mx.example", **options)


@pytest.mark.parametrize("given", ["soon", "-1", "1e3", "", "0x3", "٣"])
def test_a_timeout_in_a_url_is_a_number_of_seconds(given: str) -> None:
    with pytest.raises(GrammarError, match="timeout in the URL is not a number of seconds"):
        on_sockets.connect(f"smtp://mx.example?timeout={given}")


def test_a_url_and_an_argument_cannot_both_set_the_timeout() -> None:
    with pytest.raises(ValueError, match="already set by the URL: timeout"):
        on_sockets.connect("smtp://mx.example?timeout=3", timeout=4)
    with pytest.raises(ValueError, match="timeout and timeouts are both given"):
        on_sockets.connect("smtp://mx.example?timeout=3", timeouts=Timeouts())
