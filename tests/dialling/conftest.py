"""Fixtures."""

from tests.adapters.conftest import inbox

__all__ = ["inbox"]
