"""What stores keep of messages and deliveries, as text: JSON, in ASCII."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import AttrsInstance, fields

from ..errors import GrammarError, QueueFailed
from ..grammar.address import ForwardPath, ReversePath, read_leniently
from ..grammar.command import NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS
from ..grammar.parameters import MailParameters, RcptParameters, read_parameters
from ..grammar.reply import Reply
from .destination_stats import DestinationStats
from .queue import Attempt, Delivery, Forwarding, Message, Result, State

__all__ = [
    "read_delivery", "read_destinations", "read_message", "unreadable", "write_destinations",
    "write_log", "write_message", "write_recipient",
]  # fmt: skip

_MOST_ATTEMPTS = 2**31 - 1  # PostgreSQL has no more
_dump = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def _load(text: str) -> Any:
    if not text.isascii():
        raise ValueError("it has characters that are not ASCII")
    return _decode(text)


def write_message(message: Message) -> str:
    """Return all of *message* but its id and size."""
    values = _changed(message, _MESSAGE)
    values["sender"] = str(message.sender)
    if message.parameters is not NO_MAIL_PARAMETERS:
        values["parameters"] = str(message.parameters)
    return _dump(values)


def read_message(name: str, size: int, text: str) -> Message:
    """Return the message *name* from what :func:`write_message` wrote. Raises QueueFailed."""
    try:
        values = _load(text)
        sender, parameters = values.pop("sender"), values.pop("parameters", "")
        return Message(
            id=name,
            size=size,
            sender=_sender(sender),
            parameters=_mail_parameters(parameters),
            **values,
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise unreadable(name, error) from error


def write_recipient(delivery: Delivery) -> str:
    """Return the recipient of *delivery*, its parameters, and what aliases have to do with it."""
    values: list[object] = [_address(delivery.recipient), str(delivery.parameters)]
    if delivery.via or delivery.forwarding is not Forwarding.NONE:
        values += [delivery.forwarding.value, [*map(_address, delivery.via)]]
    return _dump(values)


def _address(path: ForwardPath) -> str | None:
    return None if path.mailbox is None else str(path)


def write_log(attempts: Iterable[Attempt]) -> str:
    """Return *attempts*; "" for none."""
    log = [_attempt_to_json(attempt) for attempt in attempts]
    return _dump(log) if log else ""


def read_delivery(  # noqa: PLR0913 - as many as the columns of its row
    name: str,
    number: int,
    recipient: str,
    log: str,
    *,
    due: float,
    state: State,
    attempts: int,
    warned: bool,
    reason: str,
) -> Delivery:
    """Return a delivery of the message *name*. *recipient* and *log* are what
    :func:`write_recipient` and :func:`write_log` wrote. Raises QueueFailed."""
    try:
        if not 0 <= attempts < _MOST_ATTEMPTS:
            raise ValueError(f"it has had {attempts} attempts")
        address, parameters, *aliased = _load(recipient)
        forwarding, via = aliased or ("", ())
        return Delivery(
            message=name,
            number=number,
            recipient=_recipient(address),
            parameters=_rcpt_parameters(parameters),
            due=due,
            state=state,
            attempts=attempts,
            warned=warned,
            reason=reason,
            log=tuple(map(_attempt_from_json, _load(log))) if log else (),
            via=tuple(map(_recipient, via)),
            forwarding=Forwarding(forwarding),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise unreadable(name, error) from error


def write_destinations(known: Mapping[str, DestinationStats], now: float) -> str:
    """Return what is *known* of destinations. Pauses are written as seconds from *now*, because the
    reader may have another clock."""
    return _dump(
        [
            [
                name,
                it.window,
                it.running,
                None if it.paused_until is None else it.paused_until - now,
                None if it.trouble is None else _attempt_to_json(it.trouble),
            ]
            for name, it in known.items()
        ]
    )


def read_destinations(text: str, now: float) -> Mapping[str, DestinationStats]:
    """Return what :func:`write_destinations` wrote, when the clock of the reader was *now*; nothing
    if it cannot be read."""
    try:
        return {
            name: DestinationStats(
                window=window,
                running=running,
                paused_until=None if seconds is None else now + seconds,
                trouble=None if trouble is None else _attempt_from_json(trouble),
            )
            for name, window, running, seconds, trouble in _load(text)
        }
    except (ValueError, TypeError, LookupError, AttributeError):
        return {}


def unreadable(name: str, error: Exception) -> QueueFailed:
    """Return the error for a message whose rows cannot be read."""
    why = error.message if isinstance(error, GrammarError) else str(error)
    return QueueFailed(
        f"the queue's entry of message {name} cannot be read: {why}",
        check="whether something else has changed the queue, and a copy of it",
    )


_NULL, _POSTMASTER = ReversePath(None), ForwardPath(None)


def _sender(address: str) -> ReversePath:
    try:
        return ReversePath.of(address) if address else _NULL
    except GrammarError:
        return ReversePath(read_leniently(address))


def _recipient(address: str | None) -> ForwardPath:
    if address is None:
        return _POSTMASTER
    try:
        return ForwardPath.of(address)
    except GrammarError:
        return ForwardPath(read_leniently(address))


def _mail_parameters(text: str) -> MailParameters:
    return MailParameters.read(read_parameters(text)) if text else NO_MAIL_PARAMETERS


def _rcpt_parameters(text: str) -> RcptParameters:
    return RcptParameters.read(read_parameters(text)) if text else NO_RCPT_PARAMETERS


def _changed(value: Message | Attempt, fields: Mapping[str, object]) -> dict[str, Any]:
    """Return the attributes of *value* that are not the default of their field. So a field that is
    added later needs no change of what is stored."""
    return {name: its for name, it in fields.items() if (its := getattr(value, name)) != it}


def _attempt_to_json(attempt: Attempt) -> dict[str, Any]:
    values = _changed(attempt, _ATTEMPT)
    values["result"] = attempt.result.value
    if (reply := attempt.reply) is not None:
        code = None if reply.enhanced is None else str(reply.enhanced)
        values["reply"] = [reply.code, code, [*reply.lines]]
    return values


def _attempt_from_json(values: dict[str, Any]) -> Attempt:
    result, reply = Result(values.pop("result")), values.pop("reply", None)
    return Attempt(result=result, reply=None if reply is None else Reply(*reply), **values)


def _defaults(kind: type[AttrsInstance], *others: str) -> Mapping[str, object]:
    """Return the fields of *kind* that JSON can hold, with their defaults: all but *others*."""
    return {field.name: field.default for field in fields(kind) if field.name not in others}


_MESSAGE = _defaults(Message, "id", "size", "sender", "parameters")
_ATTEMPT = _defaults(Attempt, "result", "reply")
