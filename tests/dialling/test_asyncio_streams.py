"""Streams of asyncio, which run the task that waits for octets as soon as they arrive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from smtpproto import ConnectionLost, Reply, ServerConfig, TimedOut
from smtpproto.adapters.asyncio import Runtime, Stream
from smtpproto.adapters.asyncio_runtime import stream_over
from smtpproto.server import Conversation
from tests.adapters.harness import Asyncio, each_loop
from tests.support.handlers import Inbox

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def play(
    loop: type[Asyncio], talk: Callable[[Stream, socket.socket], Coroutine[Any, Any, None]]
) -> None:
    """Run *talk* with a stream, and with the socket at its other end."""

    async def main() -> None:
        near, far = socket.socketpair()
        with far:
            stream = await stream_over(near)
            await talk(stream, far)
            await stream.close()

    loop.run(asyncio.wait_for(main(), 30))


class PythonTasks(Asyncio):
    """asyncio with the tasks that are written in Python."""

    name = "tasks in Python"

    @staticmethod
    def new_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        python_task: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]
        loop.set_task_factory(
            lambda loop, coroutine, **options: python_task(coroutine, loop=loop, **options)
        )
        return loop


@each_loop
def test_a_task_runs_as_soon_as_octets_arrive(loop: type[Asyncio]) -> None:
    events: list[str] = []

    class Noted(Stream):
        def buffer_updated(self, nbytes: int) -> None:
            events.append("octets")
            super().buffer_updated(nbytes)
            events.append("next")

    async def main() -> None:
        near, far = socket.socketpair()
        with far:
            _, stream = await asyncio.get_running_loop().create_unix_connection(Noted, sock=near)
            task = asyncio.create_task(echo(stream))
            await asyncio.sleep(0)
            far.send(b"hello")
            assert await task == b"hello"
            await stream.close()

    async def echo(stream: Stream) -> bytes:
        data = await stream.read(30)
        events.append("task")
        return data

    loop.run(main())
    assert events == ["octets", "task", "next"]


@pytest.mark.parametrize("loop", [Asyncio, PythonTasks], ids=lambda loop: loop.name)
def test_a_task_keeps_its_context_and_is_the_current_task(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        variable.set("mine")
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(far.send, b"x")
        assert await stream.read(30) == b"x"
        assert variable.get() == "mine"
        assert asyncio.current_task() is task

    play(loop, talk)


@each_loop
def test_a_read_can_be_cancelled_and_timed_out_from_outside(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await stream.read(30)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.read(30), 0.001)
        task = asyncio.create_task(stream.read(30))
        await asyncio.sleep(0)
        assert task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        far.send(b"x")
        assert await stream.read(30) == b"x"

    play(loop, talk)


@each_loop
def test_a_task_that_is_cancelled_when_its_wait_has_ended_is_cancelled(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        task = asyncio.create_task(stream.read(30))
        await asyncio.sleep(0)
        stream.interrupt()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(loop, talk)


@each_loop
def test_the_time_of_each_read_is_its_own(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        running = asyncio.get_running_loop()
        with pytest.raises(TimedOut):
            await stream.read(0.01)
        far.send(b"x")
        assert await stream.read(0.1) == b"x"
        running.call_later(0.15, far.send, b"y")  # later than the time of the read before
        assert await stream.read(30) == b"y"
        begin = running.time()
        with pytest.raises(TimedOut):
            await stream.read(0.05)
        assert running.time() - begin < 10
        running.call_later(0.05, far.send, b"z")
        assert await stream.read(None) == b"z"

    play(loop, talk)


@each_loop
def test_two_tasks_cannot_wait_for_one_stream(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        task = asyncio.create_task(stream.read(30))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await stream.read(30)
        far.send(b"x")
        assert await task == b"x"

    play(loop, talk)


@each_loop
def test_a_stream_that_another_task_closes_ends_the_read(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        task = asyncio.create_task(stream.read(30))
        await asyncio.sleep(0)
        await asyncio.gather(stream.close(), stream.close())
        assert await task == b""

    play(loop, talk)


@each_loop
def test_a_look_without_waiting_returns_what_the_system_has(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        with pytest.raises(TimedOut):
            await stream.read(0)
        far.send(b"x")
        assert await stream.read(0) == b"x"
        far.send(b"y")
        assert await stream.read(30) == b"y"
        with pytest.raises(TimedOut):
            await stream.read(0)
        far.shutdown(socket.SHUT_WR)
        assert await stream.read(0) == b""
        assert await stream.read(30) == b""
        await stream.write(b"still open", 30)
        assert far.recv(100) == b"still open"

    play(loop, talk)


@each_loop
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_stream_that_has_ended_its_direction_reads_what_still_arrives(
    loop: type[Asyncio], interrupted: bool
) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        if interrupted:
            stream.interrupt()
            assert await stream.read(30) == b""
        await stream.end()
        far.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(far, 100) == b""
        far.send(b"MAIL FROM:<>")
        assert await stream.read(30) == b"MAIL FROM:<>"
        far.shutdown(socket.SHUT_WR)
        assert await stream.read(30) == b""
        await stream.end()

    play(loop, talk)


@each_loop
def test_a_look_at_a_broken_connection_raises_connection_lost(loop: type[Asyncio]) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        near.setblocking(False)
        stream = await stream_over(near)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()  # resets the connection
        for timeout in (0, 30):
            with pytest.raises(ConnectionLost):
                await stream.read(timeout)
        await stream.close()

    loop.run(main())


@each_loop
def test_a_look_at_a_closed_stream_reads_no_other_file(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        await stream.close()
        near, other = socket.socketpair()  # takes the descriptor of the closed one
        with near, other:
            other.send(b"not for you")
            assert await stream.read(0) == b""

    play(loop, talk)


@each_loop
@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_task_may_close_the_connection_when_octets_arrive(loop: type[Asyncio], end: str) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        asyncio.get_running_loop().call_soon(far.send, b"x")
        assert await stream.read(30) == b"x"
        getattr(stream._transport, end)()  # before the loop has left buffer_updated
        with pytest.raises(ConnectionLost):
            await stream.write(b"y", 30)
        assert await stream.read(30) == b""

    play(loop, talk)


@each_loop
@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_task_may_close_the_connection_when_the_peer_ends(loop: type[Asyncio], end: str) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        asyncio.get_running_loop().call_soon(far.shutdown, socket.SHUT_WR)
        assert await stream.read(30) == b""
        getattr(stream._transport, end)()  # before the loop has left eof_received
        await stream.close()
        assert far.recv(100) == b""

    play(loop, talk)


@each_loop
def test_a_task_may_answer_more_than_the_system_takes(loop: type[Asyncio]) -> None:
    async def talk(stream: Stream, far: socket.socket) -> None:
        running, size = asyncio.get_running_loop(), 4 * 1024 * 1024
        far.setblocking(False)
        running.call_soon(far.send, b"x")
        assert await stream.read(30) == b"x"
        writing = asyncio.create_task(stream.write(bytes(size), 30))
        received = 0
        while received < size:
            received += len(await running.sock_recv(far, 65536))
        await writing
        with pytest.raises(TimedOut):
            await stream.write(bytes(size), 0)

    play(loop, talk)


@each_loop
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_leaves_the_loop(
    loop: type[Asyncio], kind: type[BaseException]
) -> None:
    async def main(stream: Stream) -> None:
        asyncio.get_running_loop().call_soon(far.send, b"x")
        await stream.read(30)
        raise kind

    running = loop.new_loop()
    near, far = socket.socketpair()
    with far, contextlib.closing(running):
        stream = running.run_until_complete(stream_over(near))
        with pytest.raises(kind):
            running.run_until_complete(main(stream))
        running.run_until_complete(stream.close())


class Impatient(Inbox):
    """A handler whose hook uses what asyncio offers to tasks."""

    async def rcpt(self, *arguments: object) -> Reply | None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(0, Reply(250, "2.1.5", variable.get())))
            return task.result()
        return None

    def mail(self, *arguments: object) -> None:
        variable.set(f"seen by {len(asyncio.all_tasks())} tasks")


@each_loop
def test_hooks_may_use_timeouts_task_groups_and_context_variables(loop: type[Asyncio]) -> None:
    inbox = Impatient()

    async def talk(stream: Stream, far: socket.socket) -> None:
        running, received = asyncio.get_running_loop(), b""
        far.setblocking(False)
        conversation = Conversation(stream, inbox, ServerConfig(), Runtime())
        serving = asyncio.create_task(conversation.run())
        for line in (
            b"EHLO x",
            b"MAIL FROM:<>",
            b"RCPT TO:<b@x.example>",
            b"DATA",
            b"x\r\n.",
            b"QUIT",
        ):
            received += await running.sock_recv(far, 4096)
            far.send(line + b"\r\n")
        received += await running.sock_recv(far, 4096)
        await serving
        assert b"\r\n250 2.1.5 seen by " in received

    play(loop, talk)
    assert len(inbox.bodies) == 1


def test_a_hook_that_never_suspends_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hook() -> str:
        return "result"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", None)
        monkeypatch.setattr(loop, "call_at", None)
        call: Awaitable[str] = Runtime().within(60, hook())
        assert await call == "result"
        monkeypatch.undo()

    asyncio.run(main())
