"""A TCP proxy between two programs that records their sessions."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import define, field

from ..adapters.listening import hosts_of
from ..option_types import require_type
from ..wire.lines import begins_tls
from .recording import Recorder
from .transcript import Side, Transcript

__all__ = ["RecordingProxy"]

_MOST = 1000
_PIECE = 65_536


class RecordingProxy:
    """A proxy to the server *target* and *target_port*, in a thread
    (``with RecordingProxy("mx.example.org", 25) as proxy:``) or in the running loop of asyncio
    (``async with``).

    Clients connect to *host* and *port*; 0 finds a free port. The proxy does not end TLS: of what
    is encrypted it records only the size. Secrets of AUTH are masked, unless *masks* is False.
    *on_session* is called with the transcript of each session that ends, for example to print it.

    A session ends when no side sends anything for *seconds*. At most *connections* clients are
    connected at a time: others are turned away. The last 1000 sessions are kept, of each at most
    1,000,000 octets. Raises OSError if the port is in use, TypeError and ValueError for wrong
    arguments.
    """

    def __init__(  # noqa: PLR0913 - keywords
        self,
        target: str,
        target_port: int,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        masks: bool = True,
        seconds: float = 300.0,
        connections: int = 100,
        on_session: Callable[[Transcript], object] | None = None,
    ) -> None:
        self.host: str = host
        self.port: int = port
        hosts_of(host, port)
        require_type("seconds", seconds, int | float, "a number")
        if not seconds > 0:
            raise ValueError(f"seconds must be more than 0, not {seconds}")
        self._target = (target, target_port)
        self._masks, self._seconds, self._connections = masks, seconds, connections
        self._on_session = on_session
        self._sessions: deque[_Session] = deque(maxlen=_MOST)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def transcripts(self) -> list[Transcript]:
        """The sessions so far, the oldest first. A session may still go on."""
        return [session.transcript for session in list(self._sessions)]

    # -- asyncio -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):  # of clients that do not read
            await asyncio.wait_for(self._server.wait_closed(), 1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= self._connections:
            writer.close()
            return
        self._tasks.add(task)
        session = _Session(Recorder(masks=self._masks, limit=1_000_000))
        self._sessions.append(session)
        try:
            await self._relay(session, reader, writer)
        except asyncio.CancelledError:  # the proxy stops
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            session.end()
            if self._on_session is not None:
                self._on_session(session.transcript)

    async def _relay(
        self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        other: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self._seconds) as scope:
                answers, other = await asyncio.open_connection(*self._target)
                session.keep_alive = lambda: scope.reschedule(
                    asyncio.get_running_loop().time() + self._seconds
                )
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(session, "C", reader, other))
                    group.create_task(_pump(session, "S", answers, writer))
        except TimeoutError:
            session.recorder.note(f"no side sent anything for {self._seconds:g} seconds")
        except OSError as error:
            session.recorder.note(f"no connection to the server: {error}")
        finally:
            if other is not None:
                other.close()

    # -- a thread ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        started, failures = threading.Event(), deque[BaseException]()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started, failures)), name="RecordingProxy"
        )
        self._thread.start()
        started.wait()
        if failures:
            self._thread.join()
            raise failures[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _run(self, started: threading.Event, failures: deque[BaseException]) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self:
                started.set()
                await self._stopped.wait()
        except Exception as error:
            failures.append(error)
        finally:
            started.set()


@define
class _Session:
    """Records a session up to TLS, and counts the octets after it."""

    recorder: Recorder
    keep_alive: Callable[[], object] = lambda: None
    _encrypted: dict[Side, int] = field(factory=dict)
    _begun: bool = False

    @property
    def transcript(self) -> Transcript:
        return self.recorder.transcript

    def feed(self, side: Side, data: bytes) -> None:
        self.keep_alive()
        if not self._encrypted and not (self._begun or side == "S") and begins_tls(data):
            self._hide()
        self._begun = True
        if self._encrypted:
            self._encrypted[side] += len(data)
            return
        self.recorder.feed(side, data)
        if self.recorder.in_tls:
            self._hide()

    def _hide(self) -> None:
        self.recorder.tls("encrypted, not recorded")
        self._encrypted = {"C": 0, "S": 0}

    def end(self) -> None:
        if self._encrypted:
            client, server = self._encrypted.values()
            self.recorder.note(f"{client} octets of the client and {server} of the server")


async def _pump(
    session: _Session, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pass on what *side* sends, up to its end."""
    try:
        while data := await reader.read(_PIECE):
            session.feed(side, data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()  # which ends the other direction, too
