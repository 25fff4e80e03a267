"""The part of a delivery report that people read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from attrs import field, frozen

from ..grammar.printable import printable
from .causes import cause_of
from .queue import Attempt, Message, Result
from .settlement import Fate
from .status import Action, RecipientStatus, date_field

__all__ = ["Case", "report_text"]

_WIDTH = 76
_HEADINGS = {
    Action.FAILED: "Your message was NOT delivered to:",
    Action.DELAYED: "Your message has not been delivered yet to:",
    Action.DELIVERED: "Your message was delivered to:",
    Action.RELAYED: "Your message was passed on for:",
    Action.EXPANDED: "Your message was forwarded to all members of:",
}


@frozen(kw_only=True)
class Case:
    """One recipient of a report."""

    status: RecipientStatus
    address: str
    """The address of the recipient."""
    fate: Fate | None
    """None if the delivery goes on."""
    attempt: Attempt | None = field(default=None)
    """The last one."""

    @property
    def cause(self) -> tuple[object, ...]:
        """What cases have in common that can be told together."""
        it = self.attempt
        of_attempt = () if it is None else (it.result, it.host, it.address, str(it.reply), it.error)
        return (self.status.action.value, str(self.status.status), self.fate, *map(str, of_attempt))


def report_text(
    message: Message, cases: Sequence[Case], *, host: str, subject: str, postmaster: str
) -> str:
    """Return the text for the sender of *message*, with LF line ends. It may be longer than ASCII
    can tell."""
    order = {case.cause: number for number, case in reversed(list(enumerate(cases)))}
    ordered = sorted(cases, key=lambda case: order[case.cause])
    parts = [
        "\n".join(_block(list(alike), message, host))
        for _, alike in groupby(ordered, lambda case: case.cause)
    ]
    parts.append("\n".join(_closing(message, host, subject, postmaster)))
    return "\n\n".join(parts) + "\n"


def _block(cases: Sequence[Case], message: Message, host: str) -> Iterator[str]:
    """Yield the lines about recipients with the same cause."""
    first = cases[0]
    yield _HEADINGS[first.status.action]
    yield ""
    yield from (f"    {printable(case.address)}" for case in cases)
    for paragraph in _paragraphs(first, message, host):
        yield ""
        yield _wrapped(paragraph)
    yield from _answer(first.attempt)
    yield ""
    yield _wrapped(_advice(first))


def _paragraphs(case: Case, message: Message, host: str) -> Iterator[str]:
    attempt = case.attempt
    match case.status.action:
        case Action.FAILED if case.fate is Fate.EXPIRED:
            waited = _duration(message.expires - message.arrived)
            yield f"{host} tried for {waited}, and has given up."
            if attempt is not None:
                yield f"The last attempt: {_attempt(case, attempt)}"
        case Action.FAILED:
            yield cause_of(case.status.status).what
        case Action.DELAYED:
            if attempt is not None:
                yield _attempt(case, attempt)
            yield f"{host} keeps trying until {date_field(message.expires)}."
        case Action.DELIVERED:
            yield "It is in the recipient's mailbox."
        case Action.RELAYED:
            next_host = "another server" if attempt is None else attempt.host or "another server"
            yield (
                f"{next_host} has taken it. That server may send no further report, not even when"
                " the message arrives."
            )
        case Action.EXPANDED:
            yield "You get no further report of success for these addresses."


def _attempt(case: Case, attempt: Attempt) -> str:
    if attempt.result is Result.UNKNOWN:
        return (
            "the connection was lost at the very end. The message may have arrived all the same:"
            " ask the recipient before you send it again."
        )
    code = None if attempt.reply is None else attempt.reply.enhanced
    return cause_of(code or case.status.status).what


def _answer(attempt: Attempt | None) -> Iterator[str]:
    """Yield what the other server said, or what failed on this side."""
    if attempt is None or (attempt.reply is None and not attempt.error):
        return
    yield ""
    where = printable(attempt.host or "the server")
    where += f" [{printable(attempt.address)}]" if attempt.address else ""
    if attempt.error or attempt.reply is None:
        yield _wrapped(f"What failed with {where}:" if attempt.host else "What failed:")
        lines: Iterable[str] = textwrap.wrap(printable(attempt.error), _WIDTH - 4)
    else:
        to = f" to {printable(attempt.command)[:200]}" if attempt.command else ""
        yield _wrapped(f"{where} replied{to}:")
        lines = bytes(attempt.reply).decode().split("\r\n")[:-1]
    yield ""
    yield from (f"    {printable(line)}" for line in lines)


def _advice(case: Case) -> str:
    if case.status.action is Action.FAILED:
        return f"What you can do: {_lower_first(_what_to_do(case))}"
    return "You do not have to do anything."


def _what_to_do(case: Case) -> str:
    if case.attempt is not None and case.attempt.result is Result.UNKNOWN:
        return "Ask the recipient whether the message has arrived."
    return cause_of(case.status.status).advice


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _closing(message: Message, host: str, subject: str, postmaster: str) -> Iterator[str]:
    yield "-- "
    if subject:
        yield _wrapped(f"Subject of your message: {printable(subject)}")
    yield _wrapped(f"Arrived at {host}: {date_field(message.arrived)}")
    yield f"Its id there: {message.id}"
    yield _wrapped(f"For help, write to {postmaster} and quote this id.")


def _duration(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = round(seconds / size)
            return f"{number} {name}{'s' * (number != 1)}"
    return "less than a second"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_on_hyphens=False) or [""])
