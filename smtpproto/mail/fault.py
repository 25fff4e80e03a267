"""What is wrong with something, and how bad that is."""

from __future__ import annotations

import enum

from attrs import frozen

__all__ = ["Fault", "Severity"]


class Severity(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    """Something that could be better, or that only the reader can judge."""
    WARNING = "warning"
    """Some mail may be refused, delayed or misused."""
    ERROR = "error"
    """Mail is lost or refused."""


@frozen(kw_only=True)
class Fault:
    """A fault of a message. ``str()`` tells it on one line, with what to do."""

    code: str
    """A name for programs, for example ``no-date``."""
    severity: Severity
    what: str
    """What is wrong."""
    mend: str
    """What to do."""
    line: int = 0
    """The number of the first line that has the fault; 0 if it is about the message as a whole."""

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.what}; {self.mend}"
