"""Fixtures of the tests against foreign programs."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Callable, Generator

import pytest
import trustme

from interop.peers import CONTENTS, FLAVOURS, LOGS, Certificate, Inbox, missing

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program. One that is missing fails the test in CI, and skips it elsewhere."""

    def find(name: str) -> str:
        path = shutil.which(name, path=_PATH)
        return missing(name) if path is None else path

    return find


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    directory = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    ca, chain = directory / "ca.pem", directory / "chain.pem"
    authority.cert_pem.write_to_path(ca)
    issued.private_key_and_cert_chain_pem.write_to_path(chain)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(chain)
    return Certificate(server, ssl.create_default_context(cafile=ca), ca, chain)


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=CONTENTS.values(), ids=list(CONTENTS))
def content(request: pytest.FixtureRequest) -> bytes:
    octets: bytes = request.param
    return octets


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the programs that run in the report of a test that failed."""
    report = yield
    if report.failed:
        for name, path in LOGS.items():
            tail = path.read_text(errors="replace")[-8_000:]
            report.sections.append((f"log of {name}", tail))
    return report
