"""The code in docs/howto/find-the-bug.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.testing import FaultPoints, SeedFailed, Simulation, explore
from smtpproto.testing.fault_points import FAULTS

PAGE = (Path(__file__).parents[2] / "docs/howto/find-the-bug.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TRACES = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def without_numbers(text: str) -> list[str]:
    """Return the lines of *text* without numbers: the seeds of the page may have others later."""
    lines = re.sub(r"\d+", "#", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() not in ("", "...")]


@pytest.fixture
def names(tmp_path: Path) -> dict[str, Any]:
    """Return what the page defines, as a module of its own."""
    path, names = tmp_path / "test_quota.py", dict[str, Any]()
    path.write_text("\n\n".join(SNIPPETS))
    exec(compile(path.read_text(), path, "exec"), names)
    return names


@pytest.mark.parametrize(
    ("test", "trace"),
    [("test_the_count_is_right", 0), ("test_the_count_is_right_whatever_happens", 1)],
    ids=["order", "faults"],
)
def test_the_bugs_are_found_with_the_traces_on_the_page(
    names: dict[str, Any], test: str, trace: int
) -> None:
    with pytest.raises(SeedFailed) as caught:
        names[test]()
    [first, *expected] = without_numbers(TRACES[trace])
    assert first.startswith("the scene fails with seed #: AssertionError")
    found = without_numbers(str(caught.value))
    assert [line for line in expected if line not in found] == []
    assert len(TRACES) == 2


def test_the_corrected_handlers_have_no_bug(names: dict[str, Any]) -> None:
    scene, counts_first, correct = names["scene"], names["CountsFirst"], names["Correct"]
    names["test_cancellation_at_each_await"]()
    explore(lambda simulation: scene(simulation, counts_first), 20)
    explore(lambda simulation: scene(simulation, correct), 40, faults=FAULTS)


def test_the_page_names_each_fault_and_each_count() -> None:
    table = set(re.findall(r"`(\w+)=n`", PAGE))
    assert table == FaultPoints.__annotations__.keys()
    assert all(hasattr(Simulation(0), name) for name in ("operations", "steps", "hook_awaits"))
