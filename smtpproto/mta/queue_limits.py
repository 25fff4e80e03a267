"""Bounds of the queue's durable stores."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, le

from ..option_types import checked

__all__ = ["QueueLimits"]


@checked
@frozen(kw_only=True)
class QueueLimits:
    """Bounds on what a queue in a database holds in memory and on the disk. Sizes are in octets.
    :attr:`reserve` is for SQLite, :attr:`patience` for PostgreSQL."""

    remember: float = field(default=7 * 86400, validator=ge(0))
    """How many seconds a message is remembered after it has left the queue."""
    reserve: int = field(default=64 * 1024 * 1024, validator=ge(0))
    """The free space of the disk that messages must leave; without it the queue refuses them, which
    a server answers with 452. Reports, and what becomes of deliveries, may use it."""
    row: int = field(default=32 * 1024, validator=ge(0))
    """The largest content that is kept in the database. Larger ones are in files, many in each."""
    spool: int = field(default=1024 * 1024, validator=ge(0))
    """How much of a content that arrives in pieces is kept in memory; beyond that it goes to a file
    of its own."""
    cache: int = field(default=8 * 1024 * 1024, validator=ge(0))
    """How much of the contents in the database is kept in memory, too, because most mail is
    delivered soon after it has arrived."""
    patience: float = field(default=30, validator=[ge(1), le(86400)])
    """How many seconds a process that shares the queue may be silent, before the others take over
    the deliveries that it had claimed."""
