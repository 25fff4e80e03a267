"""Connections to the PostgreSQL database of a queue, and their errors as the queue raises them.

psycopg is an extra: ``pip install "smtpproto-sansio[postgres]"``.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

try:
    import psycopg
    from psycopg import adapt, conninfo, errors
    from psycopg.types.string import StrDumper, TextLoader
except ImportError as _error:
    raise ImportError(
        'a queue in PostgreSQL needs psycopg: pip install "smtpproto-sansio[postgres]"'
    ) from _error

from ..errors import QueueFailed, QueueFull

__all__ = ["Connection", "Database", "clock", "is_transient", "psycopg", "sql"]

Connection = psycopg.Connection[tuple[Any, ...]]

_DEFAULTS = {
    "application_name": "smtpproto",
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
RECONNECT = 10.0  # seconds without the database, after which calls fail at once
_PAUSE = 0.1  # seconds between attempts to connect
_LONGEST = 50  # characters of a name, with which others are made
_TRANSIENT = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_OTHERS = "that the schema has the tables of the queue, and no others"
_CHECKS = {
    errors.InsufficientPrivilege: "that the user may create tables in the schema",
    errors.ReadOnlySqlTransaction: "that the URL leads to the primary, and not to a standby, and "
    "that default_transaction_read_only is off",
    errors.UndefinedTable: _OTHERS,
    errors.UndefinedColumn: _OTHERS,
    errors.DuplicateTable: _OTHERS,
}


_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def clock() -> float:
    """Return the time of a clock that goes on while the process, or the machine, is paused."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


class Database:
    """Where a queue is: a database, and the *schema* in it that has its tables."""

    def __init__(self, url: str, schema: str, patience: float) -> None:
        given = _read_url(url)
        if not (schema.isascii() and schema.isidentifier() and len(schema) <= _LONGEST):
            raise ValueError(
                f"schema must be a name of at most {_LONGEST} letters, digits and underscores, "
                f"not {schema[:100]!r}"
            )
        self._options: dict[str, Any] = {**_DEFAULTS, **given}
        self.schema: str = schema
        self._patience = patience
        self._down: float | None = None  # since when it cannot be reached
        name = "/".join(str(given[part]) for part in ("host", "dbname") if given.get(part))
        self.name: str = f"postgresql://{name}"
        """What errors call it; without user and password."""
        self.channel: str = f"smtpproto_{schema}"
        """On which processes that sleep are notified."""

    def connect(self) -> Connection:
        """Return a new connection, in autocommit mode. Raises errors of psycopg."""
        connection: Connection = psycopg.connect(**self._options, autocommit=True)
        try:
            for name, value in {
                "search_path": f'"{self.schema}"',
                "idle_in_transaction_session_timeout": f"{self._patience * 1000:.0f}",
                "lock_timeout": "30s",
                "default_transaction_isolation": "read committed",
                "client_encoding": "UTF8",
            }.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
        except BaseException:
            connection.close()
            raise
        connection.adapters.register_dumper(str, _Dumper)
        connection.adapters.register_loader("text", _Loader)
        return connection

    def reconnect(self, stopped: Callable[[], bool] = bool) -> Connection:
        """Return a new connection, after another was lost. Waits for a database that is restarted,
        unless *stopped*; raises psycopg.OperationalError if it is away for long."""
        while True:
            try:
                connection = self.connect()
            except psycopg.OperationalError:
                self._down = self._down or clock()
                if stopped() or clock() - self._down > RECONNECT:
                    raise
                time.sleep(_PAUSE)
            else:
                self._down = None
                return connection

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise errors of PostgreSQL as QueueFailed or QueueFull."""
        try:
            yield
        except psycopg.Error as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> Exception:
        """Return the error to raise for *error*; errors of other kinds are returned as they are."""
        if not isinstance(error, psycopg.Error):
            return error
        if isinstance(error, errors.DiskFull):
            return QueueFull(f"the disk of the queue {self.name} is full")
        check = next((text for kind, text in _CHECKS.items() if isinstance(error, kind)), "")
        return QueueFailed(
            f"the queue {self.name} failed: {_told(error)}",
            check=check or "the URL, that the database runs, and its log",
        )


def _read_url(url: str) -> dict[str, Any]:
    """Return the parameters of *url*. Raises ValueError, whose text has no part of it, because that
    may be the password."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError):
        raise ValueError(
            "not the URL of a PostgreSQL database; pass, for example, postgresql://user@host/name"
        ) from None
    if "@" in f"{given.get('host')}{given.get('dbname')}":
        raise ValueError("in the URL, write %40 for @, and %2F for / in a user or password")
    return given


def is_transient(error: Exception) -> bool:
    """Return whether the same transaction may succeed if it is run again."""
    return isinstance(error, _TRANSIENT)


def _told(error: psycopg.Error) -> str:
    """Return what *error* says, but for details, which may be of the content of a row."""
    return " ".join((error.diag.message_primary or str(error)).split())


@functools.cache
def sql(statement: str) -> bytes:
    """Return *statement*, which has ``?`` for each value, as psycopg takes it."""
    return statement.replace("?", "%s").encode()


# PostgreSQL's texts have no NUL; it and the sign that stands for it are written as two characters.


class _Dumper(StrDumper):
    def dump(self, obj: str) -> adapt.Buffer | None:
        if "\0" in obj or "\x1a" in obj:
            obj = obj.replace("\x1a", "\x1a1").replace("\0", "\x1a0")
        return super().dump(obj)


class _Loader(TextLoader):
    def load(self, data: adapt.Buffer) -> str | bytes:
        text = super().load(data)
        assert isinstance(text, str)
        return text.replace("\x1a0", "\0").replace("\x1a1", "\x1a") if "\x1a" in text else text
