"""The code in docs/howto/simulation.md runs and does what the text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from smtpproto.testing.internet import Behaviour

PAGE = Path(__file__).parent.parent.parent / "docs/howto/simulation.md"


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "simulation"}
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(snippets) == 3
    for snippet in snippets:
        exec(snippet, names)
    printed = capsys.readouterr().out
    assert "hello arrived at mx2.example.org" in printed and printed.count("minutes: [") == 2


def test_the_page_names_each_attribute_of_a_behaviour() -> None:
    names = [attribute.name for attribute in fields(Behaviour)]
    assert [name for name in names if f"`{name}`" not in PAGE.read_text()] == []
