"""The code in docs/howto/transcripts.md runs, and what the page lists exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from smtpproto import testing
from smtpproto.testing import Transcript

PAGE = (Path(__file__).parents[2] / "docs/howto/transcripts.md").read_text("utf-8")


def test_the_code_of_the_page_runs() -> None:
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(compile(code, "docs/howto/transcripts.md", "exec"), names)


def test_the_example_of_the_form_parses_to_itself() -> None:
    example = PAGE.split("\n```\n")[1] + "\n"
    assert str(Transcript.parse(example)) == example


def test_the_functions_of_the_table_exist() -> None:
    assert all(hasattr(testing, name) for name in re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
