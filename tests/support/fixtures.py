"""Fixtures for several folders; the conftest.py of each folder imports them."""

from __future__ import annotations

import ssl

import pytest
import trustme

from smtpproto.client import submit
from smtpproto.mail import planning


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client send seven octets with each BDAT."""
    monkeypatch.setattr(planning, "CHUNK", 7)
    monkeypatch.setattr(submit, "CHUNK", 7)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts a CA, and a server's with a certificate of it."""
    ca, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    ca.issue_cert("mx.example.org").configure_cert(server)
    return client, server
