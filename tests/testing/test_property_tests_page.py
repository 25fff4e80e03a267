"""The code in docs/howto/property-tests.md runs, and what the page lists exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from smtpproto.testing import laws, strategies

PAGE = (Path(__file__).parents[2] / "docs/howto/property-tests.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(snippet, "docs/howto/property-tests.md", "exec"), names)
    return names


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_the_tests_on_the_page_pass(number: int) -> None:
    for name, value in run(SNIPPETS[number]).items():
        if name.startswith("test_"):
            value()


def run_machine(snippet: str) -> None:
    test = run(snippet)["TestMailboxes"]
    test.settings = settings(test.settings, derandomize=True, database=None)
    test().runTest()


def test_the_bug_in_the_handler_on_the_page_is_found_and_the_mended_one_passes() -> None:
    (snippet,) = (it for it in SNIPPETS if "HandlerMachine" in it)
    with pytest.raises(AssertionError, match=r"accepted .*, but stored .*: ") as caught:
        run_machine(snippet)
    steps = "".join(caught.value.__notes__)
    assert "state.mail(" in steps and len(steps.splitlines()) < 12
    run_machine(snippet.replace("to in self.to", "to in map(str, envelope.recipients)"))


def test_the_strategies_and_laws_on_the_page_exist() -> None:
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", PAGE, re.MULTILINE))))
    assert listed <= set(strategies.__all__)
    checks = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert checks <= set(laws.__all__)
    assert len(checks) == 5
