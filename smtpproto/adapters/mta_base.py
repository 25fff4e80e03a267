"""What the MTAs of all adapters have in common."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import Any, Self, TypeVar, Unpack

from attrs import evolve

from ..dns import Answer, Kind, Resolver, Status
from ..dns_cache import CachingResolver
from ..grammar.envelope import Envelope
from ..mail import Source
from ..mta.route import Route
from ..mta.store import Entry, QueueStore
from ..ports import Runtime
from ..server.config import ServerOptions
from ..transfer.assembly import MTAConfig, MTAOptions, RunningMTA
from ..transfer.intake import Intake
from ..transfer.receive import EXTENSIONS, Receiver
from ..transfer.running import running

T = TypeVar("T")

_log = logging.getLogger("smtpproto.server")

_PATIENCE = 10.0  # seconds that a thread waits for an answer


class MTABase:
    """The options of an MTA, and what it is while it runs."""

    _runtime_type: type[Runtime]

    def __init__(
        self,
        hostname: str,
        queue: QueueStore,
        routes: Mapping[str, Route] | None = None,
        **options: Unpack[MTAOptions],
    ) -> None:
        if isinstance(queue, str | PathLike):
            raise TypeError("queue must be a store; pass SQLiteQueue(path)")
        given: dict[str, Any] = {} if routes is None else {"routes": routes}
        self._config = _with_keys(MTAConfig(hostname=hostname, **given, **options))
        self._queue = queue
        self._resolver = self._config.resolver or _system_resolver(self._config)
        self._mail: RunningMTA | None = None
        self._context: AbstractAsyncContextManager[RunningMTA] | None = None

    @property
    def queue(self) -> QueueStore:
        """The store, for ``find``, ``hold``, ``release``, ``retry``, ``drop`` and ``stats``."""
        return self._running.store

    @property
    def _running(self) -> RunningMTA:
        if self._mail is None:
            raise RuntimeError("the MTA does not run; use it in `with`, or `async with`")
        return self._mail

    def wake(self) -> None:
        """Look for work now, for example after ``queue.retry(...)``."""
        self._running.agent.wake()

    def reload(self, other: Self) -> None:
        """Use the options of *other*, an MTA that does not run, from now on: for new connections,
        and for all that is in the queue. Only the queue and *on_event* stay. Raises ValueError,
        having changed nothing, if its host name is another.
        """
        running = self._running
        running.reload(other._config, other._cached(running.runtime))

    def _cached(self, runtime: Runtime) -> Resolver:
        return CachingResolver(self._resolver, runtime, self._config.dns_cache)

    def _receiver(self, kind: Callable[[Intake], Receiver]) -> Callable[[], Receiver]:
        """Return a function that makes the handler of a connection."""
        mail = self._running
        return lambda: mail.receiver(kind)

    def _ask(self, question: Callable[[RunningMTA], Awaitable[T]]) -> T:
        """Return what *question* returns in a task of the MTA, for a thread that is not its own.

        Raises TimeoutError after 10 seconds, and RuntimeError if the MTA does not run.
        """
        mail = self._running
        answer = mail.desk.ask(lambda: question(mail))
        try:
            return answer.result(_PATIENCE)
        finally:
            answer.cancel()

    async def _start(self) -> None:
        if self._context is not None:
            raise RuntimeError("the MTA has been started before; make a new MTA")
        runtime = self._runtime_type()
        self._context = running(runtime, self._config, self._queue, self._cached(runtime))
        self._mail = await self._context.__aenter__()

    async def _stop(self, *error: Any) -> None:
        if self._context is not None and self._mail is not None:
            self._mail = None
            await self._context.__aexit__(*error)

    def _serve_options(self, options: ServerOptions) -> ServerOptions:
        """Return *options* of ``serve``, completed by those of the MTA."""
        if not self._running.intake.recipients.takes_postmaster:
            _log.warning(
                "mail for <Postmaster> is refused, but each server must take it (RFC 5321 4.5.1);"
                " set postmaster to an address"
            )
        given = options.get("extensions", {})
        merged = {"hostname": self._config.hostname, **options}
        merged["extensions"] = {**EXTENSIONS, **given}
        return merged  # type: ignore[return-value]


class AsyncMTA(MTABase):
    """What the MTAs over asyncio and trio have in common."""

    async def __aenter__(self) -> Self:
        """Open the queue, and begin to deliver what is in it. Raises QueueFailed."""
        await self._start()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Stop: deliveries that run have *grace* seconds to end. Then close the queue."""
        await self._stop(*error)

    async def send(self, message: Source, envelope: Envelope | None = None) -> str:
        """Put *message* into the queue, and return its id. It is durable then.

        Without *envelope*, the header makes one. A message without Date or Message-ID gets them.
        Raises GrammarError, QueueFull and QueueFailed.
        """
        return await self._running.send(message, envelope)

    async def status(self, name: str) -> Entry | None:
        """Return what is known of the message *name*: each recipient with its attempts. None if the
        queue does not remember it."""
        return await self._running.status(name)

    async def explain(self, name: str) -> str | None:
        """Return the story of the message *name* in words; None if the queue does not remember
        it."""
        return await self._running.explain(name)


class _NoResolver:
    """Answers that nothing can be looked up."""

    async def lookup(self, name: str, kind: Kind) -> Answer:
        return Answer(status=Status.FAILED, detail="no resolver is configured")


def _with_keys(config: MTAConfig) -> MTAConfig:
    """Return *config* with what reads public keys, if messages are to be checked. Raises
    ImportError."""
    inspect = config.inspect
    if inspect is None or inspect.keys is not None:
        return config
    from .cryptography_keys import CryptographyKeys  # noqa: PLC0415 - it is an extra

    return evolve(config, inspect=evolve(inspect, keys=CryptographyKeys()))


def _system_resolver(config: MTAConfig) -> Resolver:
    """Return a resolver that asks the name servers of the system. Raises ImportError."""
    if not config.needs_dns:
        return _NoResolver()
    from .dnspython import DNSResolver  # noqa: PLC0415 - it is an extra

    return DNSResolver()
