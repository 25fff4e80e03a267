"""The part of a delivery report that people read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from attrs import frozen

from ..diagnosis.cause import Who
from ..diagnosis.status_causes import Remedy, StatusCause, cause_of
from ..grammar.ascii_case import lower
from ..grammar.printable import printable
from .queue import Attempt, Message, Result
from .settlement import Fate
from .status import Action, RecipientStatus, date_field

__all__ = ["Case", "report_text"]

_WIDTH = 76
_BLOCKS = 10  # causes that are told
_NAMED = 50  # recipients of one cause that are named
_LINES = 10  # of a reply that are repeated
_SHOWN = 500  # characters of a line of it
_LISTED = 'The part "Delivery status" of this report lists them all.'
_HEADINGS = {
    Action.FAILED: "Your message was NOT delivered to:",
    Action.DELAYED: "Your message has not been delivered yet to:",
    Action.DELIVERED: "Your message was delivered to:",
    Action.RELAYED: "Your message was passed on to another server for:",
    Action.EXPANDED: "Your message was forwarded to all members of:",
}
_UNKNOWN = StatusCause(
    "The connection was lost at the very end, so the message may have arrived all the same.",
    Remedy(
        "Ask the recipient before you send it again.",
        Who.YOU,
        "Look for the Message-ID in the log of the server before you send the message again.",
    ),
)


@frozen(kw_only=True)
class Case:
    """One recipient of a report."""

    status: RecipientStatus
    address: str
    """The address of the recipient."""
    fate: Fate | None
    """None if the delivery goes on."""
    attempt: Attempt | None = None
    """The last one."""

    @property
    def cause(self) -> object:
        """What cases have in common that can be told together. Replies that differ only in the
        address of the recipient are alike."""
        it, address = self.attempt, lower(self.address)
        of_attempt = () if it is None else (
            it.result, lower(str(it.reply)).replace(address, ""), it.error
        )  # fmt: skip
        return self.status.action, self.status.status, self.fate, *of_attempt


def report_text(
    message: Message, cases: Sequence[Case], *, host: str, subject: str, postmaster: str
) -> str:
    """Return the text for the sender of *message*, with LF line ends. It may be longer than ASCII
    can tell."""
    blocks = dict[object, list[Case]]()
    for case in cases:
        blocks.setdefault(case.cause, []).append(case)
    told = [*blocks.values()][:_BLOCKS]
    parts = ["\n".join(_block(alike, message, host)) for alike in told]
    if more := len(cases) - sum(map(len, told)):
        parts.append(_wrapped(f"This report is about {more} more recipients. {_LISTED}"))
    parts.append("\n".join(_closing(message, host, subject, postmaster)))
    return "\n\n".join(parts) + "\n"


def _block(cases: Sequence[Case], message: Message, host: str) -> Iterator[str]:
    """Yield the lines about recipients with the same cause."""
    first = cases[0]
    yield _HEADINGS[first.status.action]
    yield ""
    yield from (f"    {printable(case.address)}" for case in cases[:_NAMED])
    paragraphs = [*_paragraphs(first, message, host)]
    if len(cases) > _NAMED:
        yield f"    and {len(cases) - _NAMED} more"
        paragraphs.insert(0, _LISTED)
    for paragraph in paragraphs:
        yield ""
        yield _wrapped(paragraph)
    yield from _answer(first.attempt, example=len(cases) > 1)
    if first.status.action is Action.FAILED:
        yield ""
        yield _wrapped(f"What you can do: {_lower_first(_cause(first).advice)}")


def _paragraphs(case: Case, message: Message, host: str) -> Iterator[str]:
    """Yield what happened, why, and what will happen."""
    attempt = case.attempt
    match case.status.action:
        case Action.FAILED if case.fate is Fate.EXPIRED:
            waited = _duration(message.expires - message.arrived)
            yield f"{host} tried for {waited}, and has given up."
            if attempt is not None:
                yield f"The last problem: {_lower_first(_cause(case).what)}"
        case Action.FAILED:
            yield _cause(case).what
        case Action.DELAYED:
            if attempt is not None:
                yield _cause(case).what
            yield (
                f"You do not have to do anything: {host} keeps trying until"
                f" {_when(message.expires)}. If it has no success, you get another report."
            )
        case Action.DELIVERED:
            yield "It is in the recipient's mailbox."
        case Action.RELAYED:
            next_host = "The other server" if attempt is None else attempt.host or "It"
            yield f"{next_host} has accepted it, and may not tell you when it arrives."
        case Action.EXPANDED:
            yield "You get no further report of success for these addresses."


def _cause(case: Case) -> StatusCause:
    attempt, code = case.attempt, case.status.status
    if attempt is not None and attempt.result is Result.UNKNOWN:
        return _UNKNOWN
    if attempt is not None and attempt.reply is not None and case.fate is not Fate.FAILED:
        code = attempt.reply.enhanced or code  # that of the report says only that time ran out
    return cause_of(code.subject, code.detail)


def _answer(attempt: Attempt | None, *, example: bool) -> Iterator[str]:
    """Yield what the other server said, or what failed on this side."""
    if attempt is None:
        return
    said, lines = _answer_of(attempt)
    if lines:
        yield ""
        yield _wrapped(f"For example, {_lower_first(said)}" if example else said)
        yield ""
        yield from (f"    {printable(line)[:_SHOWN]}" for line in lines[:_LINES])


def _answer_of(attempt: Attempt) -> tuple[str, Sequence[str]]:
    reply, where = attempt.reply, printable(attempt.host)
    where += f" [{printable(attempt.address)}]" if attempt.address else ""
    if attempt.error or reply is None:
        said = f"What failed with {where}:" if attempt.host else "What failed:"
        return said, textwrap.wrap(printable(attempt.error), _WIDTH - 4)
    if not attempt.host:
        return "What failed:", [] if reply.positive else reply.lines
    command = printable(attempt.command)[:200].replace("end of data", "the message")
    said = f"{where} replied{f' to {command}' if command else ''}:"
    return said, bytes(reply).decode().split("\r\n")[:-1]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _closing(message: Message, host: str, subject: str, postmaster: str) -> Iterator[str]:
    if subject:
        yield _wrapped(f"Subject of your message: {printable(subject)}")
    yield _wrapped(f"Received by {host}: {_when(message.arrived)}")
    yield f"Its id there: {message.id}"
    yield _wrapped(f"For help, write to {postmaster} and quote this id.")


def _when(time: float) -> str:
    return date_field(time)[: len("Mon, 30 Nov 2026 12:00")] + " UTC"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = round(seconds / size)
            return f"{number} {name}{'s' * (number != 1)}"
    return "less than a second"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_on_hyphens=False) or [""])
