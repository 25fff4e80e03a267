"""The test suites of CPython's smtplib, Django and aiosmtplib pass against our server.

Each suite starts a server of its own; tests.interop.suites replaces it by ours and changes nothing
else. The server needs the leniencies of tests/interop/suites/leniencies.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.interop.our_server import ADAPTERS
from tests.interop.programs import skip_or_fail
from tests.interop.sources import Sources

ROOT = Path(__file__).parents[2]
SUITES = "tests.interop.suites"
_TIME = 300.0  # seconds; each suite takes less than twenty

# Tests of CPython that our server cannot pass, each with the reason.
CPYTHON_LEFT_OUT = {
    "DebuggingServerTests.testELHO": "wants a reply to EHLO without the server's name",
    "DebuggingServerTests.testEXPNNotImplemented": "sends EXPN without an argument: 501 here",
    "SMTPAUTHInitialResponseSimTests.testAUTH_PLAIN_initial_response_auth": (
        "sends AUTH before EHLO: 503 here"
    ),
    "SMTPSimTests.testAUTH_BUGGY": "wants a mechanism that sends challenges for ever",
    "SMTPSimTests.test_421_from_rcpt_cmd": "wants a 421 without the server's name",
    "SMTPSimTests.test__rest_from_mail_cmd": "wants a server that closes after 451, without 421",
    "SMTPSimTests.test_with_statement_QUIT_failure": "wants a server that refuses QUIT",
}
# A test of aiosmtplib that our server cannot pass.
AIOSMTPLIB_LEFT_OUT = {
    "test_sendmail_with_rcpt_option": "compares the words of aiosmtpd's reply to a parameter"
}


def run_python(
    *arguments: str | Path, directory: Path, path: list[Path], **variables: str
) -> tuple[int, str, str]:
    """Run Python in *directory*; return its status, its output and its errors."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONWARNINGS": "default",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIME,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()


@pytest.mark.parametrize("adapter", [*ADAPTERS, "uvloop"])
def test_the_suite_of_smtplib_passes(adapter: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("test.test_smtplib") is None:
        skip_or_fail("this Python was built without its tests")
    _, output, errors = run_python(
        "-m",
        f"{SUITES}.cpython",
        *CPYTHON_LEFT_OUT,
        directory=tmp_path,
        path=[ROOT],
        SMTPPROTO_ADAPTER=adapter,
    )
    report = json.loads(output or "{}")
    assert report, errors
    assert not report["failed"], "\n".join(report["failed"].values())
    assert not report["unknown"], "the suite has no such tests any more"
    assert report["run"] > 70


@pytest.mark.parametrize("adapter", [*ADAPTERS, "uvloop"])
@pytest.mark.parametrize("requirement", ["Django", "Django==4.2.*"])
def test_the_mail_suite_of_django_passes(requirement: str, adapter: str, sources: Sources) -> None:
    if "4.2" in requirement and sys.version_info >= (3, 13):
        pytest.skip("Django 4.2 does not support this Python")
    root = sources.fetch(requirement)
    status, _, errors = run_python(
        "-m",
        f"{SUITES}.django",
        "mail",
        "--parallel=1",
        directory=root / "tests",
        path=[root, ROOT],
        SMTPPROTO_ADAPTER=adapter,
    )
    ran = re.search(r"Ran (\d+) tests", errors)
    assert status == 0, errors[-10_000:]
    assert ran is not None and int(ran[1]) > 150


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_suite_of_aiosmtplib_passes(loop: str, sources: Sources, tmp_path: Path) -> None:
    """Each test that passes against aiosmtpd on this Python passes against our server, too."""
    root, plugin = sources.fetch("aiosmtplib==5.1.3"), sources.install("pytest-asyncio==1.5.0")
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy/tests").rename(tmp_path / "copy/suite")  # "tests" is the name of our own
    outcomes = {}
    for server in ("aiosmtpd", "ours"):
        options = ["-p", f"{SUITES}.aiosmtplib"] if server == "ours" else []
        report = tmp_path / f"{server}.xml"
        _, output, _ = run_python(
            "-m",
            "pytest",
            *options,
            "suite",
            f"--event-loop={loop}",
            f"--junitxml={report}",
            "-p",
            "no:cacheprovider",
            directory=tmp_path / "copy",
            path=[plugin, tmp_path / "copy/src", ROOT],
        )
        assert report.exists(), output
        outcomes[server] = read_outcomes(report)
    assert len(outcomes["ours"]) > 400
    failed = {name for name, failure in outcomes["ours"].items() if failure}
    expected = {name for name, failure in outcomes["aiosmtpd"].items() if failure}
    assert {name.rpartition(".")[2] for name in failed - expected} == set(AIOSMTPLIB_LEFT_OUT), [
        outcomes["ours"][name] for name in failed - expected
    ]
    assert len(expected) < 40, "aiosmtplib's suite does not run on this Python"


def read_outcomes(report: Path) -> Mapping[str, str]:
    """Return the tests that ran, each with its failure or ""."""
    cases = {}
    for case in ET.parse(report).iter("testcase"):
        failures = [*case.findall("failure"), *case.findall("error")]
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("skipped") is None:
            cases[name] = "".join(failure.text or "failed" for failure in failures)
    return cases
