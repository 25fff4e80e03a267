"""The code in docs/reference/grammar.md does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference/grammar.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FAILURES = re.findall(r"^def (test_\w+).*\n.*# fails: ", PAGE, re.MULTILINE)
assert len(FAILURES) == 2


def test_the_snippets_run_and_the_property_tests_find_the_faults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, object] = {}
    for snippet in SNIPPETS:
        exec(snippet, names)
    assert capsys.readouterr().out.strip() in PAGE
    for test in FAILURES:
        function = names[test]
        assert callable(function)
        with pytest.raises(AssertionError):
            settings(max_examples=2000, phases=[Phase.generate])(function)()


def test_the_diagrams_match_the_grammar() -> None:
    subprocess.run([sys.executable, DOCS / "railroads.py", "--check"], check=True)
