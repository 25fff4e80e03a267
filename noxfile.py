"""The project's chores: ``nox -l`` lists them."""

from __future__ import annotations

import sys

import nox

nox.options.sessions = ["tests", "types", "lint"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole test suite, on each Python."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def types(session: nox.Session) -> None:
    """mypy, strict, on the library and all that uses it."""
    session.install("-e", ".[dev]")
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install("ruff>=0.8")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--diff")


@nox.session
def changelog(session: nox.Session) -> None:
    """Print the changelog that the notes in changes/ make, and leave them as they are."""
    session.install("-e", ".", "towncrier>=24.8")
    session.run("towncrier", "build", "--draft", *session.posargs)


@nox.session(venv_backend="none")
def requirements(session: nox.Session) -> None:
    """docs/requirements.md: which tests show which requirement. ``-- --check`` only looks."""
    session.run(sys.executable, "docs/rfc/matrix.py", *session.posargs)


@nox.session
def tables(session: nox.Session) -> None:
    """docs/tables.md: the phase table, the verbs, the extensions and the leniencies, as drawn."""
    session.install("-e", ".")
    session.run("python", "docs/tables.py", *session.posargs)
