"""Messages and deliveries of a queue, with what matters to a test."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from smtpproto import ForwardPath, Reply, ReversePath
from smtpproto.mta.queue import Attempt, Delivery, Message, Result, State
from smtpproto.mta.store import Queued
from smtpproto.testing.queue_contract import make_queued


def message(name: str = "m1", **facts: Any) -> Message:
    """Return a message with the id *name*."""
    values: dict[str, Any] = {
        "sender": ReversePath.parse("<ann@example.org>"),
        "size": 1000,
        "arrived": 0.0,
        "expires": 5 * 86400.0,
    }
    return Message(id=name, **values | facts)


def delivery(
    of: str = "m1", number: int = 0, to: str = "bob@example.net", **facts: Any
) -> Delivery:
    recipient = ForwardPath.parse(f"<{to}>")
    values: dict[str, Any] = {"due": 0.0, "attempts": 1}
    return Delivery(message=of, number=number, recipient=recipient, **values | facts)


def held(*recipients: str, content: bytes = b"hello") -> Queued:
    """Return a message that enters the queue and is held, so that an MTA lets it alone."""
    queued = make_queued("held", *recipients, content=content)
    return evolve(
        queued, deliveries=tuple(evolve(it, state=State.HELD) for it in queued.deliveries)
    )


def attempt(result: Result, reply: Reply | None = None, **facts: Any) -> Attempt:
    values: dict[str, Any] = {"at": 0.0}
    return Attempt(result=result, reply=reply, **values | facts)
