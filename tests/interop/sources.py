"""Sources of other projects, which pip and npm fetch when a test needs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.programs import find_program, skip_or_fail

_TIME = 300.0  # seconds; pip builds the metadata of each package


class Sources:
    """Fetches each source once and keeps it in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fetch(self, requirement: str) -> Path:
        """Return the directory of the unpacked sdist that satisfies *requirement*."""
        kept = self._kept(requirement)
        if not kept.exists():
            with self._making(kept) as made:
                _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", made, requirement)
                for archive in list(made.iterdir()):
                    _unpack(archive, made)
                    archive.unlink()
        (root,) = kept.iterdir()
        return root

    def install(self, requirement: str) -> Path:
        """Return a directory for PYTHONPATH with *requirement*, without what it depends on."""
        kept = self._kept(f"installed {requirement}")
        if not kept.exists():
            with self._making(kept) as made:
                _pip("install", "--no-deps", "--target", made, requirement)
        return kept

    def install_node(self, package: str) -> Path:
        """Return a directory for NODE_PATH with *package* of npm, and what it depends on."""
        kept = self._kept(f"npm {package}")
        if not kept.exists():
            npm = find_program("npm")
            with self._making(kept) as made:
                _run([npm, "install", "--no-fund", "--no-audit", "--prefix", str(made), package])
        return kept / "node_modules"

    def _kept(self, name: str) -> Path:
        return self._directory / re.sub(r"[^A-Za-z0-9.]+", "-", name)

    @contextmanager
    def _making(self, kept: Path) -> Iterator[Path]:
        """Yield an empty directory that becomes *kept* when the block ends without an error, unless
        another process was first."""
        made = Path(tempfile.mkdtemp(dir=self._directory))
        try:
            yield made
            try:
                made.rename(kept)
            except OSError:
                if not kept.exists():
                    raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _pip(command: str, *arguments: str | Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", *map(str, arguments)]
    _run([sys.executable, "-m", "pip", command, *options])


def _run(command: list[str]) -> None:
    """Run pip or npm; skip the test, or fail it in CI, if a package cannot be fetched."""
    what = " ".join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIME, check=False
        )
    except subprocess.TimeoutExpired:
        skip_or_fail(f"{what} took longer than {_TIME:.0f} seconds")
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip()
        skip_or_fail(f"{what} failed:\n{errors[-1000:]}")


def _unpack(archive: Path, directory: Path) -> None:
    if archive.suffix == ".zip":
        zipfile.ZipFile(archive).extractall(directory)
        return
    with tarfile.open(archive) as opened:
        opened.extractall(directory, filter="data")


def make_sources(config: pytest.Config, factory: pytest.TempPathFactory) -> Sources:
    """Return the sources kept in pytest's cache, or in a temporary directory without one."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    return Sources(factory.mktemp("sources") if cache is None else cache.mkdir("sources"))
