"""Rows of a queue in a database, and the conditions that select them: SQL that SQLite and
PostgreSQL understand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ContentLost, GrammarError
from ..grammar.address import Mailbox, read_leniently
from ..grammar.printable import printable
from ..mta.queue import Delivery, Message, State
from ..mta.queue_text import read_delivery, write_log, write_message, write_recipient
from ..mta.store import Queued, Selection, address_key, domain_key

STATES = {State.WAITING: 0, State.LEASED: 1, State.HELD: 2}
SHIFT = 20  # of a message's key in those of its deliveries
MASK = (1 << SHIFT) - 1
DELIVERY = "key, recipient, due, state, attempts, warned, reason, log, fate, at"

_BY_NUMBER = {number: state for state, number in STATES.items()}


def message_row(queued: Queued) -> tuple[Any, ...]:
    """Return the values of a new message from ``id`` to ``data``. Raises ValueError if it has too
    many recipients."""
    message = queued.message
    if queued.deliveries[-1].number > MASK:
        raise ValueError(f"message {message.id} has more recipients than {MASK}")
    return (
        message.id,
        address_key(message.sender),
        domain_key(message.sender),
        message.parameters.mt_priority or 0,
        message.size,
        message.arrived,
        message.not_before,
        write_message(message),
    )


def key_range(message_key: int) -> tuple[int, int]:
    first = message_key << SHIFT
    return first, first | MASK


def delivery_row(message_key: int, message: Message, delivery: Delivery) -> tuple[Any, ...]:
    return (
        message_key << SHIFT | delivery.number,
        message.parameters.mt_priority or 0,
        delivery.domain,
        message.origin,
        address_key(delivery.recipient),
        STATES[delivery.state],
        delivery.due,
        delivery.attempts,
        delivery.warned,
        delivery.reason,
        write_recipient(delivery),
        write_log(delivery.log),
    )


def delivery_of(name: str, row: tuple[Any, ...]) -> Delivery:
    key, recipient, due, state, attempts, warned, reason, log, _, _ = row
    return read_delivery(
        name,
        key & MASK,
        recipient,
        log,
        due=due,
        state=_BY_NUMBER.get(state, State.HELD),
        attempts=attempts,
        warned=bool(warned),
        reason=reason,
    )


def mailbox_of(address: str) -> Mailbox | None:
    """Return the mailbox that a row names; None if there is none, or it cannot be read."""
    try:
        return read_leniently(address)
    except GrammarError:
        return None


def conditions(selection: Selection, *, in_queue: bool = True) -> tuple[str, list[Any]]:
    """Return the condition for deliveries of *selection*, but for their state."""
    parts, values = _equals(selection.recipient, "address", "domain")
    parts.append("fate IS NULL" if in_queue else "TRUE")
    message, more = of_message(selection)
    if more:
        parts.append(
            f"""EXISTS (SELECT 1 FROM message WHERE message.key = delivery.key >> 20
            AND {message})"""
        )
    return " AND ".join(parts), [*values, *more]


def of_message(selection: Selection) -> tuple[str, list[Any]]:
    """Return the condition for messages of *selection*."""
    parts, values = _equals(selection.sender, "sender", "sender_domain")
    if (name := selection.id) is not None:
        parts.append("id >= ? AND id < ?")
        values += [name, name + "\U0010ffff"]
    return " AND ".join(parts) or "TRUE", values


def _equals(pattern: str | None, address: str, domain: str) -> tuple[list[str], list[Any]]:
    """Return the condition for *pattern*, by the column *address*, or *domain* if it is one."""
    if pattern is None:
        return [], []
    if pattern.startswith("@"):
        return [f"{domain} = ?"], [pattern[1:]]
    return [f"{address} = ?"], [pattern]


def content_lost(name: str, where: Path | None = None) -> ContentLost:
    """Return the error for the message *name*, whose content should be in the file *where*; None is
    the database."""
    place = "the database" if where is None else where
    return ContentLost(printable(f"the content of message {name} is missing or damaged in {place}"))
