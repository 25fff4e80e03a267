"""Delivery to mailboxes here, by a function of the application."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from ..grammar.address import ForwardPath
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail import Source
from ..mta.queue import Attempt, Delivery, Message, Result
from ..mta.route import Local
from ..ports import Runtime, result
from .trial import Tried

__all__ = ["Delivered", "Deliverer", "deliver_locally"]

_log = logging.getLogger("smtpproto.queue")

_TIME = 600.0  # seconds for a call
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
        """Deliver *content* to the recipients of *deliveries*, durably. It may be ``async``.

        *content* has CRLF at its lines, and can be read again and again. Before it belong the
        fields of final delivery: see :func:`.delivery_fields`.
        """
        ...


async def deliver_locally(
    runtime: Runtime,
    route: Local,
    message: Message,
    deliveries: Sequence[Delivery],
    content: Source,
) -> Sequence[Tried]:
    """Let *route* deliver *message*; return an attempt for each of *deliveries*. What the
    application's code raises is logged."""
    started, error = runtime.utc(), "no reply for this recipient was returned"
    said: Any = None
    try:
        said = await runtime.within(_TIME, _call(route, message, deliveries, content))
        replies = _replies(said, deliveries)
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
    route: Local, message: Message, deliveries: Sequence[Delivery], content: Source
) -> object:
    said: object = await result(route.deliver(message, deliveries, content))
    return said


def _replies(said: object, deliveries: Sequence[Delivery]) -> Sequence[Reply]:
    """Return the reply for each of *deliveries*. Raises TypeError for what is none."""
    if not isinstance(said, Mapping):
        return [_reply(said)] * len(deliveries)
    return [
        _reply(said[each.recipient]) if each.recipient in said else _FAILED for each in deliveries
    ]


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
