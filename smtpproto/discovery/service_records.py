"""In which order the hosts of a service are tried (RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from ..dns import SRV

__all__ = ["in_order"]

Random = Callable[[int], bytes]
"""Returns so many random octets."""


def in_order(records: Iterable[SRV], random: Random) -> list[SRV]:
    """Return *records* in the order in which a client tries them: the least priority first, and
    those of one priority by chance, each with the share of its weight (RFC 2782, "Usage rules").

    *random* returns random octets, for example :meth:`.Runtime.random`.
    """
    listed = list(records)
    priorities = sorted({it.priority for it in listed})
    return [
        record
        for priority in priorities
        for record in _by_weight([it for it in listed if it.priority == priority], random)
    ]


def _by_weight(left: list[SRV], random: Random) -> Iterator[SRV]:
    """Yield the records of one priority. Those without weight come first in the list, so that one
    of them is still chosen at times."""
    left = sorted(left, key=lambda it: it.weight > 0)
    while left:
        sums = list(accumulate(it.weight for it in left))
        drawn = int.from_bytes(random(8)) % (sums[-1] + 1)
        place = next(place for place, reached in enumerate(sums) if reached >= drawn)
        yield left.pop(place)
