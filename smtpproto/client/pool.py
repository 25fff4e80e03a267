"""A pool of clients to one server: connections that are kept for the next message."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, cast

import attrs
from attrs import define, evolve, field, frozen
from attrs.validators import ge, instance_of

from ..errors import LocalProtocolError, NotOffered, SendRefused, SMTPError, TransportError
from ..grammar.envelope import Envelope
from ..mail.preparation import Source, repeater
from ..outcome import Outcome
from ..ports import Runtime, Semaphore
from .config import ClientOptions
from .connection import Client, open_client
from .deadline import Deadline
from .target import make_target

_log = logging.getLogger("smtpproto.client")

_BEFORE_CONTENT = ("RSET", "MAIL", "RCPT", "DATA")  # to which an answer is missing
_GOODBYE = 1.0  # seconds for the reply to QUIT: somebody waits for the next connection


class PoolOptions(ClientOptions, total=False):
    """The keyword arguments of ``pool``: see :class:`PoolConfig` and
    :class:`.ClientConfig`."""

    max_connections: int
    max_messages: int | None
    max_idle: float | None
    max_age: float | None


def _positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:  # nor NaN
        raise ValueError(f"{attribute.name} must be None or more than 0")


@frozen(kw_only=True)
class PoolConfig:
    """How many connections a pool keeps, and for how long. None is no bound."""

    max_connections: int = field(default=4, validator=[instance_of(int), ge(1)])
    """At the same time; who comes then waits for one."""
    max_messages: int | None = field(default=100, validator=_positive)
    """Sent over one connection."""
    max_idle: float | None = field(default=60, validator=_positive)
    """Seconds without a message; servers hang up after 300 (RFC 5321 4.5.3.2.7), many sooner.
    Looked at whenever the pool is used: nothing runs in the background."""
    max_age: float | None = field(default=3600, validator=_positive)
    """Seconds since it was opened."""


_OWN = frozenset(attribute.name for attribute in attrs.fields(PoolConfig))


@define(eq=False)
class _Member:
    client: Client
    born: float
    used: float
    messages: int = 0
    spent: bool = False  # for anything more


@define(eq=False)
class Pool:
    """Sends messages over connections that are opened when needed and kept for the next.

    May be used by many tasks or threads at once; each connection serves one of them at a time. A
    connection that was kept and proves dead, or whose server says 421, is retired, and a message of
    which nothing was accepted goes over another, unless its content can be read only once and was
    on its way.
    """

    _runtime: Runtime
    _open: Callable[[Deadline], Awaitable[Client]]
    _config: PoolConfig = field(factory=PoolConfig)
    _total: float | None = None
    _semaphore: Semaphore = field(init=False)
    _idle: deque[_Member] = field(factory=deque, init=False)  # the one used last is the last
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._semaphore = self._runtime.semaphore(self._config.max_connections)

    async def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message: see :meth:`~smtpproto.client.connection.Client.send`.

        Raises what that raises, and what opening a connection raises: see
        :func:`~smtpproto.client.connection.open_client`. ``Timeouts.total`` bounds opening and
        message together, but not the wait for a connection that others use.
        """
        await self._semaphore.acquire()
        try:
            deadline = Deadline(self._runtime.now, self._total)
            deadline.start()
            return await self._send(message, envelope, deadline)
        finally:
            self._semaphore.release()

    async def close(self) -> None:
        """Quit all connections; those that are in use, when they are free. May be called twice."""
        self._closed = True
        async with AsyncExitStack() as kept:  # each, even if we are cancelled at one of them
            with suppress(IndexError):  # all, though other threads take and give meanwhile
                while True:
                    kept.push_async_callback(self._retire, self._idle.pop())

    async def _send(
        self, message: Source, envelope: Envelope | None, deadline: Deadline
    ) -> Outcome:
        """Over one connection; if that had been kept and failed, over a new one, as the others that
        are kept may be as dead."""
        again = repeater(message)
        member = await self._take() or await self._opened(deadline)
        kept = member.messages > 0
        try:
            return await self._over(member, message, envelope, deadline)
        except (TransportError, SendRefused, NotOffered) as error:
            another = kept and member.spent and not deadline.passed
            if not (another and (again() or _untouched(error))):
                raise
            _log.info("sent again over another connection: %s", error)
        return await self._over(await self._opened(deadline), message, envelope, deadline)

    async def _over(
        self, member: _Member, message: Source, envelope: Envelope | None, deadline: Deadline
    ) -> Outcome:
        member.messages += 1
        try:
            outcome = await member.client._send(message, envelope, deadline)
        except BaseException as error:
            member.spent = _ends_connection(error, member)
            await self._give_back(member)
            raise
        # Nothing is to come between the outcome and who waits for it, and may be cancelled: if this
        # one can take no more, whoever looks next retires it.
        self._keep(member)
        if self._closed:
            await self.close()
        return outcome

    # -- connections -------------------------------------------------------------------------

    async def _take(self) -> _Member | None:
        """The connection used last, which is the likeliest to live."""
        if self._closed:
            raise LocalProtocolError("this pool is closed", phase="connect", check="a new one")
        for member in self._pop_expired():
            await self._retire(member)
        with suppress(IndexError):  # another thread may have been quicker
            return self._idle.pop()
        return None

    async def _opened(self, deadline: Deadline) -> _Member:
        client = await self._open(deadline)
        now = self._runtime.now()
        return _Member(client, born=now, used=now)

    async def _give_back(self, member: _Member) -> None:
        """Behind an error: keep it or retire it."""
        if self._is_spent(member):
            await self._retire(member)
            return
        self._keep(member)
        if self._closed:
            await self.close()

    def _keep(self, member: _Member) -> None:
        member.used = self._runtime.now()
        self._idle.append(member)

    def _pop_expired(self) -> Iterator[_Member]:
        """Take out those kept too long, each at most once, whatever other threads do meanwhile."""
        for _ in range(len(self._idle)):
            with suppress(IndexError):
                member = self._idle.popleft()
                if self._is_spent(member):
                    yield member
                else:
                    self._idle.append(member)

    def _is_spent(self, member: _Member) -> bool:
        now, config = self._runtime.now(), self._config
        return (
            member.spent
            or not member.client.usable
            or _reached(member.messages, config.max_messages)
            or _reached(now - member.born, config.max_age)
            or _reached(now - member.used, config.max_idle)
        )

    async def _retire(self, member: _Member) -> None:
        """QUIT, if it still can be said."""
        await member.client.quit()


