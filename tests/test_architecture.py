"""docs/architecture.md: the files and names that it points to exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import smtpproto

LIBRARY = Path(smtpproto.__file__).parent
PAGE = (LIBRARY.parent / "docs" / "architecture.md").read_text()
INDEX = re.findall(r"`([\w/]+\.py): ([\w.]+)`", PAGE)
FILES = sorted(set(re.findall(r"`((?:[a-z_]+/)?[a-z_]+\.py)`", PAGE)))


def defined(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Each name that *body* defines or assigns, with its statement."""
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            names[ast.unparse(node.target)] = node
        elif isinstance(node, ast.Assign):
            names |= {ast.unparse(target): node for target in node.targets}
    return names


@pytest.mark.parametrize(("file", "name"), INDEX, ids=map(": ".join, INDEX))
def test_the_index_of_rules_points_to_names_that_exist(file: str, name: str) -> None:
    body = ast.parse((LIBRARY / file).read_text()).body
    for part in name.split("."):
        names = defined(body)
        assert part in names, f"{file} does not define {name}"
        node = names[part]
        body = node.body if isinstance(node, ast.ClassDef) else []


def test_the_index_has_at_least_thirty_rules() -> None:
    assert len(re.findall(r"^\|.*\.py: .*\|$", PAGE, re.MULTILINE)) >= 30


@pytest.mark.parametrize("file", FILES)
def test_files_that_the_page_names_exist(file: str) -> None:
    assert (LIBRARY / file).exists() or (LIBRARY.parent / file).exists()


def test_the_page_has_a_row_for_each_part() -> None:
    parts = {path.stem for path in LIBRARY.iterdir() if not path.name.startswith("__")}
    table = PAGE.partition("| ring |")[2].partition("\n\n")[0]
    assert {name.strip("/") for name in re.findall(r"`([a-z]+/?)`", table)} >= parts - {"py"}
