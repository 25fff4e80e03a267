"""Fixtures for the tests of client and server together."""

from tests.support.fixtures import contexts, small_chunks

__all__ = ["contexts", "small_chunks"]
