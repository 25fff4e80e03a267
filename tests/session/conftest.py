"""Fixtures."""

from __future__ import annotations

import pytest

from smtpproto.mail import plan as planning
from smtpproto.session import submit


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BDAT has seven octets."""
    monkeypatch.setattr(planning, "CHUNK", 7)
    monkeypatch.setattr(submit, "CHUNK", 7)
