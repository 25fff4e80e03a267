"""Shrink a transcript that fails to the shortest that still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .player import turns_of
from .transcript import Entry, Transcript

__all__ = ["shrink"]

_Parts = Sequence[Sequence[Entry]]


def shrink(
    transcript: Transcript, fails: Callable[[Transcript], bool], *, attempts: int = 1000
) -> Transcript:
    """Return the shortest transcript found for which *fails* returns True.

    Remove first exchanges (what the client sends, with the replies), then single lines, in halves,
    quarters and so on ("delta debugging"). At the end, each line is needed, unless *attempts*,
    which bounds the calls of *fails*, are used up. Notes are removed. Raises ValueError if *fails*
    returns False for *transcript*.
    """
    if not fails(transcript):
        raise ValueError(
            "the transcript does not fail; fails(transcript) must return True for it, each time"
        )
    left = attempts

    def still_fails(parts: _Parts) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(_joined(parts))

    shortest: _Parts = _reduced(_exchanges(transcript), still_fails)
    lines = [[entry] for part in shortest for entry in part]
    return Transcript.parse(str(_joined(_reduced(lines, still_fails))))  # which numbers the lines


def _reduced(parts: _Parts, still_fails: Callable[[_Parts], bool]) -> _Parts:
    """Remove *parts* that are not needed."""
    size = max(1, len(parts) // 2)
    while True:
        start, before = 0, len(parts)
        while start < len(parts):
            rest = [*parts[:start], *parts[start + size :]]
            if still_fails(rest):
                parts = rest
            else:
                start += size
        if size == 1 and len(parts) == before:
            return parts
        size = max(1, size // 2)


def _exchanges(transcript: Transcript) -> list[list[Entry]]:
    found: list[list[Entry]] = [[]]
    for side, entries in turns_of(transcript):
        if side == "C":
            found.append([])
        found[-1] += entries
    return found


def _joined(parts: _Parts) -> Transcript:
    return Transcript(entry for part in parts for entry in part)
