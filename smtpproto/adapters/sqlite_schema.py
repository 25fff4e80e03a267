"""The database of an SQLite queue: its tables, its versions, and the checks when it is opened."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from ..errors import ContentLost, QueueFailed
from .queue_rows import content_lost
from .segments import Segments, sync_directory

__all__ = ["connect", "directory_of", "find_broken", "lock", "void_leases"]

_APPLICATION = 0x736D7470  # "smtp", in the header of the file

# A delivery's key is its message's key times 2**20 plus its number: so they lie together, and
# messages and deliveries need no further index on each other. `left` and `fate` are null as long
# as they are in the queue. `lane` has, for each priority, domain and origin with deliveries that
# wait, a time that is not later than the earliest of them: a claim finds who is due without looking
# at the others.
_VERSIONS = [
    f"""
    PRAGMA application_id = {_APPLICATION};
    CREATE TABLE message (
        key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,
        sender_domain TEXT NOT NULL, priority INTEGER NOT NULL, size INTEGER NOT NULL,
        arrived REAL NOT NULL, not_before REAL NOT NULL, data TEXT NOT NULL,
        segment INTEGER, start INTEGER, crc INTEGER NOT NULL, left REAL);
    CREATE INDEX message_queued ON message (arrived, size) WHERE left IS NULL;
    CREATE INDEX message_left ON message (left) WHERE left IS NOT NULL;
    CREATE INDEX message_segment ON message (segment) WHERE segment IS NOT NULL AND left IS NULL;
    CREATE TABLE body (message INTEGER PRIMARY KEY, octets BLOB NOT NULL);
    CREATE TABLE delivery (
        key INTEGER PRIMARY KEY, priority INTEGER NOT NULL, domain TEXT NOT NULL,
        origin TEXT NOT NULL, address TEXT NOT NULL, state INTEGER NOT NULL, due REAL NOT NULL,
        attempts INTEGER NOT NULL, warned INTEGER NOT NULL, reason TEXT NOT NULL,
        recipient TEXT NOT NULL, log TEXT NOT NULL, fate TEXT, at REAL);
    CREATE INDEX delivery_waiting ON delivery (domain, origin, priority, due)
        WHERE state = 0 AND fate IS NULL;
    CREATE INDEX delivery_leased ON delivery (domain) WHERE state = 1 AND fate IS NULL;
    CREATE INDEX delivery_held ON delivery (domain) WHERE state = 2 AND fate IS NULL;
    CREATE TABLE lane (
        priority INTEGER, domain TEXT, origin TEXT, due REAL NOT NULL,
        PRIMARY KEY (priority, domain, origin)
    ) WITHOUT ROWID;
    CREATE INDEX lane_due ON lane (priority, due);
    CREATE TABLE post (
        owner INTEGER PRIMARY KEY, at REAL NOT NULL, destinations TEXT NOT NULL);
    """,
]


def directory_of(path: Path) -> Path:
    """Return the directory of the large contents of the queue at *path*."""
    return path.with_name(path.name + ".bodies")


def lock(path: Path) -> IO[bytes]:
    """Return a file that this process alone has open, until it closes it. Raises QueueFailed if
    another has."""
    file = open(path, "ab")  # noqa: SIM115 - it stays open
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        check = "that only one process works on the queue"
        raise QueueFailed(
            f"another process uses the queue, and has locked {path}", check=check
        ) from error
    return file


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Return a connection to the queue's database at *path*, set as the queue needs it. To
    *create* is to make the tables, too, or to bring them to the present version. Raises
    QueueFailed if the database is not ours, or of another version."""
    if create and not path.exists():
        _check_nothing_is_left(path)
        path.touch(mode=0o600)
        sync_directory(path.parent)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text
    try:
        version = _version(connection, path)
        if version < len(_VERSIONS) and not create:
            check = "that the MTA of this version has opened it once"
            raise QueueFailed(f"the queue {path} is of an older version", check=check)
        _set_up(connection, path)
        for number, script in enumerate(_VERSIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_nothing_is_left(path: Path) -> None:
    """Raise QueueFailed if parts of a queue without a database are at *path*: a new database would
    not need them, and they would be deleted."""
    log, directory = path.with_name(path.name + "-wal"), directory_of(path)
    for it in [log, *(directory.iterdir() if directory.exists() else ())]:
        if it.exists() and it.stat().st_size:
            check = "that nobody has moved the database; if it is lost, move the rest away, too"
            raise QueueFailed(f"there is no database {path}, but {it} is left of it", check=check)


def _text(octets: bytes) -> str:
    """Return the text in a column. Octets that are not UTF-8 are damage, which the readers of the
    text refuse: it must not look like a failure of the whole database."""
    return octets.decode(errors="surrogateescape")


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Set what is not the default. It comes after the check that the database is ours: this changes
    the file."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        check = "that the path is on a local disk"
        raise QueueFailed(f"the queue {path} cannot have a log (WAL) there", check=check)
    connection.executescript(
        """PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
        PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 4000;
        PRAGMA journal_size_limit = 67108864;"""
    )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the database; 0 if it is empty. Raises QueueFailed."""
    version: int
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION if version else tables:
        raise QueueFailed(
            f"{path} is a database, but not a queue", check="the path of the queue's database"
        )
    if version > len(_VERSIONS):
        raise QueueFailed(
            f"the queue {path} has version {version}, and this program knows {len(_VERSIONS)}",
            check="whether a newer version of this library has written it",
        )
    return version


def void_leases(connection: sqlite3.Connection, known: Collection[tuple[str, int]]) -> None:
    """Let the leased deliveries wait that are not *known*, by message and number."""
    leased = connection.execute(
        """SELECT delivery.key, id, delivery.key & 0xFFFFF FROM delivery
        LEFT JOIN message ON message.key = delivery.key >> 20 WHERE state = 1 AND fate IS NULL"""
    )
    void = [(key,) for key, *place in leased.fetchall() if tuple(place) not in known]
    if void:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE delivery SET state = 0 WHERE key = ?", void)
        find_lanes(connection)
        connection.execute("COMMIT")


def find_lanes(connection: sqlite3.Connection) -> None:
    """Write the table of lanes anew, from the deliveries that wait."""
    connection.execute("DELETE FROM lane")
    connection.execute(
        """INSERT INTO lane SELECT priority, domain, origin, min(due) FROM delivery
        WHERE state = 0 AND fate IS NULL GROUP BY domain, origin, priority"""
    )


def find_broken(
    connection: sqlite3.Connection, segments: Segments
) -> Iterator[tuple[int, ContentLost]]:
    """Yield the keys of messages in the queue whose content is missing, with the error."""
    lost = connection.execute(
        """SELECT key, id FROM message WHERE left IS NULL AND segment IS NULL
        AND NOT EXISTS (SELECT 1 FROM body WHERE message = message.key)"""
    )
    for key, name in lost.fetchall():
        yield key, content_lost(name)
    needed = connection.execute(
        """SELECT segment, max(start + size) FROM message
        WHERE segment IS NOT NULL AND left IS NULL GROUP BY segment"""
    ).fetchall()
    for segment, end in needed:
        if (size := segments.size(segment)) < end:
            cut = connection.execute(
                """SELECT key, id FROM message WHERE segment = ? AND left IS NULL
                AND start + size > ?""",
                (segment, size),
            )
            for key, name in cut.fetchall():
                yield key, content_lost(name, segments.path(segment))
