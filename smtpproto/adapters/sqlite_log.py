"""What is damaged in SQLite's log of changes that are not in the database yet.

SQLite reads the log up to the first frame that is not whole, and does not tell what follows. After
a power loss that is what had not been confirmed yet; on a damaged disk it may be more.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["keep_damaged_log"]

# https://www.sqlite.org/fileformat.html#the_write_ahead_log: page size and salt; the size of the
# database after a commit, 0 in other frames, and the salt.
_HEADER, _FRAME = struct.Struct(">8xI4x8s8x"), struct.Struct(">4xI8s8x")

_log = logging.getLogger("smtpproto.queue")


def keep_damaged_log(database: Path, read: int) -> bool:
    """Keep a copy of the log, and log an error, if it has commits after the *read* frames that
    SQLite has found whole. Return whether it has."""
    path = database.with_name(database.name + "-wal")
    if not path.exists():
        return False
    with path.open("rb") as file:
        lost = sum(_commits(file, read))
    if lost:
        copy = path.with_name(path.name + ".damaged")
        shutil.copyfile(path, copy)
        _log.error(
            "%s is damaged after frame %d: %d commits in it cannot be read. After a power loss "
            "that is what was not confirmed yet; otherwise messages may be missing. Check the disk "
            "and the copy of the file, %s",
            path, read, lost, copy,
        )  # fmt: skip
    return lost > 0


def _commits(file: BinaryIO, skip: int) -> Iterator[bool]:
    """Yield for each frame after the first *skip* whether it ends a commit of this log."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return
    page_size, salt = _HEADER.unpack(header)
    file.seek(skip * (_FRAME.size + page_size), os.SEEK_CUR)
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        size, its_salt = _FRAME.unpack_from(frame)
        yield size != 0 and its_salt == salt
