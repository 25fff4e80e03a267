"""Errors of SQLite and of the system, as the queue raises them."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..errors import GrammarError, QueueFailed, QueueFull

__all__ = ["errors_of", "failure", "is_full", "is_of_disk", "make_private", "set_aside"]

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_DAMAGED = (
    "the disk; then put back a copy of the database, or save with sqlite3's command .recover what"
    " can be read"
)
_PERMISSIONS = "that this program may write the file, and others in its directory"
_CHECKS = {
    "SQLITE_CANTOPEN": _PERMISSIONS,
    "SQLITE_READONLY": _PERMISSIONS,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": "the path; if it is right, put back a copy of the database",
    "SQLITE_BUSY": "whether another program has the database open, and works on it for long",
}


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the system as QueueFailed or QueueFull. They name *path*."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise failure(error, path) from error


def failure(error: Exception, path: Path) -> Exception:
    """Return the error to raise for *error*; errors of other kinds are returned as they are."""
    if not is_of_disk(error):
        return error
    if is_full(error):
        return QueueFull(f"the disk of the queue {path} is full")
    check = _CHECKS.get("_".join(_name(error).split("_")[:2]), "")
    return QueueFailed(f"the queue {path} failed: {error}", check=check)


def set_aside(path: Path, error: Exception) -> None:
    """If *error* says that the database at *path*, or a value in it, is damaged, rename the file to
    end in ``.damaged``."""
    # Subclasses of DatabaseError are about other things: a lock, or a full disk.
    if type(error) is sqlite3.DatabaseError or isinstance(error, GrammarError):
        with contextlib.suppress(OSError):
            path.replace(f"{path}.damaged")


def make_private(path: Path) -> None:
    """Make an empty file at *path*, if none is there, which only this user may read: SQLite would
    let all users read it."""
    with contextlib.suppress(OSError):  # SQLite says what is wrong
        path.touch(mode=0o600)


def is_of_disk(error: Exception) -> bool:
    """Return whether SQLite or the system raised *error*."""
    return isinstance(error, sqlite3.Error | OSError)


def is_full(error: Exception) -> bool:
    """Return whether *error* says that there is no room on the disk."""
    full = isinstance(error, OSError) and error.errno in _FULL
    return full or _name(error) == "SQLITE_FULL"


def _name(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", ""))
