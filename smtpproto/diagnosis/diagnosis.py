"""What failed, why, who must act and what to try: the value that errors and ``explain`` share."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from attrs import field, frozen

from .cause import Cause

__all__ = ["Diagnosis"]

_WIDTH = 80  # columns
_SHOWN = 600  # characters of a command or a reply


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@frozen(kw_only=True)
class Diagnosis:
    """What failed, with its likely causes in order. ``str()`` tells it on several lines.

    All text is printable: control characters of a peer are escaped.
    """

    what: str
    """What failed, or what a reply means, as one sentence."""
    fault: str = ""
    """A short name for what is wrong, for programs: ``"relaying-denied"``. "" if it is unknown."""
    phase: str = ""
    """The step of the conversation, as in :attr:`.SMTPError.phase`, or ""."""
    command: str = field(default="", converter=_short)
    """The command that failed, with secrets masked, or ""."""
    reply: str = field(default="", converter=_short)
    """The reply of the peer, on one line, or ""."""
    meanings: tuple[str, ...] = ()
    """What the codes of the reply mean, a sentence for each."""
    causes: tuple[Cause, ...] = ()
    """The likely causes, the most likely one first."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON; what is empty is left out."""
        values: dict[str, object] = {
            "what": self.what,
            "fault": self.fault,
            "phase": self.phase,
            "command": self.command,
            "reply": self.reply,
            "meanings": [*self.meanings],
            "causes": [it.as_dict() for it in self.causes],
        }
        return {name: value for name, value in values.items() if value}

    def lines(self) -> list[str]:
        """Return it as lines of text, at most 80 columns wide where words allow it."""
        return [*self._lines()]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _wrapped("", self.what)
        where = [f"phase: {self.phase}"] if self.phase else []
        where += [f"command: {self.command}"] if self.command else []
        if where:
            yield from _wrapped("  ", ", ".join(where))
        if self.reply:
            yield from _wrapped("  ", f"reply: {self.reply}")
        for meaning in self.meanings:
            yield from _wrapped("  ", meaning)
        if self.causes:
            yield "Likely causes:" if len(self.causes) > 1 else "Likely cause:"
        for number, cause in enumerate(self.causes, 1):
            yield from _wrapped(f"  {number}. ", cause.what)
            yield from _wrapped("     ", f"Who must act: {cause.who.value}.")
            yield from _wrapped("     ", f"Try: {cause.mend}")
            if cause.source:
                yield f"     See: {cause.source}"


def _wrapped(start: str, text: str) -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
