"""Mutants: the tests that name a requirement fail when an edit of the code breaks it."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs/rfc"))
tool = importlib.import_module("mutants")

MUTANTS = tool.read_mutants(ROOT)
NAMES = [mutant.name for mutant in MUTANTS]
IN_ONE_TEST = 10  # small, so that several processes share the work

OPTIONS = """\
[tool.pytest.ini_options]
markers = ["req"]
addopts = "-p no:smtpproto.testing.pytest_plugin"  # the package of this test has none
"""
CODE = "def answer():\n    return 250\n"
TESTS = """\
import pytest

@pytest.mark.req("RFC1-1-01", "RFC1-1-02", "RFC1-1-03", "RFC1-1-04")
def test_answer():
    from smtpproto.answers import answer
    assert answer() == 250
"""


def test_each_mutant_fits_the_code() -> None:
    unfit = [fault for mutant in MUTANTS if (fault := fault_of(mutant))]
    assert unfit == []


def _unknown_names(source: str) -> set[str]:
    """The names that *source*, a module, uses and neither makes nor imports."""
    known, used = {*dir(builtins), "__name__"}, set[str]()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name):
                (used if isinstance(node.ctx, ast.Load) else known).add(name)
            case ast.arg(arg=name):
                known.add(name)
            case ast.Import() | ast.ImportFrom():
                known |= {(it.asname or it.name).split(".")[0] for it in node.names}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                known.add(node.name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                known.add(name)
    return used - known


def test_no_mutant_dies_only_because_it_uses_a_name_that_is_gone() -> None:
    gone = {}
    for mutant in MUTANTS:
        known = set(re.findall(r"\w+", (ROOT / mutant.file).read_text(encoding="utf-8")))
        if not set(re.findall(r"\w+", mutant.new)) <= known:
            gone[mutant.name] = _unknown_names(mutant.apply(ROOT))
    assert {name for name, names in gone.items() if names} == set()


def test_each_required_row_has_a_mutant() -> None:
    assert importlib.import_module("matrix").Matrix(ROOT).without_mutant() == []


def fault_of(mutant: Any) -> str:
    """Return why *mutant* cannot be used, or ""."""
    try:
        mutant.apply(ROOT)
    except ValueError as error:
        return f"{mutant.name}: {error}"
    return ""


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, len(NAMES), IN_ONE_TEST))
def test_the_tests_of_each_requirement_fail_with_its_mutant(first: int) -> None:
    names = NAMES[first : first + IN_ONE_TEST]
    command = [sys.executable, "docs/rfc/mutants.py", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == f"{len(names)} mutants, 0 not killed\n", done.stderr


def test_a_mutant_is_killed_only_if_a_test_fails(tmp_path: Path) -> None:
    (tmp_path / "smtpproto").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "smtpproto/__init__.py").touch()
    (tmp_path / "smtpproto/answers.py").write_text(CODE)
    (tmp_path / "tests/conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "tests/test_answers.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text(OPTIONS)
    (tmp_path / "docs/rfc/mutants").mkdir(parents=True)
    edits = [
        ("250", "251"),
        ("250", "250 + 0"),
        ("def answer", "import os; os._exit(7)\ndef answer"),
        ("def answer", "while True: pass\ndef answer"),
    ]
    (tmp_path / "docs/rfc/mutants/1.toml").write_text(
        "".join(
            f'["RFC1-1-0{i}"]\nfile = "smtpproto/answers.py"\nold = "{old}"\nnew = """{new}"""\n'
            for i, (old, new) in enumerate(edits, 1)
        )
    )
    program = (
        "import pathlib, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'docs/rfc')!r})\n"
        "import mutants\n"
        "mutants.TIME_LIMIT = 2\n"
        f"mutants.main([], pathlib.Path({str(tmp_path)!r}))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "RFC1-1-02: survived",
        "RFC1-1-03: pytest ended with 7",
        "RFC1-1-04: hung",
        "4 mutants, 3 not killed",
    ]


def test_a_mutant_whose_text_is_not_in_its_file_once_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "answers.py").write_text(CODE)
    for old, found in [("550", 0), ("r", 3)]:
        mutant = tool.Mutant("RFC1-1-01", "answers.py", old, "251")
        with pytest.raises(ValueError, match=f"answers.py has the text of RFC1-1-01 {found} times"):
            mutant.apply(tmp_path)
