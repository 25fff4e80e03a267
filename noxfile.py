"""The project's chores: ``nox -l`` lists them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nox

nox.options.sessions = ["tests", "types", "lint"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
DIST = Path("dist")
TRY_PACKAGE = """\
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
    """Search for long: the soak tests, every seed, and Hypothesis at its full profile."""
    session.install("-e", ".[dev]")
    long = "(soak or search) and not interop"
    session.run("python", "-m", "pytest", "-n", "auto", "-m", long, *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Run the tests against real programs, which .ci/peers installs."""
    session.install("-e", ".[dev]")
    spread = ("-n", "3", "--dist", "loadgroup", "--no-loadscope-reorder")
    session.run("python", "-m", "pytest", *spread, "-m", "interop and not soak", *session.posargs)


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


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """Make all that a release publishes, and try it: with each Python that is found."""
    tried = (f"try_packages-{version}" for version in PYTHONS)
    for name in ("docs", "build", *tried, "sbom", "changelog"):
        session.notify(name)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/, twice with the same octets, and check both."""
    session.install("build", "twine")
    again = Path(session.create_tmp()).resolve() / "again"
    for directory in (DIST, again):
        shutil.rmtree(directory, ignore_errors=True)
        session.run("python", "-m", "build", "--outdir", str(directory), env=time_of_commit())
    for package in DIST.iterdir():
        if package.read_bytes() != (again / package.name).read_bytes():
            session.error(f"{package} differs from a second build of the same commit")
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))
    (wheel,) = DIST.glob("*.whl")
    check_wheel(session, wheel)


def time_of_commit() -> dict[str, str]:
    """Return the variable for the time of all files in the packages, which must not vary."""
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {"SOURCE_DATE_EPOCH": done.stdout.strip()}


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


@nox.session(python=PYTHONS, reuse_venv=False)
def try_packages(session: nox.Session) -> None:
    """Install each package in dist/, without extras, in an empty environment, and run it."""
    for package in sorted(DIST.iterdir()):
        session.install("--force-reinstall", str(package))
        for arguments in (["-c", TRY_PACKAGE], ["-m", "smtpproto", "--help"]):
            session.run("python", "-I", "-W", "error", *arguments, silent=True)


@nox.session
def sbom(session: nox.Session) -> None:
    """Write sbom.cdx.json: what the wheel in dist/ installs with all extras, in CycloneDX."""
    session.install("cyclonedx-bom>=7")
    (wheel,) = DIST.glob("*.whl")
    directory = Path(session.create_tmp()).resolve() / "all"
    session.run("python", "-m", "venv", "--clear", str(directory))
    python = str(directory / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    install = ["-m", "pip", "install", "-q", f"{wheel.resolve()}[all]"]
    session.run(python, *install, external=True)
    session.run(python, "-m", "pip", "uninstall", "-q", "-y", "pip", "setuptools", external=True)
    options = ["--output-reproducible", "-o", "sbom.cdx.json"]
    session.run("cyclonedx-py", "environment", *options, python)


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
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs, as a site and as text, with warnings as errors."""
    session.install("-e", ".[all,test,docs]")
    for kind in ("html", "text"):
        options = ("-W", "--keep-going", "-b", kind, "-d", "build/docs-trees")
        session.run("sphinx-build", *options, "docs", "build/docs", *session.posargs)
    session.run("python", "docs/building/site_links.py", "build/docs")


@nox.session
def man(session: nox.Session) -> None:
    """Write a manual page for each command into build/man/man1, or below another folder."""
    session.install("-e", ".")
    session.run("python", "docs/man.py", *(session.posargs or ["build/man"]))


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
