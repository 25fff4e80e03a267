"""Measure the CPU that an example of each strategy costs: ``python -m bench.strategies_speed``.

With names of strategies, the program measures only these. ``--examples N`` chooses how many
examples are drawn of each (default: 300); ``--profile`` lists the functions that take the time.
The cost includes what Hypothesis does for any test, which the row ``integers`` shows alone.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from smtpproto.testing import strategies

NEEDED = {"splits": (b"EHLO client.example\r\nQUIT\r\n",)}
"""The arguments of strategies that cannot do without any."""


def all_strategies() -> dict[str, SearchStrategy[Any]]:
    """Return each public strategy by name."""
    made: dict[str, SearchStrategy[Any]] = {"integers": st.integers()}
    for name in filter(str.islower, strategies.__all__):
        made[name] = getattr(strategies, name)(*NEEDED.get(name, ()))
    return made


def drawing(strategy: SearchStrategy[Any], examples: int) -> Callable[[], int]:
    """Return a test that draws *examples* values of *strategy*, and returns how many it drew."""
    drawn = 0

    @seed(0)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(_: object) -> None:
        nonlocal drawn
        drawn += 1

    def run() -> int:
        draw()
        return drawn

    return run


def cost(strategy: SearchStrategy[Any], examples: int) -> float:
    """Return the seconds of CPU that an example costs: those of the best of five rounds."""
    costs = []
    for _ in range(5):
        run, start = drawing(strategy, examples), time.process_time()
        drawn = run()
        costs.append((time.process_time() - start) / drawn)
    return min(costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("names", nargs="*", metavar="STRATEGY")
    parser.add_argument("--examples", type=int, default=300, metavar="N")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    chosen = all_strategies()
    for name in options.names or chosen:
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(drawing(chosen[name], options.examples))
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        else:
            print(f"{name:22}{cost(chosen[name], options.examples) * 1000:8.2f} ms")


if __name__ == "__main__":
    main()
