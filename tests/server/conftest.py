"""Fixtures for the tests of the server."""

from tests.support.fixtures import contexts, small_chunks

__all__ = ["contexts", "small_chunks"]
