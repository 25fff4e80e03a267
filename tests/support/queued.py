"""Messages and deliveries of a queue, with what matters to a test."""

from __future__ import annotations

from typing import Any

from smtpproto import ForwardPath, Reply, ReversePath
from smtpproto.mta.queue import Attempt, Delivery, Message, Result


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


def attempt(result: Result, reply: Reply | None = None, **facts: Any) -> Attempt:
    values: dict[str, Any] = {"at": 0.0}
    return Attempt(result=result, reply=reply, **values | facts)
