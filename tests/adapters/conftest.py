"""Fixtures for the tests of the adapters."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.adapters.inboxes import Certificates, Inbox


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    ca = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return Certificates(server, client)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
