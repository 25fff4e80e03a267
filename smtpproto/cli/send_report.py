"""What ``smtpproto send`` prints: a line for each recipient, or JSON, and progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from ..delivery import ExitStatus, status_of_reply
from ..diagnosis import explain
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..outcome import Outcome, OutcomeUnknown
from .command_errors import causes_in
from .terminal import Style, is_terminal, print_json, printer

_LARGE = 1 << 20  # octets from which progress is shown
_STYLES = {"accepted": Style.GOOD, "refused": Style.BAD, "unknown": Style.WARNING}


def report(outcome: Outcome, warnings: Sequence[str], *, as_json: bool) -> int:
    """Print what became of each recipient. Return the exit status."""
    if as_json:
        print_json(_values(outcome, warnings))
    else:
        for text in warnings:
            print(f"smtpproto send: warning: {text}", file=sys.stderr)
        _print_lines(outcome)
        if is_terminal(sys.stderr):
            _print_causes(outcome)
    return _status(outcome)


def _print_lines(outcome: Outcome) -> None:
    lost = ""
    if outcome.error is not None:
        reason = f"the connection was lost ({outcome.error.message})"
        lost = f"; then {reason}, so sending it again may deliver it twice"
    out = printer(sys.stdout)
    for result, style in _STYLES.items():
        for recipient, reply in getattr(outcome, result).items():
            after = lost if result == "unknown" else ""
            text = printable(f"  {recipient}  {reply}{after}")
            out.line((f"{result:8}", style), text)


def _print_causes(outcome: Outcome) -> None:
    """Say what may be the cause of each refusal and of a lost connection, and what to try."""
    found = [explain(reply) for reply in dict.fromkeys(map(str, outcome.refused.values()))]
    if outcome.unknown:
        found.append(OutcomeUnknown(outcome).diagnosis)
    for diagnosis in found:
        for line in causes_in(diagnosis):
            print(line, file=sys.stderr)


def _diagnosis(outcome: Outcome, reply: Reply, result: str) -> dict[str, object] | None:
    """Return why a recipient has this *result*; None if it is accepted."""
    if result == "accepted":
        return None
    found = explain(str(reply)) if result == "refused" else OutcomeUnknown(outcome).diagnosis
    return found.as_dict()


def _values(outcome: Outcome, warnings: Sequence[str]) -> dict[str, object]:
    recipients = [
        {
            "recipient": str(recipient),
            "result": result,
            "reply": str(reply),
            "code": reply.code,
            "enhanced": None if reply.enhanced is None else str(reply.enhanced),
            "diagnosis": _diagnosis(outcome, reply, result),
        }
        for result in _STYLES
        for recipient, reply in getattr(outcome, result).items()
    ]
    return {
        "recipients": recipients,
        "queue_ids": list(outcome.queue_ids),
        "connection_lost": None if outcome.error is None else str(outcome.error),
        "warnings": list(warnings),
    }


def _status(outcome: Outcome) -> int:
    """Return the status of a recipient refused for good, or else that of trying later."""
    statuses = {status_of_reply(reply) for reply in outcome.refused.values()}
    if outcome.unknown:
        statuses.add(ExitStatus.TEMPFAIL)
    lasting = statuses - {ExitStatus.TEMPFAIL}
    return min(lasting or statuses, default=ExitStatus.OK)


@contextmanager
def showing_progress(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield *file*, or one that draws a bar while it is read if it is large and a person looks."""
    start = file.tell()
    size = file.seek(0, 2) - start
    file.seek(start)
    if size < _LARGE or not wants_progress():
        yield file
        return
    from rich.console import Console  # noqa: PLC0415 - an extra
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        yield progress.wrap_file(file, total=size, description=f"{size} octets")


def wants_progress() -> bool:
    """Return whether a bar may be drawn on standard error."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        return False
    try:
        import rich.progress  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return False
    return True
