"""Our mail agent on each adapter, in a thread, between other programs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import frozen

from smtpproto import Envelope
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.exchangers import Self
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Route
from smtpproto.mta.store import Entry
from tests.interop.programs import TIMEOUT, wait_until

HOSTNAME = "mta.ours.test"
SOON = RetrySchedule(steps=(0.3,), longest=0.5)
"""Tries again after a moment."""
_LIMITS = ScheduleLimits(pause=0.3, longest_pause=0.5)
_ITSELF = Self(names=[HOSTNAME], loopback=False)  # the other hosts are on the loopback too

T = TypeVar("T")


@frozen
class MailAgent:
    """An MTA that runs. It takes mail on *port*."""

    port: int
    _call: Callable[[str, tuple[Any, ...]], Any]

    def send(self, message: bytes, envelope: Envelope) -> str:
        """Put *message* into the queue, and return its id."""
        name: str = self._call("send", (message, envelope))
        return name

    def status(self, name: str) -> Entry:
        """Return what the queue knows of the message *name*."""
        entry: Entry | None = self._call("status", (name,))
        assert entry is not None, f"the queue does not know {name}"
        return entry

    def explain(self, name: str) -> str:
        """Return the story of the message *name*."""
        story: str = self._call("explain", (name,))
        return story

    def after_attempts(self, name: str, number: int = 1) -> Entry:
        """Wait until the message *name*, with one recipient, waits after *number* attempts."""

        def probe() -> Entry | None:
            entry = self.status(name)
            return entry if any(len(it.log) >= number for it in entry.deliveries) else None

        return wait_until(f"{number} attempts", probe)

    def end(self, name: str) -> Entry:
        """Wait until the message *name* has left the queue."""

        def probe() -> Entry | None:
            entry = self.status(name)
            return None if entry.deliveries else entry

        try:
            return wait_until(f"the end of {name}", probe)
        except AssertionError as error:
            error.add_note(self.explain(name))
            raise


@contextlib.contextmanager
def mail_agent(
    adapter: str,
    queue: Path,
    routes: Mapping[str, Route],
    *,
    serve: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[MailAgent]:
    """Run our MTA on *adapter* with the queue in the directory *queue* while the block runs.

    *serve* are options of its server, *options* those of the MTA.
    """
    store = SQLiteQueue(queue / "queue.db")
    options = {"itself": _ITSELF, "retry": SOON, "limits": _LIMITS, "grace": TIMEOUT, **options}
    serve = {} if serve is None else serve
    if adapter == "blocking":
        with (
            blocking.MTA(HOSTNAME, store, routes, **options) as mail,
            mail.serve(**serve) as server,
        ):
            yield MailAgent(server.port, lambda name, given: getattr(mail, name)(*given))
        return
    started: Future[tuple[MailAgent, Callable[[], object]]] = Future()

    async def in_asyncio() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with (
            on_asyncio.MTA(HOSTNAME, store, routes, **options) as mail,
            mail.serve(**serve) as server,
        ):

            def call(name: str, given: tuple[Any, ...]) -> Any:
                called = asyncio.run_coroutine_threadsafe(getattr(mail, name)(*given), loop)
                return called.result(TIMEOUT)

            stop = _from_any_thread(loop.call_soon_threadsafe, stopped.set)
            started.set_result((MailAgent(server.port, call), stop))
            await stopped.wait()

    async def in_trio() -> None:
        token, stopped = trio.lowlevel.current_trio_token(), trio.Event()
        async with (
            on_trio.MTA(HOSTNAME, store, routes, **options) as mail,
            mail.serve(**serve) as server,
        ):

            def call(name: str, given: tuple[Any, ...]) -> Any:
                method: Callable[..., Awaitable[Any]] = getattr(mail, name)
                return trio.from_thread.run(method, *given, trio_token=token)

            stop = _from_any_thread(token.run_sync_soon, stopped.set)
            started.set_result((MailAgent(server.port, call), stop))
            await stopped.wait()

    def run() -> None:
        try:
            if adapter == "trio":
                trio.run(in_trio)
            else:
                asyncio.run(in_asyncio())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        agent, stop = started.result(TIMEOUT)
        try:
            yield agent
        finally:
            stop()
    finally:
        thread.join()


def _from_any_thread(schedule: Callable[..., Any], call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: schedule(call)
