"""How hard Hypothesis tries, and ``--requirements``: which requirements have passing tests.

``--hypothesis-profile`` chooses the profile; CI has more examples than a desk.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

# No deadlines: a busy machine is not a bug.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--requirements",
        type=Path,
        metavar="FILE",
        help="write to FILE, as JSON, which tests of each requirement passed (all, not run, with"
        " --collect-only); docs/rfc/matrix.py --passed reads it",
    )


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("requirements"):
        config.pluginmanager.register(_Requirements(file))


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
