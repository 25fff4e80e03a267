"""The queue of an MTA, as users name it: a file, or a URL."""

from __future__ import annotations

from pathlib import Path

from ..adapters.queue_control import QueueControl
from ..adapters.sqlite_control import SQLiteControl
from ..adapters.sqlite_queue import SQLiteQueue
from ..adapters.sqlite_states import SQLiteStates
from ..delivery import ExitStatus
from ..mta.queue_limits import QueueLimits
from ..mta.store import QueueStore
from ..policy import StateStore
from .command_errors import CommandError, UsageError

__all__ = ["is_shared", "open_control", "open_states", "open_store"]


def is_shared(queue: str) -> bool:
    """Return whether *queue* is the URL of a queue for several processes. Raises UsageError for a
    URL of another kind."""
    scheme, is_url, _ = queue.partition("://")
    if is_url and scheme not in ("postgresql", "postgres"):
        raise UsageError("a queue is a file, or a URL that begins with postgresql://")
    return bool(is_url)


def open_store(queue: str, directory: Path, limits: QueueLimits) -> QueueStore:
    """Return the store of *queue*; the path of a file begins at *directory*. Raises ValueError and
    ImportError."""
    if not is_shared(queue):
        return SQLiteQueue(directory / queue, limits)
    from ..adapters.postgres_queue import PostgresQueue  # noqa: PLC0415 - it is an extra

    return PostgresQueue(queue, limits)


def open_states(queue: str, directory: Path) -> StateStore:
    """Return the store for the guards of an MTA with *queue*: in the same database, or in a file
    beside it. Raises ValueError and ImportError."""
    if not is_shared(queue):
        return SQLiteStates(directory / f"{queue}.guards")
    from ..adapters.postgres_states import PostgresStates  # noqa: PLC0415 - it is an extra

    return PostgresStates(queue)


def open_control(queue: str) -> QueueControl:
    """Open *queue*, to look into it and to change it. Raises CommandError and QueueFailed."""
    if not is_shared(queue):
        if not Path(queue).is_file():
            text = f"there is no queue at {Path(queue).absolute()}; check: --queue"
            raise CommandError(text, ExitStatus.NOINPUT)
        return SQLiteControl(queue)
    try:
        from ..adapters.postgres_control import PostgresControl  # noqa: PLC0415 - it is an extra

        return PostgresControl(queue)
    except ImportError as error:
        raise CommandError(str(error)) from None
    except ValueError as error:
        raise UsageError(f"{error}; check: --queue") from None
