"""Rounds, medians and ratios.

In a round, each contender does the load once, one after the other, so a slow moment of the machine
meets all of them alike. Two contenders are compared by the median of the ratios in the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from statistics import median

from attrs import frozen

from .loads import Load

Measure = Callable[[int], tuple[float, float]]
"""Does a load *count* times; returns the seconds of CPU time, and the units done."""

CLOCK = 1e-6
"""The least CPU time of a measurement; that of smtp-source is counted in ticks."""


@frozen
class Figures:
    """What one load cost: for each contender, the CPU seconds of a unit in each round."""

    load: str
    title: str
    unit: str
    scale: float
    costs: Mapping[str, Sequence[float]]
    absent: Mapping[str, str]
    """The contenders that are left out, and why."""
    failed: Set[str]
    """Those of them that should have taken part."""

    def cost(self, name: str) -> float:
        """Return the median cost of a unit."""
        return median(self.costs[name])

    def ratio(self, name: str, other: str) -> tuple[float, float]:
        """Return how many times the cost of *other* a unit costs *name*, and the spread of it.

        The spread is half of the range of all rounds, as a share of the median.
        """
        pairs = zip(self.costs[name], self.costs[other], strict=True)
        ratios = [mine / its for mine, its in pairs]
        middle = median(ratios)
        return middle, (max(ratios) - min(ratios)) / 2 / middle


def count_for(measure: Measure, load: Load, seconds: float) -> int:
    """Warm up, and return how often to do *load* so that it takes about *seconds*."""
    if not seconds:
        return load.least
    measure(load.least)
    began = time.monotonic()
    measure(load.least)
    took = time.monotonic() - began
    times = int(seconds / took) or 1
    return min(times * load.least, load.most)


def in_rounds(
    measures: Mapping[str, Measure],
    counts: Mapping[str, int],
    rounds: int,
    noting: Callable[[str], AbstractContextManager[None]],
) -> dict[str, list[float]]:
    """Return the costs of a unit for each contender in each round.

    A contender that fails is left out: *noting*, called with its name, takes care of the error.
    """
    costs: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(1, rounds + 1):
        for name in list(costs):
            with noting(name):
                cpu, units = measures[name](counts[name])
                costs[name].append(max(cpu, CLOCK) / units)
            if len(costs[name]) < number:
                del costs[name]
    return costs
