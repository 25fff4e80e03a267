"""What a server's trace shows of the dialogue, without secrets."""

from __future__ import annotations

from ..events import AuthResponse, BodyEnd, Rejected, ServerEvent
from ..grammar.command import Command
from ..grammar.printable import printable
from ..ports import Trace, call_contained
from .hooks import log_failure


def trace_event(trace: Trace, event: ServerEvent) -> None:
    """Show what the client sent. An AUTH response is masked."""
    match event:
        case Command():
            _show(trace, "C", str(event))
        case Rejected(line):
            _show(trace, "C", line)
        case BodyEnd(size):
            _show(trace, "C", f"[{size} octets of content]")
        case AuthResponse():
            _show(trace, "C", "***")


def trace_replies(trace: Trace, data: bytes) -> None:
    """Show the replies *data*. A SASL challenge is masked."""
    for line in data.decode().removesuffix("\r\n").split("\r\n"):
        _show(trace, "S", "334 ***" if line.startswith("334 ") else printable(line))


def _show(trace: Trace, speaker: str, line: str) -> None:
    """Call the application's trace. Its errors are logged; they do not end the connection."""
    try:
        call_contained(trace, speaker, line)
    except Exception as error:
        log_failure("trace", error)
