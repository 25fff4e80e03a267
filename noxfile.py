"""The project's chores: ``nox -l`` lists them."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from pathlib import Path

import nox

nox.options.sessions = ["tests", "types", "lint"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]
DIST = Path("dist")
TRY_WHEEL = """\
import importlib.metadata, smtpproto, smtpproto.adapters.asyncio, smtpproto.adapters.blocking
assert smtpproto.__version__ == importlib.metadata.version("smtpproto-sansio")
"""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the ordinary test suite on each Python."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the ordinary and the soak tests, with every seed and Hypothesis at its full profile."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "not interop", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Run the tests against real programs, which .ci/peers installs."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "interop and not soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run each fuzz target for a minute; ``-- --seconds 600 wire`` runs one for ten minutes."""
    session.install("-e", ".[test]", "atheris>=3")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


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
    """Check the library with pyright, and that every public name has a complete type."""
    session.install("-e", ".[dev]", "pyright[nodejs]")
    session.run("pyright", *session.posargs)
    session.run("pyright", "--verifytypes", "smtpproto", "--ignoreexternal")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the library beside its peers, and write docs/reference/performance-figures.md.

    With arguments (``-- --help``) it prints the report; ``-- --smoke`` only tries everything.
    """
    session.install("-e", ".[dev]")
    if "--smoke" not in session.posargs:
        session.run("python", "-m", "bench.install")
    session.run("python", "-m", "bench", *(session.posargs or ["--write"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check the rules and the format with ruff."""
    session.install("ruff>=0.8")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--diff")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/, check both, and try the wheel alone."""
    session.install("build", "twine")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(DIST))
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))
    (wheel,) = DIST.glob("*.whl")
    check_wheel(session, wheel)
    try_wheel(session, wheel.resolve())


def check_wheel(session: nox.Session, wheel: Path) -> None:
    """Fail unless *wheel* holds the library alone, is typed, and shows no relative links."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        readme = archive.read(metadata).decode()
    others = [name for name in names if not re.match(r"smtpproto/|[^/]+\.dist-info/", name)]
    if others:
        session.error(f"the wheel holds files outside smtpproto/: {', '.join(others)}")
    if "smtpproto/py.typed" not in names:
        session.error("the wheel has no smtpproto/py.typed")
    if links := re.findall(r"\]\((?!https://|#)[^)]*\)", readme):
        session.error(f"the README on the package's page has relative links: {', '.join(links)}")


def try_wheel(session: nox.Session, wheel: Path) -> None:
    """Install *wheel* without extras into an empty environment, then import and run the library."""
    directory = Path(session.create_tmp()).resolve() / "wheel"
    session.run("python", "-m", "venv", "--clear", str(directory))
    python = directory / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    session.run(str(python), "-m", "pip", "install", "-q", str(wheel), external=True)
    for arguments in (["-c", TRY_WHEEL], ["-m", "smtpproto", "--help"]):
        session.run(str(python), "-I", "-W", "error", *arguments, external=True, silent=True)


@nox.session
def changelog(session: nox.Session) -> None:
    """Print the changelog that the notes in changes/ make, and leave them as they are."""
    session.install("-e", ".", "towncrier>=24.8")
    session.run("towncrier", "build", "--draft", *session.posargs)


@nox.session(venv_backend="none")
def requirements(session: nox.Session) -> None:
    """Write the tests of each requirement; with ``-- --check`` compare the page."""
    session.run(sys.executable, "docs/rfc/matrix.py", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Run the tests of each requirement against a version of the library that breaks it."""
    session.install("-e", ".[dev]")
    session.run("python", "docs/rfc/mutants.py", *session.posargs)


@nox.session
def tables(session: nox.Session) -> None:
    """Write tables.md and the diagrams of grammar.md; ``-- --check`` compares them."""
    session.install("-e", ".", "railroad-diagrams>=3")
    session.run("python", "docs/tables.py", *session.posargs)
    session.run("python", "docs/railroads.py", *session.posargs)
