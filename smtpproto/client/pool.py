"""A pool of clients of one server: it keeps connections open for the next message."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import attrs
from attrs import define, field, frozen
from attrs.validators import ge, instance_of

from ..errors import (
    LocalProtocolError,
    NotOffered,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TransportError,
    error_context,
)
from ..grammar.envelope import Envelope
from ..grammar.secret import keeps_secret
from ..limits import BULK_RETRIES
from ..mail.preparation import Source, repeater
from ..option_types import argument_names, check_names, checked
from ..outcome import Outcome
from ..ports import Runtime, Semaphore
from .config import ClientConfig, ConnectOptions
from .connection import Client, open_client, send_within
from .deadline import Deadline
from .target import Target, make_target

T = TypeVar("T")

if TYPE_CHECKING:
    from .bulk import BulkMessage, JournalPort, SendEvent

_log = logging.getLogger("smtpproto.client")

EnvelopeFor = Callable[[Client], Envelope | None]
"""Returns the envelope for a message that is sent over a client. It may raise NotOffered."""

_BEFORE_CONTENT = ("RSET", "MAIL", "RCPT", "DATA")  # commands sent before any content


class PoolOptions(ConnectOptions, total=False):
    """The keyword arguments of ``pool``: those of ``connect``, and those of :class:`PoolConfig`."""

    max_connections: int
    max_messages: int | None
    max_idle: float | None
    max_age: float | None


def _positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:  # refuses NaN too
        raise ValueError(f"{attribute.name} must be None or greater than 0, not {value}")


@checked
@frozen(kw_only=True)
class PoolConfig:
    """How many connections a pool keeps, and for how long. None means no limit."""

    max_connections: int = field(default=4, validator=[instance_of(int), ge(1)])
    """Connections open at the same time. While all are in use, ``send`` waits for one."""
    max_messages: int | None = field(default=100, validator=_positive)
    """Messages sent over one connection."""
    max_idle: float | None = field(default=60, validator=_positive)
    """Seconds that a connection is kept without a message. Servers close idle connections after
    300 (RFC 5321 4.5.3.2.7), many of them sooner. The pool checks this whenever it is used; nothing
    runs in the background."""
    max_age: float | None = field(default=3600, validator=_positive)
    """Seconds that a connection is kept after it was opened."""


_POOL_OPTIONS = frozenset(attribute.name for attribute in attrs.fields(PoolConfig))


@define(eq=False)
class _Connection:
    """A client of the pool, and how it was used. Times are those of ``Runtime.now``."""

    client: Client
    opened_at: float
    used_at: float
    messages: int = 0
    exhausted: bool = False  # the server accepts no more messages on it


@define(eq=False)
class Pool:
    """Sends messages over connections that it opens when needed and keeps for the next message.

    Many tasks or threads may use a pool at once; each connection serves one of them at a time. If a
    kept connection proves dead or out of step, or its server replies 421, the pool retires it. If
    nothing of the message was accepted, the pool then sends it over a new connection, unless its
    content can be read only once and was partly sent.
    """

    _runtime: Runtime = field(repr=False)
    _open: Callable[[Deadline], Awaitable[Client]] = field(repr=False)
    _config: PoolConfig = field(factory=PoolConfig)
    _total: float | None = None
    _semaphore: Semaphore = field(init=False, repr=False)
    _idle: deque[_Connection] = field(
        factory=deque, init=False, repr=False
    )  # the most recently used is the last
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._semaphore = self._runtime.semaphore(self._config.max_connections)

    async def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message as :meth:`~smtpproto.client.connection.Client.send` does.

        Raises what that raises, and what opening a connection raises: see
        :func:`~smtpproto.client.connection.open_client`. ``Timeouts.total`` limits opening and
        sending together, but not the wait for a connection that others use.
        """
        return await self._send_in_turn(message, lambda _: envelope)

    async def connect(self) -> None:
        """Open a connection for the next message, unless the pool keeps one already.

        A program that calls this as it starts learns at once of a wrong host or password. Raises
        what opening a connection raises, like :meth:`send`.
        """
        await self._in_turn(self._connect)

    def send_each(
        self,
        messages: Iterable[BulkMessage],
        *,
        rate: str | None = None,
        journal: JournalPort | None = None,
        retries: Sequence[float] = BULK_RETRIES,
        resend_unknown: bool = False,
    ) -> AsyncGenerator[SendEvent, None]:
        """Send many *messages*, one after the other, and yield what came of each recipient.

        A message may also be a pair of the message and its :class:`.Envelope`. *rate* bounds how
        many are sent: ``"10/s"``, or ``"1000/h burst 20"``. What was refused for now (4yz) is tried
        again after each of *retries*, in seconds; what was refused for good is not. With a
        *journal*, a later run sends nothing to recipients who were accepted or refused, and nothing
        where that is unknown, unless *resend_unknown*. If the caller is cancelled, the message in
        flight still has a few seconds to come to its end.

        Raises LoginRefused if the login fails, the error of the connection if five attempts in a
        row found no usable one, and ValueError for *rate*.
        """
        from .bulk import BulkOptions, events_of  # noqa: PLC0415  few programs need it

        options = BulkOptions(rate=rate, retries=retries, resend_unknown=resend_unknown)
        return events_of(self, self._runtime, messages, journal, options)

    async def close(self) -> None:
        """Send QUIT on all connections; on those in use, as soon as they are free. May be called
        twice."""
        self._closed = True
        async with AsyncExitStack() as idle:  # closes all, even if this task is cancelled
            with suppress(IndexError):  # pop until empty: other threads may use the deque meanwhile
                while True:
                    idle.push_async_callback(self._idle.pop().client.quit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _send_in_turn(self, message: Source, envelope_for: EnvelopeFor) -> Outcome:
        return await self._in_turn(partial(self._send, message, envelope_for))

    async def _in_turn(self, action: Callable[[Deadline], Awaitable[T]]) -> T:
        """Wait until a connection may be used or opened; then return what *action* returns. The
        time for it begins then."""
        await self._semaphore.acquire()
        try:
            deadline = Deadline(self._runtime.now, self._total)
            deadline.start()
            return await action(deadline)
        finally:
            self._semaphore.release()

    async def _send(
        self, message: Source, envelope_for: EnvelopeFor, deadline: Deadline
    ) -> Outcome:
        """Send over a kept connection; if that fails, over a new one, because the other kept ones
        may be dead as well."""
        rewind = repeater(message)
        kept = await self._take_idle()
        connection = kept or await self._open_new(deadline)
        try:
            return await self._send_over(connection, message, envelope_for, deadline)
        except (TransportError, RemoteProtocolError, SendRefused, NotOffered) as error:
            may_retry = kept is not None and connection.exhausted and not deadline.passed
            if not (may_retry and (rewind() or _content_unread(error))):
                raise
            _log.info("sending again over another connection: %s", error)
        connection = await self._open_new(deadline)
        return await self._send_over(connection, message, envelope_for, deadline)

    async def _send_over(
        self,
        connection: _Connection,
        message: Source,
        envelope_for: EnvelopeFor,
        deadline: Deadline,
    ) -> Outcome:
        connection.messages += 1
        try:
            with error_context("plan"):
                envelope = envelope_for(connection.client)
            outcome = await send_within(deadline, connection.client, message, envelope)
        except BaseException as error:
            connection.exhausted = _exhausts(error, connection)
            if self._is_expired(connection):
                await connection.client.quit()
            else:
                await self._keep(connection)
            raise
        # Wait for nothing once the outcome is known: a task cancelled here would lose it. If this
        # connection can take no more, the next call of send retires it.
        await self._keep(connection)
        return outcome

    # -- connections -------------------------------------------------------------------------

    async def _connect(self, deadline: Deadline) -> None:
        if (kept := await self._take_idle()) is not None:
            self._idle.append(kept)
        else:
            await self._keep(await self._open_new(deadline))

    async def _take_idle(self) -> _Connection | None:
        """Retire what has expired; return the connection used last, which is the most likely to
        work, or None. Other threads or tasks may use the deque meanwhile."""
        if self._closed:
            check = "whether close() was called too early; open a new pool to send more"
            raise LocalProtocolError("this pool is closed", phase="connect", check=check)
        for _ in range(len(self._idle)):
            with suppress(IndexError):
                connection = self._idle.popleft()
                if self._is_expired(connection):
                    await connection.client.quit()
                else:
                    self._idle.append(connection)
        with suppress(IndexError):
            return self._idle.pop()
        return None

    async def _open_new(self, deadline: Deadline) -> _Connection:
        client = await self._open(deadline)
        now = self._runtime.now()
        return _Connection(client, opened_at=now, used_at=now)

    async def _keep(self, connection: _Connection) -> None:
        """Keep *connection* for the next message; only a pool that was closed meanwhile waits."""
        connection.used_at = self._runtime.now()
        self._idle.append(connection)
        if self._closed:
            await self.close()

    def _is_expired(self, connection: _Connection) -> bool:
        now, config = self._runtime.now(), self._config
        limits = (
            (connection.messages, config.max_messages),
            (now - connection.opened_at, config.max_age),
            (now - connection.used_at, config.max_idle),
        )
        reached = any(most is not None and value >= most for value, most in limits)
        return reached or connection.exhausted or not connection.client.usable


async def send_by_pool(pool: Pool, message: Source, envelope_for: EnvelopeFor) -> Outcome:
    """Send *message* as :meth:`Pool.send` does, with an envelope that depends on what the server
    offers. *envelope_for* is called again if the message is sent again over another connection."""
    return await pool._send_in_turn(message, envelope_for)


def _exhausts(error: BaseException, connection: _Connection) -> bool:
    """Return whether *error* ends the use of the connection, rather than refusing the message."""
    match error:
        case SendRefused():
            # Some servers reply 451 to MAIL, instead of 421, when they close an idle connection;
            # others do so when the connection has carried as many messages as they allow.
            used_up = connection.messages > 1 and error.command == "MAIL" and error.reply.transient
            return error.reply.code == 421 or used_up
        case NotOffered():  # the limits per connection of RFC 9422 may have been reached
            return connection.client.extensions.limits.per_connection
        case _:
            return isinstance(error, TransportError | RemoteProtocolError)


def _content_unread(error: SMTPError) -> bool:
    """Return whether *error* came before any content was read.

    Then even content that can be read only once can be sent again.
    """
    if isinstance(error, NotOffered):
        return error.phase == "plan"
    return error.command.split(" ")[0] in _BEFORE_CONTENT


@keeps_secret
def make_pool(runtime: Runtime, host: str, port: int | None, options: PoolOptions) -> Pool:
    """Return the pool that the arguments of ``pool`` describe, without connecting yet.

    Raises what :func:`.make_target` raises, and ValueError or TypeError for *options* of the pool.
    """
    known = [*argument_names(ClientConfig), "timeout", *_POOL_OPTIONS]
    check_names("pool", options, known, ClientConfig)
    pool_options = {name: value for name, value in options.items() if name in _POOL_OPTIONS}
    client_options = {name: value for name, value in options.items() if name not in _POOL_OPTIONS}
    target = make_target(host, port, cast(ConnectOptions, client_options), "pool")
    return pool_of(runtime, target, PoolConfig(**cast(Any, pool_options)))


def pool_of(runtime: Runtime, target: Target, config: PoolConfig) -> Pool:
    """Return the pool that sends to *target*, without connecting yet."""
    return Pool(
        runtime, partial(open_client, runtime, *target), config, target.config.timeouts.total
    )
