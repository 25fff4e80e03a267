"""Limits that hold for several processes together."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

__all__ = ["share_of"]


def share_of(limit: int, what: str, member: int, members: Collection[int]) -> int:
    """Return the part of *limit* that *member* of *members* may use: 0 if it is none of them.

    The parts add up to *limit*. Whoever has one more than others, that differs for each *what*.
    Nobody's part grows if others join; so if some members know of one that joined, and others do
    not yet, they do not exceed the limit, as long as the new one waits for all.
    """
    if member not in members:
        return 0
    mine = _rank(what, member)
    before = sum(_rank(what, other) < mine for other in members)
    return max(-(-(limit - before) // len(members)), 0)


def _rank(what: str, member: int) -> bytes:
    return hashlib.blake2b(f"{member}/{what}".encode(), digest_size=16).digest()
