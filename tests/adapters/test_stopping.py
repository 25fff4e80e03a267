"""A server's stop comes to its end, whatever hooks and clients do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from smtpproto import Envelope, Handler, MailParameters, ReversePath, Session
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import connect_raw, listens, receive, receive_until_end
from tests.adapters.harness import Adapter, Blocking, Trio, each_server, running_server
from tests.support.handlers import Inbox

NO_GRACE: Any = {"grace": 0}


@pytest.fixture(autouse=True)
def short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("asyncio_server", "blocking_server", "trio_server"):
        monkeypatch.setattr(f"smtpproto.adapters.{name}.LAST", 2)
    monkeypatch.setattr("smtpproto.server.conversation.LINGER_QUIET", 0.05)
    monkeypatch.setattr("smtpproto.adapters.asyncio_calls.UNWIND", 0.05)


def sleep_forever_on(server: type[Adapter]) -> Callable[[], Awaitable[None]]:
    return trio.sleep_forever if server is Trio else asyncio.Event().wait  # type: ignore[return-value]


@define(eq=False)
class Stubborn(Handler):
    """Its hook for MAIL never ends by itself. With asyncio and trio it catches that it is cancelled
    and goes on, in a blocking server it waits until *released*."""

    server: type[Adapter]
    busy: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(factory=threading.Event)
    closed: int = 0

    async def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.busy.release()
        while not self.released.is_set():
            try:
                if self.server is Blocking:
                    self.released.wait()
                elif self.server is Trio:
                    await trio.sleep_forever()
                else:
                    await asyncio.get_running_loop().create_future()
            except (asyncio.CancelledError, trio.Cancelled):
                continue

    def close(self, session: Session) -> None:
        self.closed += 1


@each_server
def test_stop_ends_although_many_hooks_ignore_it(
    server: type[Adapter], caplog: pytest.LogCaptureFixture
) -> None:
    handler, clients = Stubborn(server), 10
    try:
        with ExitStack() as stack:
            running = stack.enter_context(running_server(server, handler, **NO_GRACE))
            for _ in range(clients):
                client = stack.enter_context(connect_raw(running.port))
                client.sendall(b"HELO c.example\r\nMAIL FROM:<>\r\n")
                assert handler.busy.acquire(timeout=30)
            running.stop()
    finally:
        handler.released.set()
    if server is Blocking:  # nothing can interrupt a thread
        assert f"abandoned {clients} connections whose hooks did not end" in caplog.text
    else:
        assert handler.closed == clients and "abandoned" not in caplog.text


@define(eq=False)
class Slow(Handler):
    """A handler and its own sink, whose methods for the end of a connection suspend several
    times."""

    server: type[Adapter]
    begun: threading.Event = field(factory=threading.Event)
    ended: list[str] = field(factory=list)
    stopped: threading.Event = field(factory=threading.Event)

    def data(self, session: Session, envelope: Envelope) -> Any:
        return self

    def write(self, data: bytes) -> None:
        self.begun.set()

    def commit(self) -> None: ...

    async def abort(self) -> None:
        await self._end("abort")

    async def close(self, session: Session) -> None:
        await self._end("close")

    async def _end(self, name: str) -> None:
        for _ in range(10):
            await self._pause()
        self.ended.append(name)

    async def _pause(self) -> None:
        if self.server is Trio:
            await trio.sleep(0.001)
        elif self.server is Blocking:
            self.stopped.wait(0.001)
        else:
            await asyncio.sleep(0.001)


MESSAGE = b"HELO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhalf\r\n"


@each_server
def test_the_hooks_of_the_end_run_to_their_end_when_stop_cancels_a_connection(
    server: type[Adapter],
) -> None:
    handler = Slow(server)
    with (
        running_server(server, handler, **NO_GRACE) as running,
        connect_raw(running.port) as client,
    ):
        client.sendall(MESSAGE)
        assert handler.begun.wait(30)
        running.stop()
    assert handler.ended == ["abort", "close"]


@define(eq=False)
class SlowToClose(Slow):
    """Its hook ``close`` goes on for a while after *stopped*, for the first connection."""

    async def close(self, session: Session) -> None:
        if self.begun.is_set():
            return
        self.begun.set()
        while not self.stopped.is_set():
            await self._pause()
        await self._end("close")


@each_server
def test_a_hook_of_the_end_that_has_begun_runs_to_its_end_when_the_server_stops(
    server: type[Adapter],
) -> None:
    handler = SlowToClose(server)
    with (
        running_server(server, handler, **NO_GRACE) as running,
        connect_raw(running.port) as idle,
    ):
        assert receive(idle).startswith(b"220 ")
        connect_raw(running.port).close()
        assert handler.begun.wait(30)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        receive_until_end(idle)  # now the server is stopping
        handler.stopped.set()
        stopping.join(30)
        assert not stopping.is_alive()
    assert "close" in handler.ended


@define(eq=False)
class Waiting(Inbox):
    """Its hook for EHLO waits until the test goes on, so that the server reads nothing."""

    server: type[Adapter] = Blocking
    asked: threading.Event = field(factory=threading.Event)
    goes_on: threading.Event = field(factory=threading.Event)

    async def ehlo(self, session: Session, host: object) -> None:
        self.asked.set()
        if self.server is Trio:
            await trio.to_thread.run_sync(self.goes_on.wait)
        elif self.server is Blocking:
            self.goes_on.wait()
        else:
            await asyncio.to_thread(self.goes_on.wait)


@each_server
@pytest.mark.req("RFC5321-3.8-03")
def test_a_client_reads_421_although_its_commands_were_not_read(server: type[Adapter]) -> None:
    """A socket that is closed with unread octets would reset the connection."""
    handler = Waiting(server=server)
    with running_server(server, handler) as running, connect_raw(running.port) as client:
        client.sendall(b"EHLO c.example\r\n")
        assert handler.asked.wait(30)
        unread = b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nBDAT 200000 LAST\r\n" + bytes(200_000)
        client.sendall(unread)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        while listens(running.port):
            pass
        handler.goes_on.set()
        replies = b"".join(iter(lambda: client.recv(65536), b""))  # no ConnectionResetError
        stopping.join(30)
    assert b"\r\n421 4.3.2 " in replies or b"\r\n250 2.0.0 Message accepted\r\n421" in replies


@each_server
def test_a_client_that_was_refused_reads_the_reply_before_the_end(server: type[Adapter]) -> None:
    """The server closes after too many errors, while the client still sends."""
    with running_server(server, Handler()) as running, connect_raw(running.port) as client:
        client.sendall(b"NONSENSE\r\n" * 2000)
        replies = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"\r\n421 " in replies


PROGRAM = """
import threading, {imports}
from smtpproto import Authenticator, Handler
from smtpproto.adapters.{module} import serve
import socket

