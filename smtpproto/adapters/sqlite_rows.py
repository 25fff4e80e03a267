"""Where an SQLite queue has the contents of messages."""

from __future__ import annotations

import zlib

from attrs import frozen


@frozen
class Place:
    """Where a content is: in a segment from *start*, or in the row *octets*."""

    crc: int
    octets: bytes | None = None
    segment: int | None = None
    start: int | None = None


def in_row(octets: bytes) -> Place:
    """Return the place of a content that is kept in the database."""
    return Place(zlib.crc32(octets), octets)
