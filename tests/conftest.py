"""Test tiers, seeds of simulations, and ``--requirements``.

* ``python -m pytest -n auto`` runs the ordinary tests: those without one of these two markers.
* ``python -m pytest -n auto -m "(soak or search) and not interop"`` searches for long: it runs the
  tests marked soak, and those ordinary ones that search longer then.
* ``python -m pytest -m "interop and not soak"`` runs the tests against other programs, which
  ``.ci/peers`` installs.
* ``python -m pytest -n auto -m ""`` runs everything.

A run that includes soak tests also searches longer in those marked search, by this file: Hypothesis
tries 250 examples of each law instead of 30, and a simulation runs each of its seeds instead of a
sample.
Examples and samples change from run to run, but not where ``CI`` is set. A failed test shows its
seed, and ``--simulation-seed=N`` repeats the sample that contains seed N. ``--hypothesis-profile``
changes the examples alone.
"""

from __future__ import annotations

import gc
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression
from hypothesis import HealthCheck, settings

IN_CI = "CI" in os.environ

# A busy machine is not a bug, so nothing fails for being slow. In CI each run tries the same
# examples, so that a change is refused only for what it did itself; all other runs try new ones.
COMMON = settings(
    settings.get_profile("default"),
    deadline=None,
    print_blob=True,
    derandomize=IN_CI,
    database=None if IN_CI else settings.get_profile("default").database,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ordinary", COMMON, max_examples=30)
settings.register_profile("soak", COMMON, max_examples=250)

SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--requirements",
        type=Path,
        metavar="FILE",
        help="write to FILE, as JSON, which tests of each requirement passed (all, not run, with"
        " --collect-only); docs/rfc/matrix.py --passed reads it",
    )
    parser.addoption(
        "--simulation-seed",
        type=int,
        metavar="N",
        help="run the samples of seeds that contain N, instead of samples chosen at random",
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if _includes_soak(config) else "ordinary")
    if file := config.getoption("requirements"):
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--requirements works in one process only: leave -n out")
        config.pluginmanager.register(_Requirements(file))


def _includes_soak(config: pytest.Config) -> bool:
    """Return whether -m selects the tests marked soak."""
    selected: str = config.getoption("markexpr")

    def is_soak(name: str, /, **_: object) -> bool:
        return name == "soak"

    return not selected or Expression.compile(selected).evaluate(is_soak)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_law = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_law or "seeds" in getattr(item, "fixturenames", ()):
            item.add_marker("search")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected, which lives until the end, out of every search for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> Callable[[int, int], Iterator[int]]:
    """Choose the seeds of a simulation.

    ``seeds(1000, 5)`` yields each of 1000 seeds in a run that includes soak tests, else every
    fifth of them, from a random start.
    """

    def choose(bound: int, every: int) -> Iterator[int]:
        wanted: int | None = request.config.getoption("simulation_seed")
        if wanted is None:
            wanted = 0 if IN_CI else random.randrange(every)
        start = wanted % every
        for seed in range(bound) if _includes_soak(request.config) else range(start, bound, every):
            request.node.stash[SEED] = seed
            yield seed

    return choose


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last seed of a simulation that failed."""
    report = yield
    if report.failed and (seed := item.stash.get(SEED, None)) is not None:
        report.sections.append(("last seed", f"repeat with --simulation-seed={seed}"))
    return report


class _Requirements:
    """Writes the tests of each id: functions without parameters, of which no run failed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.marks: dict[str, set[str]] = defaultdict(set)
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("req"):
                self.marks[_function(item.nodeid)].update(mark.args)
        if session.config.option.collectonly:
            self.passed.update(self.marks)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(_function(report.nodeid))
        elif report.passed and report.when == "call":
            self.passed.add(_function(report.nodeid))

    def pytest_sessionfinish(self) -> None:
        tests: dict[str, list[str]] = defaultdict(list)
        for function in sorted(self.passed - self.failed):
            for identifier in self.marks.get(function, ()):
                tests[identifier].append(function)
        self.file.write_text(json.dumps(tests, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _function(node: str) -> str:
    return node.partition("[")[0]
