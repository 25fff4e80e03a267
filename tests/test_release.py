"""What a release consists of: extras, versions of Python, the workflow and the container."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpproto.cli import main

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"all", "dev", "docs", "test"}
CONTAINER = (ROOT / "examples/container/Containerfile").read_text()
PAGE = (ROOT / "docs/howto/container.md").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())


def extras_in(requirement: str) -> set[str]:
    """Return the extras of this project that *requirement* names."""
    [names] = re.findall(r"smtpproto-sansio\[([\w,-]+)\]", requirement)
    return set(names.split(","))


def test_the_extra_all_has_every_extra_that_programs_use() -> None:
    [requirement] = EXTRAS["all"]
    assert extras_in(requirement) == set(EXTRAS) - FOR_DEVELOPERS


def test_a_release_is_tried_on_each_python_that_the_workflow_installs() -> None:
    [pythons] = re.findall(r"^PYTHONS = (\[.*\])$", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    [setup] = [it for it in WORKFLOW["jobs"]["build"]["steps"] if "python-version" in str(it)]
    assert setup["with"]["python-version"].split() == re.findall(r"3\.\d+", pythons)


def test_only_the_job_that_publishes_may_use_the_identity_of_the_workflow() -> None:
    permissions = {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()}
    assert WORKFLOW["permissions"] == {}
    assert permissions == {"build": {"contents": "read"}, "publish": {"id-token": "write"}}


def test_the_container_installs_extras_that_exist() -> None:
    assert extras_in(CONTAINER) <= set(EXTRAS)


def test_the_configuration_of_the_container_is_correct(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [text] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    file = tmp_path / "mail.toml"
    file.write_text(text.replace("/var/mail/smtpproto", str(tmp_path)))
    assert main(["mta", "--config", str(file), "--check"]) == 0, capsys.readouterr().err
    ports = re.findall(r"^port = (\d+)", text, re.MULTILINE)
    assert re.findall(r"EXPOSE (\d+) (\d+)", CONTAINER) == [tuple(ports)]
