"""The options of a simulation: the points of a run at which it injects a fault, and others."""

from __future__ import annotations

from random import Random
from typing import Literal, TypedDict

__all__ = ["FAULTS", "FaultName", "FaultPoints", "SimulationOptions", "choose_point"]

FaultName = Literal["cut", "stall", "half_close", "cancel", "hang", "jump"]


class FaultPoints(TypedDict, total=False):
    """At which point a fault happens, counted from 0; None or absent: it does not happen."""

    cut_at: int | None
    """The read or write at which its connection breaks. Of the octets in flight, the seed decides
    how many arrive."""
    stall_at: int | None
    """The read or write from which on nothing passes on its connection, either way, for a second
    to three hours; the seed decides. Then all arrives."""
    half_close_at: int | None
    """The read or write at which its side ends its direction: the peer reads the end, and can
    still write. What this side writes from then on is lost."""
    cancel_at: int | None
    """The step after which its task is cancelled where it waits, as asyncio does it. Tasks wait
    before each write, too."""
    hang_at: int | None
    """The await in an ``async`` hook of a handler that never ends, unless it is cancelled."""
    jump_at: int | None
    """The step at which the time of day jumps by up to a day, either way."""


class SimulationOptions(FaultPoints, total=False):
    """The options of a simulation besides its seed."""

    traced: bool
    """Whether the simulation keeps a trace. By default it does not."""
    max_steps: int | None
    """The steps after which a run raises Livelock. None: no limit."""


FAULTS: tuple[FaultName, ...] = ("cut", "stall", "half_close", "cancel", "hang", "jump")
"""The names of all faults."""


def choose_point(
    seed: int, faults: tuple[FaultName, ...], counts: tuple[int, int, int]
) -> FaultPoints:
    """Return one of *faults* at a point that *seed* decides, or none.

    *counts* are the operations, the steps and the awaits of hooks of a run in which none happens.
    """
    dice = Random(f"faults {seed}")
    place = int(dice.random() * (len(faults) + 1))
    if place == len(faults):
        return {}
    fault = faults[place]
    operations, steps, awaits = counts
    count = {"cancel": steps, "jump": steps, "hang": awaits}.get(fault, operations)
    points: FaultPoints = {}
    points[f"{fault}_at"] = int(dice.random() * max(count, 1))  # type: ignore[literal-required]
    return points