asked = threading.Event()

class Slow(Authenticator):
    def check_password(self, username, password):
        asked.set()
        threading.Event().wait()

OPTIONS = dict(authenticator=Slow(), auth_in_clear=True, grace=0)

def log_in(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"EHLO c.example\\r\\nAUTH PLAIN AGFubgBzZWNyZXQ=\\r\\n")
    asked.wait()
    return client

{main}
print("stopped")
"""
MAINS = {
    "asyncio": """
async def main():
    async with serve(Handler(), **OPTIONS) as server:
        client = await asyncio.to_thread(log_in, server.port)
    client.close()
asyncio.run(main())""",
    "trio": """
async def main():
    async with serve(Handler(), **OPTIONS) as server:
        client = await trio.to_thread.run_sync(log_in, server.port)
    client.close()
trio.run(main)""",
    "blocking": """
from smtpproto.adapters import blocking_server
blocking_server.LAST = 0.1
with serve(Handler(), **OPTIONS) as server:
    client = log_in(server.port)
client.close()""",
}


@pytest.mark.parametrize("module", MAINS)
def test_the_program_ends_although_an_authenticator_is_busy_in_a_thread(module: str) -> None:
    imports = {"asyncio": "asyncio", "trio": "trio", "blocking": "sys"}[module]
    program = PROGRAM.format(imports=imports, module=module, main=MAINS[module])
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "stopped\n"


def test_two_tasks_that_stop_a_trio_server_both_return_when_the_last_message_has_ended() -> None:
    handler = Slow(Trio)

    async def main() -> None:
        server = on_trio.Server(handler, grace=3600)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                await server.start(nursery)
                with await trio.to_thread.run_sync(connect_raw, server.port) as client:
                    client.sendall(MESSAGE)
                    await trio.to_thread.run_sync(handler.begun.wait)
                    async with trio.open_nursery() as stopping:
                        for _ in range(2):
                            stopping.start_soon(server.stop)
                            await trio.testing.wait_all_tasks_blocked()
                        client.close()

    trio.run(main)


class Stopping(Handler):
    """Its hook for MAIL stops the server."""

    server: on_sockets.Server

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.server.stop(0)


def test_a_hook_can_stop_a_blocking_server() -> None:
    handler = Stopping()
    handler.server = server = on_sockets.Server(handler)
    server.start()
    with connect_raw(server.port) as client:
        client.sendall(b"HELO c.example\r\nMAIL FROM:<>\r\n")
        receive_until_end(client)
        waiting = threading.Thread(target=server.wait, daemon=True)
        waiting.start()
        waiting.join(30)
        assert not waiting.is_alive()
