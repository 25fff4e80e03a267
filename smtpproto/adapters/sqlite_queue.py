"""The queue in an SQLite database: durable, for one process, without further programs.

::

    queue = SQLiteQueue("/var/spool/mail/queue.db")
    await queue.open(runtime)

Three things lie side by side: the database, a directory ``queue.db.bodies`` with the contents of
large messages, and the lock ``queue.db.lock``. A copy of a queue that is not in use needs the first
two. Put them on a local disk: SQLite's log does not work over a network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import QueueFull
from ..mta.queue_limits import QueueLimits
from ..mta.store import Body, Queued
from ..ports import Runtime
from .durable_queue import DurableQueue, OpenQueue
from .segments import Segments
from .sqlite_body import SQLiteBody
from .sqlite_errors import errors_of
from .sqlite_rows import Place, in_row
from .sqlite_schema import directory_of, lock
from .sqlite_tables import Tables
from .sqlite_writer import Reader, Writer

__all__ = ["SQLiteQueue"]


class SQLiteQueue(DurableQueue[Tables]):
    """Implements :class:`.QueueStore`, for one process. *path* is that of the database, which is
    created."""

    def __init__(self, path: str | os.PathLike[str], limits: QueueLimits | None = None) -> None:
        super().__init__(limits)
        self._path = Path(path).absolute()

    def _start(self, runtime: Runtime) -> OpenQueue[Tables]:
        return _Open(self._path, runtime, self._limits)

    def _new_body(self, it: OpenQueue[Tables]) -> Body:
        assert isinstance(it, _Open)
        return SQLiteBody(it.runtime, it.segments, self._limits.spool, self._check_space)

    async def _finish(self, content: Body) -> bytes | Place:
        if not isinstance(content, SQLiteBody):
            raise TypeError("the content must be octets, or the body() of this queue")
        return await content.finish()

    def _add(self, tables: Tables, queued: Queued, content: bytes | Place) -> None:
        tables.put(queued, self._place(tables.files, content))

    def _place(self, segments: Segments, content: bytes | Place) -> Place:
        """Return where *content* is, or is put now."""
        if isinstance(content, Place):
            return content
        if len(content) <= self._limits.row:
            return in_row(content)
        segment, start = segments.append(content)
        return Place(zlib.crc32(content), segment=segment, start=start)

    def _remove(self, it: OpenQueue[Tables], contents: Sequence[bytes | Place]) -> None:
        """Delete the files of *contents*. If the database could not be opened again, it is not
        certain that they have not entered the queue, and left to the next start."""
        assert isinstance(it, _Open)
        for content in contents:
            if isinstance(content, Place) and content.segment is not None and it.writer.tables:
                it.segments.remove(content.segment)

    def _check_space(self, size: int) -> None:
        """Raise QueueFull if *size* octets would use the reserve of the disk."""
        free = shutil.disk_usage(self._path.parent).free
        if free - size < self._limits.reserve:
            raise QueueFull(
                f"the disk of the queue {self._path} has {free} octets left, of which "
                f"{self._limits.reserve} are kept free"
            )


class _Open(OpenQueue[Tables]):
    """A queue that is open: its lock, its files, its connections."""

    def __init__(self, path: Path, runtime: Runtime, limits: QueueLimits) -> None:
        self.segments = Segments(directory_of(path))
        with errors_of(path), contextlib.ExitStack() as opened:
            opened.enter_context(lock(path.with_name(path.name + ".lock")))
            writer = Writer(path, self.segments)
            writer.start()
            opened.callback(writer.stop)
            reader = Reader(path, self.segments)
            opened.callback(reader.close)
            super().__init__(runtime, limits.cache, writer, reader.read, opened.pop_all().close)
