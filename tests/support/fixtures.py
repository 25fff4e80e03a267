"""Fixtures for several folders; the conftest.py of each folder imports them."""

from __future__ import annotations

import ssl

import pytest

from smtpproto.client import submit
from smtpproto.mail import planning
from tests.support.certificates import CA, LEAF, server_context


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients send at most seven octets with each BDAT."""
    monkeypatch.setattr(planning, "BDAT_SIZE", 7)
    monkeypatch.setattr(submit, "BDAT_SIZE", 7)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts CA, and a server's context that presents LEAF."""
    client = ssl.create_default_context()
    CA.configure_trust(client)
    return client, server_context(LEAF)
