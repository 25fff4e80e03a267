"""What the library logs instead of raising it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextlib.contextmanager
def failing_on_logged_errors() -> Iterator[None]:
    """Raise AssertionError if the library logs an error: a conversation logs its own faults."""
    logger, records = logging.getLogger("smtpproto"), _Records()
    logger.addHandler(records)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(records)
        logger.propagate = propagate
    assert not records.texts, "\n".join(records.texts)
