"""Delivery to mailboxes here, by a function of the application."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ..grammar.address import ForwardPath
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail import Source
from ..mta.queue import Attempt, Delivery, Message, Result
from ..mta.route import Local
from ..ports import Runtime, Semaphore, result
from .trial import Tried

__all__ = ["Delivered", "Deliverer", "LocalDelivery"]

_log = logging.getLogger("smtpproto.queue")

_TIME = 600.0  # seconds for a call
_AT_ONCE = 16  # calls in threads: slow ones must leave threads to logins and to the queue
_DELIVERED = Reply(250, "2.0.0", "Delivered")
_FAILED = Reply(451, "4.3.0", "Delivery failed here")

Delivered = Reply | Mapping[ForwardPath, Reply | None] | None
"""What came of a delivery: None for success, a ``Reply`` for all recipients, or one for each; those
that are left out are tried again."""


class Deliverer(Protocol):
    """Puts a message into mailboxes: the argument of ``Local``.

    It may be called again for a message that it has delivered, if the process dies before that is
    written down. With 4yz, and if it raises, the recipients are tried again later; 5yz is final.
    """

    def __call__(
        self, message: Message, deliveries: Sequence[Delivery], content: Source, /
    ) -> Delivered | Awaitable[Delivered]:
        """Deliver *content* to the recipients of *deliveries*, durably.

        It may be ``async``. A plain function may block: it is called in a thread, and several
        threads may call it at the same time.

        *content* has CRLF at its lines, and can be read again and again. Before it belong the
        fields of final delivery: see :func:`.delivery_fields`.
        """
        ...


class LocalDelivery:
    """Delivers to mailboxes here."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._slots: Semaphore = runtime.semaphore(_AT_ONCE)

    async def attempt(
        self,
        route: Local,
        message: Message,
        deliveries: Sequence[Delivery],
        content: Source,
    ) -> Sequence[Tried]:
        """Let *route* deliver *message*; return an attempt for each of *deliveries*. What the
        application's code raises is logged."""
        runtime, error = self._runtime, "no reply for this recipient was returned"
        started = runtime.utc()
        try:
            said = await self._call(route, message, deliveries, content)
            replies = [_reply_for(said, it) for it in deliveries]
        except Exception as raised:
            _log.exception("the delivery of message %s failed", message.id)
            error = printable(f"{type(raised).__name__}: {raised}")
            replies = [_FAILED] * len(deliveries)
        seconds = runtime.utc() - started
        return [
            (delivery, _attempt(started, seconds, reply, error if reply is _FAILED else ""))
            for delivery, reply in zip(deliveries, replies, strict=True)
        ]

    async def _call(
        self, route: Local, message: Message, deliveries: Sequence[Delivery], content: Source
    ) -> object:
        call = partial(route.deliver, message, deliveries, content)
        if _is_async(route.deliver):
            return await self._runtime.within(_TIME, call())
        await self._slots.acquire()
        try:
            return await self._runtime.within(_TIME, self._call_in_thread(call))
        finally:
            self._slots.release()

    async def _call_in_thread(self, call: Callable[[], object]) -> object:
        said: object = await result(await self._runtime.in_thread(call))
        return said


def _is_async(function: Callable[..., object]) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))


def _reply_for(said: object, delivery: Delivery) -> Reply:
    """Return the reply for *delivery*. Raises TypeError for what is none."""
    if not isinstance(said, Mapping):
        return _reply(said)
    return _reply(said[delivery.recipient]) if delivery.recipient in said else _FAILED


def _reply(said: object) -> Reply:
    if said is None:
        return _DELIVERED
    if isinstance(said, Reply):
        return said
    raise TypeError(f"a delivery returns a Reply, None or a mapping of these, not {said!r}")


def _attempt(at: float, seconds: float, reply: Reply, error: str) -> Attempt:
    accepted = reply.positive
    return Attempt(
        at=at,
        result=Result.DELIVERED if accepted else Result.REFUSED,
        reply=reply,
        error=error,
        seconds=seconds,
    )
