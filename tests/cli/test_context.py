"""The TLS of a server that nobody configured further."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path

import pytest
import trustme

from smtpproto.cli.serve import _context


@pytest.mark.req("RFC8314-4.2-01")
def test_no_client_is_asked_for_a_certificate(tmp_path: Path) -> None:
    """No login by certificate is there, so none would be of use."""
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both")
    context = _context(argparse.Namespace(certificate=str(tmp_path / "both"), key=None))
    assert context is not None
    assert context.verify_mode is ssl.CERT_NONE
