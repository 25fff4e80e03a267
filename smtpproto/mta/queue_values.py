"""Events and figures of the queue as values that JSON can hold. Text of others is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.printable import printable
from .destination_stats import DestinationStats
from .explain import next_step
from .queue import Attempt, Delivery
from .queue_events import DeliveryEvent, FilterEvent, GuardEvent, MessageQueued, QueueEvent
from .settlement import Done, Hold, Later, Settlement
from .store import DomainStats, Entry, QueueStats

__all__ = ["entry_values", "event_values", "iso_date", "result_of", "stats_values"]

_SHOWN = 100  # recipients of a message in its event
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_date(time: float) -> str:
    """Return *time*, in seconds since the epoch, as RFC 3339 writes it; "" if it is beyond all
    dates."""
    try:
        date = _EPOCH + timedelta(seconds=time)
    except (OverflowError, ValueError):  # ValueError: not a number
        return ""
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_of(settlement: Settlement) -> str:
    """Return what became of the delivery, in a word: the value of its :class:`.Fate`, ``deferred``
    or ``held``."""
    match settlement.decision:
        case Done(fate=fate):
            return fate.value
        case Later():
            return "deferred"
        case Hold():
            return "held"


def event_values(event: QueueEvent) -> dict[str, Any]:
    """Return *event* as an object of JSON."""
    match event:
        case MessageQueued():
            return _queued(event)
        case DeliveryEvent(settlement=settlement):
            return _delivery(settlement)
        case FilterEvent():
            return {
                "event": "filter",
                "id": event.id,
                "filter": printable(event.filter),
                "action": event.action.value,
                "detail": printable(event.detail),
            }
        case GuardEvent():
            return {
                "event": "guard",
                "guard": event.guard,
                "client": event.client,
                "recipient": printable(event.recipient),
                "code": event.reply.code,
                "reply": printable(str(event.reply)),
            }


def _delivery(it: Settlement) -> dict[str, Any]:
    values = {
        "event": "delivery",
        "id": it.delivery.message,
        "recipient": _address(it.delivery.recipient),
        "result": result_of(it),
        "attempts": it.delivery_after.attempts,
    }
    match it.decision:
        case Later(due=due, warned=warned):
            values |= {"due": iso_date(due)} | ({"warned": True} if warned else {})
        case Hold(reason=reason):
            values["reason"] = printable(reason)
        case Done():
            pass
    return values if it.attempt is None else values | {"attempt": _attempt(it.attempt)}


def _queued(event: MessageQueued) -> dict[str, Any]:
    message = event.message
    values = {
        "event": "queued",
        "id": event.id,
        "about": event.about,
        "sender": _address(message.sender),
        "recipients": [_address(it.recipient) for it in event.deliveries[:_SHOWN]],
        "recipient_count": len(event.deliveries),
        "size": message.size,
        "client": printable(message.client),
    }
    return {name: it for name, it in values.items() if it or name == "sender"}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    reply = attempt.reply
    values = {
        "at": iso_date(attempt.at),
        "seconds": round(attempt.seconds, 3),
        "result": attempt.result.value,
        "host": attempt.host,
        "address": attempt.address,
        "tls": attempt.tls,
        "code": None if reply is None else reply.code,
        "reply": "" if reply is None else str(reply),
        "command": attempt.command,
        "error": attempt.error,
    }
    escaped = {name: printable(it) if isinstance(it, str) else it for name, it in values.items()}
    return {name: it for name, it in escaped.items() if it not in ("", None)}


def entry_values(entry: Entry, now: float) -> dict[str, Any]:
    """Return a message of the queue, with its deliveries and what is left to know of those that
    ended, as an object of JSON."""
    message = entry.message
    return {
        "id": printable(message.id),
        "sender": _address(message.sender),
        "size": message.size,
        "arrived": iso_date(message.arrived),
        "expires": iso_date(message.expires),
        "origin": printable(message.origin),
        "client": printable(message.client),
        "deliveries": [
            {
                **_of_delivery(it),
                "state": it.state.value,
                "due": iso_date(it.due),
                "reason": printable(it.reason),
                "next": next_step(message, it, now),
            }
            for it in entry.deliveries
        ],
        "ended": [
            {**_of_delivery(it.delivery), "result": it.fate.value, "at": iso_date(it.at)}
            for it in entry.ended
        ],
    }


def _of_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "recipient": _address(delivery.recipient),
        "attempts": delivery.attempts,
        "log": [_attempt(it) for it in delivery.log],
    }


def stats_values(
    stats: QueueStats, destinations: Mapping[str, DestinationStats] | None = None
) -> dict[str, Any]:
    """Return *stats* as an object of JSON, with what a running MTA knows of the *destinations* of
    the domains."""
    known = destinations or {}
    return {
        "messages": stats.messages,
        "octets": stats.octets,
        "oldest": None if stats.oldest is None else iso_date(stats.oldest),
        "deliveries": {state.value: number for state, number in stats.deliveries.items()},
        "domains": [
            _domain(name, its) | _destination(known.get(name))
            for name, its in stats.domains.items()
        ],
        "destinations": [
            {"destination": printable(name)}
            | _destination(its)
            | {"trouble": None if its.trouble is None else _attempt(its.trouble)}
            for name, its in stats.destinations.items()
        ],
    }


def _destination(stats: DestinationStats | None) -> dict[str, Any]:
    if stats is None:
        return {}
    until = stats.paused_until
    return {
        "window": stats.window,
        "running": stats.running,
        "paused_until": None if until is None else iso_date(until),
    }


def _domain(name: str, stats: DomainStats) -> dict[str, Any]:
    return {
        "domain": printable(name),
        "deliveries": {state.value: number for state, number in stats.deliveries.items()},
        "oldest": iso_date(stats.oldest),
        "oldest_id": printable(stats.oldest_id),
        "due": None if stats.due is None else iso_date(stats.due),
        "last": None if stats.last is None else _attempt(stats.last),
    }


def _address(path: ReversePath | ForwardPath) -> str:
    return printable(str(path))