def _reached(value: float, bound: float | None) -> bool:
    return bound is not None and value >= bound


def _ends_connection(error: BaseException, member: _Member) -> bool:
    """Whether it is the connection that can take no more, and not the message that is refused."""
    match error:
        case SendRefused():
            # Some servers say 451 instead of 421 as they hang up, to MAIL as it seems; others that
            # this connection has had its share.
            used_up = member.messages > 1 and error.command == "MAIL" and error.reply.transient
            return error.reply.code == 421 or used_up
        case NotOffered():  # here: what RFC 9422 allows on one connection may be used up
            return member.client.extensions.limits.per_connection
        case _:
            return isinstance(error, TransportError)


def _untouched(error: SMTPError) -> bool:
    """Whether nothing was read of the content, so that even one that can be read only once can be
    sent again: what was left unanswered came before it, or nothing was said at all."""
    if isinstance(error, NotOffered):
        return error.phase == "plan"
    return error.command.split(" ")[0] in _BEFORE_CONTENT


def make_pool(runtime: Runtime, host: str, port: int | None, options: PoolOptions) -> Pool:
    """The pool that the arguments of ``pool`` describe; nothing is connected yet. Raises as
    :func:`.make_target` does."""
    ours = {name: value for name, value in options.items() if name in _OWN}
    theirs = {name: value for name, value in options.items() if name not in _OWN}
    to = make_target(host, port, cast(ClientOptions, theirs))
    times = to.config.timeouts
    goodbye = _GOODBYE if times.quit is None else min(times.quit, _GOODBYE)
    config = evolve(to.config, timeouts=evolve(times, quit=goodbye))
    opening = partial(open_client, runtime, to.host, to.port, config)
    return Pool(runtime, opening, PoolConfig(**cast(Any, ours)), times.total)
