"""Whether the tests that name a requirement fail when the code breaks it.

    python docs/rfc/mutants.py               run all mutants
    python docs/rfc/mutants.py NAME...       run those of these names, or patterns of names

A mutant is a small edit of the library that breaks one requirement. Each is applied to a copy of
the project, in which the tests that name the requirement must fail. Exit 1, and a line for each
mutant that survives, hangs, or stops the tests from being collected.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from marks import Marks

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("smtpproto", "tests", "docs", "examples", "changes", "pyproject.toml", "README.md")
PRELOADED = ("pytest", "xdist.plugin", "pytest_cov.plugin", "hypothesis", "attrs", "ssl", "asyncio")
OPTIONS = (
    *("-x", "-q", "-n0", "--tb=no", "-p", "no:cacheprovider", "-m", "not interop"),
    # The same examples and seeds in each run, so that a mutant dies in each run or in none.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # for what PRELOADED has
    *("--hypothesis-profile=ordinary", "--hypothesis-seed=1", "--simulation-seed=1"),
)
TIME_LIMIT = 120  # seconds
RESULTS = {0: "survived", 1: "killed", None: "hung"}  # by the exit code of pytest


@dataclass(frozen=True)
class Mutant:
    """The edit that breaks the requirement *name*: in *file*, *old* becomes *new*."""

    name: str
    file: str
    old: str
    new: str

    def apply(self, root: Path) -> str:
        """Return the edited text of the file. Raises ValueError if the edit does not fit it."""
        text = (root / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1 or self.old == self.new:
            found = text.count(self.old)
            raise ValueError(f"{self.file} has the text of {self.name} {found} times, not 1")
        return text.replace(self.old, self.new)


def read_mutants(root: Path) -> list[Mutant]:
    """Return the mutants of the project at *root*."""
    return [
        Mutant(name, **edit)
        for file in sorted((root / "docs/rfc/mutants").glob("*.toml"))
        for name, edit in tomllib.loads(file.read_text(encoding="utf-8")).items()
    ]


def run(mutants: Collection[Mutant], root: Path = ROOT) -> Iterator[tuple[Mutant, str]]:
    """Run *mutants* one after the other; yield each with its result, which should be "killed"."""
    for module in PRELOADED:  # once, instead of in each of the processes
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    tests = Marks(root).tests
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _copy_project(root, copy)
        for mutant in mutants:
            try:
                edited = mutant.apply(copy)
            except ValueError as error:
                yield mutant, str(error)
                continue
            original = copy / mutant.file
            text = original.read_text(encoding="utf-8")
            original.write_text(edited, encoding="utf-8")
            code = _run_tests(copy, tests[mutant.name])
            original.write_text(text, encoding="utf-8")
            yield mutant, RESULTS.get(code, f"pytest ended with {code}")


def _copy_project(root: Path, copy: Path) -> None:
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name)
        elif (root / name).exists():
            shutil.copy2(root / name, copy / name)


def _run_tests(project: Path, tests: list[str]) -> int | None:
    """Run *tests* in a process of its own; return the exit code, or None after TIME_LIMIT."""
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        _become_pytest(project, tests)
    end = time.monotonic() + TIME_LIMIT
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return None


def _become_pytest(project: Path, tests: list[str]) -> None:
    """Run pytest in the child process, and end it."""
    code = 3
    try:
        os.setsid()
        os.chdir(project)
        with open(os.devnull, "r+b") as null:
            for descriptor in range(3):
                os.dup2(null.fileno(), descriptor)
        # No bytecode: the next edit of a file may have the size and the time of this one.
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(project)}
        sys.path.insert(0, str(project))
        code = int(importlib.import_module("pytest").main([*OPTIONS, *tests]))
    finally:
        os._exit(code)


def main(names: list[str], root: Path = ROOT) -> int:
    """Run the mutants that *names* select, and print those that were not killed."""
    mutants = [
        mutant
        for mutant in read_mutants(root)
        if not names or any(fnmatchcase(mutant.name, name) for name in names)
    ]
    alive = 0
    for mutant, result in run(mutants, root):
        if result != "killed":
            alive += 1
            sys.stdout.write(f"{mutant.name}: {result}\n")
    sys.stdout.write(f"{len(mutants)} mutants, {alive} not killed\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
