"""Fixtures of the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.cli.server_process import MESSAGE


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with PEM files: ca, certificate, key, and both of the latter in one."""
    directory, ca = tmp_path_factory.mktemp("pem"), trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(directory / "ca")
    issued.private_key_pem.write_to_path(directory / "key")
    issued.cert_chain_pems[0].write_to_path(directory / "certificate")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "both")
    return directory


@pytest.fixture
def message(tmp_path: Path) -> str:
    """Return the path of a file with a message from Ann to Bob and Carol."""
    path = tmp_path / "message.eml"
    path.write_bytes(MESSAGE)
    return str(path)
