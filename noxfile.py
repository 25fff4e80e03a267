"""The project's chores: ``nox -l`` lists them."""

from __future__ import annotations

import sys

import nox

nox.options.sessions = ["tests", "types", "lint"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the ordinary test suite on each Python."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long tests, with Hypothesis at its full profile."""
    session.install("-e", ".[dev]")
    options = ["-m", "soak", "-n", "auto", "--hypothesis-profile", "nightly"]
    session.run("python", "-m", "pytest", *options, *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Run the tests against real programs, which .ci/peers installs."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "interop", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure the branch coverage of the ordinary test suite and fail below the floor."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "auto", "--cov", *session.posargs)


@nox.session(python=PYTHONS)
def types(session: nox.Session) -> None:
    """Check the library and everything that uses it with mypy, in strict mode."""
    session.install("-e", ".[dev]")
    session.run("mypy", *session.posargs)


@nox.session
def pyright(session: nox.Session) -> None:
    """Check with pyright that every public name of the library has a complete type."""
    session.install("-e", ".[dev]", "pyright[nodejs]")
    session.run("pyright", "--verifytypes", "smtpproto", "--ignoreexternal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the rules and the format with ruff."""
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
    """Write docs/requirements.md, the tests of each requirement; with ``-- --check`` compare it."""
    session.run(sys.executable, "docs/rfc/matrix.py", *session.posargs)


@nox.session
def tables(session: nox.Session) -> None:
    """Write docs/tables.md from the tables of the code; with ``-- --check`` compare it."""
    session.install("-e", ".")
    session.run("python", "docs/tables.py", *session.posargs)
