"""The queue in a PostgreSQL database: durable, and for several processes on several machines.

::

    queue = PostgresQueue("postgresql://mail@db.example.org/mail")
    await queue.open(runtime)

It needs psycopg: ``pip install "smtpproto-sansio[postgres]"``. docs/howto/postgres.md has the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from ..errors import QueueFailed
from ..mail import Source
from ..mta.queue import Message
from ..mta.queue_limits import QueueLimits
from ..mta.settlement import Settlement
from ..mta.store import Body, Queued
from ..ports import Runtime
from .call_groups import Call
from .durable_queue import DurableQueue, OpenQueue
from .postgres_body import PostgresBody, Stored
from .postgres_connection import Database, clock
from .postgres_members import NEWS
from .postgres_reader import Ears, Reader
from .postgres_tables import Tables
from .postgres_writer import Writer

__all__ = ["PostgresQueue"]

_SURE = 1.0  # seconds for which it counts on its claims without hearing from the database


class PostgresQueue(DurableQueue[Tables]):
    """Implements :class:`.QueueStore`, for any number of processes.

    *url* is that of the database, as libpq takes it. The tables are made in its *schema*. Raises
    ValueError for what is not a URL.
    """

    def __init__(
        self,
        url: str,
        limits: QueueLimits | None = None,
        *,
        schema: str = "smtpproto",
    ) -> None:
        super().__init__(limits)
        self._database = Database(url, schema, self._limits.patience)

    def watch(self, changed: Callable[[], object]) -> None:
        """Call *changed* after another process has put something into the queue that this one may
        work on: see :meth:`.QueueStore.watch`."""
        super().watch(changed)
        self._opened_here().listen(changed)

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of deliveries: see :meth:`.QueueStore.settle`."""
        lost = self._opened_here().process.lost
        try:
            await super().settle(settlements, now, new)
        except ValueError:
            for it in settlements:
                if (numbers := lost.get(it.delivery.message)) is not None:
                    numbers.discard(it.delivery.number)
                    if not numbers:
                        del lost[it.delivery.message]
            raise

    async def content(self, message: Message) -> Source:
        """Return the content: see :meth:`.QueueStore.content`. Raises QueueFailed, too, if a claim
        of the message was lost, so that it is not sent by two processes."""
        it = self._opened_here()
        if clock() - it.process.beaten > min(_SURE, self._limits.patience / 4):
            call: Call[Tables, None] = Call(lambda _: None, durable=False)
            await it.write(call)
        if message.id in it.process.lost:
            raise QueueFailed(f"message {message.id} was given to another process")
        return await super().content(message)

    def share(self, limit: int, what: str) -> int:
        """Return this process's part of *limit*: see :meth:`.QueueStore.share`."""
        return self._opened_here().process.members.share(limit, what)

    def _opened_here(self) -> _Open:
        it = self._opened()
        assert isinstance(it, _Open)
        return it

    def _start(self, runtime: Runtime) -> OpenQueue[Tables]:
        return _Open(self._database, runtime, self._limits)

    def _new_body(self, it: OpenQueue[Tables]) -> Body:
        return PostgresBody(it.runtime, self._limits.spool)

    async def _finish(self, content: Body) -> bytes | Stored:
        if not isinstance(content, PostgresBody):
            raise TypeError("the content must be octets, or the body() of this queue")
        done, it = await content.finish(), self._opened_here()
        if isinstance(done, bytes):
            return done
        stored: Future[Stored] = Future()
        try:
            await it.read(lambda tables: stored.set_result(tables.store(done, it.process.owner)))
        except BaseException:  # if this was cancelled, the thread goes on all the same
            stored.add_done_callback(lambda late: self._remove(it, [late.result()]))
            raise
        return stored.result()

    def _add(self, tables: Tables, queued: Queued, content: bytes | Stored) -> None:
        tables.put(queued, content)

    def _remove(self, it: OpenQueue[Tables], contents: Sequence[bytes | Stored]) -> None:
        for content in contents:
            if isinstance(content, Stored):
                with contextlib.suppress(QueueFailed):  # closed, which removes it too
                    it.writer.submit(Call(partial(_discard, content), durable=False))


def _discard(content: Stored, tables: Tables) -> None:
    tables.discard(content)


class _Open(OpenQueue[Tables]):
    """A queue that is open: its connections."""

    def __init__(self, database: Database, runtime: Runtime, limits: QueueLimits) -> None:
        self._database = database
        self._ears: Ears | None = None
        with database.errors(), contextlib.ExitStack() as opened:
            writer = Writer(database, limits.patience)
            writer.start()
            self.process = writer  # among those that share the queue
            opened.callback(writer.stop)
            reader = Reader(database)
            opened.callback(reader.close)
            opened.callback(self._stop_listening)
            super().__init__(runtime, limits.cache, writer, reader.read, opened.pop_all().close)

    def listen(self, changed: Callable[[], object]) -> None:
        """Call *changed* after notifications."""
        self._stop_listening()

        def tell(payload: str) -> None:
            if payload == NEWS:
                self.process.look_at_members(changed)
            else:
                changed()

        self._ears = Ears(self._database, tell)

    def _stop_listening(self) -> None:
        if self._ears is not None:
            self._ears.stop()
            self._ears = None
