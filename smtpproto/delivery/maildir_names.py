"""Names of files in a Maildir (https://cr.yp.to/proto/maildir.html)."""

from __future__ import annotations

import re

from ..grammar.pattern import pattern

__all__ = ["maildir_name", "size_in_name"]

_SIZE = pattern(r",S=([0-9]{1,18})(?=[,:]|$)", re.ASCII)


def maildir_name(now: int, *, process: int, count: int, random: bytes, host: str) -> str:
    """Return a name that no other delivery uses.

    *now* is in nanoseconds since the epoch, *count* differs for each delivery of the *process*, and
    *host* is the name of the machine.
    """
    seconds, microseconds = divmod(now // 1000, 1_000_000)
    host = host.replace("/", r"\057").replace(":", r"\072") or "localhost"
    return f"{seconds}.M{microseconds}P{process}Q{count}R{random.hex()}.{host}"


def size_in_name(name: str) -> int | None:
    """Return the octets that *name* says the file has (Maildir++); None if it does not say."""
    found = _SIZE.search(name)
    return None if found is None else int(found[1])
