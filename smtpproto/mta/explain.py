"""Why a delivery waits, what each host answered, and what happens next and when, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ..grammar.printable import printable
from .queue import Attempt, Delivery, Message, Result, State
from .retry import RetrySchedule
from .settlement import Ended, Fate
from .store import Entry

__all__ = ["attempt_in_words", "date", "duration", "explain", "next_step", "when"]

Trouble = Callable[[Delivery], tuple[Attempt | None, float] | None]
"""Returns the attempt after which the destination of a delivery was paused, and when the pause
ends, as :meth:`.Schedule.trouble` does; None if it is not paused."""

_RESULTS = {
    Result.RELAYED: "accepted it",
    Result.DELIVERED: "delivered it",
    Result.EXPANDED: "sent it on",
    Result.REFUSED: "refused it",
    Result.UNREACHED: "could not be reached",
    Result.UNKNOWN: "may have accepted it: the connection was lost before the reply",
}
_FATES = {
    Fate.DELIVERED: "was delivered",
    Fate.RELAYED: "was accepted by the next host",
    Fate.EXPANDED: "was sent on to the addresses that it stands for",
    Fate.FAILED: "failed for good",
    Fate.EXPIRED: "was given up: it could not be delivered in time",
    Fate.DROPPED: "was dropped, and the sender was not told",
}
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _never(_: Delivery) -> None:
    """Return that no destination is paused."""


def explain(
    entry: Entry,
    now: float,
    schedule: RetrySchedule | None = None,
    trouble: Trouble = _never,
) -> str:
    """Return the story of a message and of each of its recipients, as lines of text.

    *schedule* says when the sender is told of a delay; *trouble* which destinations are paused.
    All that came from other hosts is escaped.
    """
    schedule = schedule or RetrySchedule()
    lines = [*_message(entry.message, now)]
    for delivery in entry.deliveries:
        step = next_step(entry.message, delivery, now, trouble)
        lines += ["", f"{_address(delivery)} {step}"]
        lines += _indented(_consequences(entry.message, delivery, now, schedule))
        lines += _indented(_history(delivery.log))
    for ended in entry.ended:
        lines += ["", f"{_address(ended.delivery)} {_end(ended, now)}"]
        lines += _indented(_history(ended.delivery.log))
    return "\n".join(lines)


def next_step(message: Message, delivery: Delivery, now: float, trouble: Trouble = _never) -> str:
    """Return what *delivery* waits for, and when it is tried again, as the end of a sentence."""
    if delivery.state is State.HELD:
        reason = f": {printable(delivery.reason)}" if delivery.reason else ""
        return f"is held until somebody releases it{reason}"
    if delivery.state is State.LEASED:
        return f"is being delivered, in attempt {delivery.attempts}, or waits for a connection"
    if delivery.attempts == 0 and message.not_before > now:
        return f"waits for the time that its sender asked for, {when(message.not_before, now)}"
    paused = trouble(delivery)
    if paused is not None and paused[1] >= delivery.due:
        return (
            f"waits, because its destination does not answer; next attempt {when(paused[1], now)}"
        )
    if delivery.due <= now:
        return "is due, and waits for a connection"
    which = "next" if delivery.attempts else "first"
    last = "last " if delivery.attempts and delivery.due >= message.expires else ""
    return f"waits for its {last or which + ' '}attempt, {when(delivery.due, now)}"


def attempt_in_words(attempt: Attempt) -> str:
    """Return what happened in *attempt*, on one line."""
    said = f": {printable(str(attempt.reply))}" if attempt.reply is not None else ""
    command = f", in reply to {printable(attempt.command)}" if attempt.command and said else ""
    error = f" ({printable(attempt.error)})" if attempt.error else ""
    return f"{_result(attempt)}{said}{command}{error}"


def _result(attempt: Attempt) -> str:
    if attempt.result is Result.UNREACHED and not attempt.host:
        return "no host was found" if attempt.reply is not None else "no host could be reached"
    host = printable(attempt.host) or "this server"
    address = f" [{printable(attempt.address)}]" if attempt.address else ""
    did = _RESULTS[attempt.result]
    if attempt.result is Result.REFUSED and attempt.reply is not None:
        did += " for good" if attempt.reply.permanent else " for now"
    return f"{host}{address} {did}"


def _message(message: Message, now: float) -> Iterator[str]:
    sender = printable(str(message.sender)) or "<>"
    yield f"Message {printable(message.id)} from {sender}, {message.size} octets"
    yield f"  arrived {when(message.arrived, now)}"
    if message.origin:
        yield f"  from {printable(message.origin)}"


def _consequences(
    message: Message, delivery: Delivery, now: float, schedule: RetrySchedule
) -> Iterator[str]:
    """Yield what happens to the sender, and when."""
    returned = "returned to its sender" if message.sender.mailbox is not None else "dropped"
    yield f"if it cannot be delivered it is {returned} {when(message.expires, now)}"
    warns = schedule.warns(message)
    if delivery.warned:
        yield "the sender was told of the delay"
    elif warns is not None and warns < message.expires and message.sender.mailbox is not None:
        yield f"the sender is told of the delay {when(max(warns, delivery.due), now)}"


def _history(log: Sequence[Attempt]) -> Iterator[str]:
    if log:
        yield "attempts that ended:"
    for attempt in log:
        seconds = f", after {duration(attempt.seconds)}" if attempt.seconds >= 1 else ""
        for line in attempt.earlier.splitlines():
            yield f"  {date(attempt.at)}: {printable(line)}"
        yield f"  {date(attempt.at)}: {attempt_in_words(attempt)}{seconds}"


def _end(ended: Ended, now: float) -> str:
    return f"{_FATES[ended.fate]} {when(ended.at, now)}"


def _indented(lines: Iterator[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _address(delivery: Delivery) -> str:
    """Return the address of the recipient, after those whose aliases led to it."""
    return printable(" -> ".join(map(str, (*delivery.via, delivery.recipient))))


def when(time: float, now: float) -> str:
    """Return *time* as a date, and how far away it is."""
    distance = duration(abs(time - now))
    if not distance:
        return f"now ({date(time)})"
    return f"in {distance} ({date(time)})" if time > now else f"{distance} ago ({date(time)})"


def duration(seconds: float) -> str:
    """Return *seconds*, 0 or more, in words, with the two largest units; "" if they are less than
    one."""
    left, parts = int(seconds), list[str]()
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}{'' if number == 1 else 's'}")
        elif parts:
            break
    return " ".join(parts[:2])


def date(time: float) -> str:
    """Return *time* as people write it, to the second."""
    try:
        return f"{_EPOCH + timedelta(seconds=round(time)):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return "beyond all dates"
