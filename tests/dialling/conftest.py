"""Fixtures for the tests of dialling."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from smtpproto.adapters import eyeballs
from tests.adapters.conftest import certificates, inbox

__all__ = ["certificates", "inbox", "resolve"]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it with the addresses that every name then resolves to."""

    def set_addresses(*found: eyeballs.AddressInfo) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(found))

    return set_addresses
