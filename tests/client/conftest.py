"""The fixtures of the client's tests."""

from tests.support.fixtures import contexts, small_chunks

__all__ = ["contexts", "small_chunks"]
