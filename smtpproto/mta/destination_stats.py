"""How destinations are doing, as processes tell each other and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from .queue import Attempt

__all__ = ["DestinationStats", "added_up"]


@frozen(kw_only=True)
class DestinationStats:
    """How a destination is doing, as far as a process knows, or several together."""

    window: int
    """How many transactions it may have at the same time, unless it is paused."""
    running: int
    """How many it has."""
    paused_until: float | None
    """When its pause ends, in seconds since the epoch; None if it is not paused."""
    trouble: Attempt | None
    """The attempt that failed last, if it is paused, or has not answered since it was."""


def added_up(
    known: Iterable[Mapping[str, DestinationStats]],
) -> Mapping[str, DestinationStats]:
    """Return what several processes know together: the sums of their transactions, and the pause
    that ends last."""
    found: dict[str, DestinationStats] = {}
    for name, it in (pair for its in known for pair in its.items()):
        other = found.setdefault(name, it)
        if other is not it:
            last = max(other, it, key=lambda one: one.paused_until or 0.0)
            found[name] = DestinationStats(
                window=other.window + it.window,
                running=other.running + it.running,
                paused_until=last.paused_until,
                trouble=last.trouble or other.trouble or it.trouble,
            )
    return found
