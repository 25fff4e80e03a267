"""The programs on the pages that explain run, and print what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smtpproto import Leniencies, Tolerance

from .test_rings import BELOW

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs/explanation"


def blocks(page: str, language: str) -> list[str]:
    """Return the code on *page* in *language*."""
    text = (PAGES / page).read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [code for its, code in found if its == language]


def test_the_answer_to_data_decides_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = blocks("the-machine-pulls.md", "python")
    [output] = blocks("the-machine-pulls.md", "")
    exec(program, {})
    assert capsys.readouterr().out == output


def test_the_leniencies_of_the_page_are_those_that_it_names() -> None:
    [program] = blocks("leniencies.md", "python")
    names: dict[str, Leniencies] = {}
    exec(program, names)
    assert names["usual"] == Leniencies() != names["strict"]
    assert names["for_old_devices"].missing_brackets is Tolerance.REPORT


def test_the_picture_of_the_phases_has_those_of_a_message() -> None:
    phases = (ROOT / "docs/reference/phases.svg").read_text()
    assert re.findall(r'class="middle">(\w+)<', phases) == [
        "tls", "start", "ready", "mail", "rcpt", "chunks", "body",
    ]  # fmt: skip


def test_the_rings_are_drawn_with_each_part_that_the_test_of_imports_knows() -> None:
    drawn = set(re.findall(r'class="code middle">(\w+)<', (PAGES / "rings.svg").read_text()))
    assert drawn == set(BELOW) - {"__init__"}
