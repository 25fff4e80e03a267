"""A bound on what is asked of the DNS, whatever asks."""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import define, field

from ..dns import Answer, Kind, Resolver, Status
from ..limits import DNS_QUESTIONS

__all__ = ["Questions"]


@define(eq=False)
class Questions:
    """Asks a resolver each question once, not more than *most*, and none after the *end*, a time of
    *now*: blocking calls cannot be cancelled. It is a resolver itself."""

    resolver: Resolver
    most: int = DNS_QUESTIONS
    now: Callable[[], float] = field(default=float)
    end: float = math.inf
    _kept: dict[tuple[str, Kind], Answer] = field(factory=dict, init=False)

    async def lookup(self, name: str, kind: Kind) -> Answer:
        """Return the answer for *name*; FAILED if too much was asked, or the time is over."""
        key = (name, kind)
        if key not in self._kept:
            if len(self._kept) >= self.most:
                return Answer(status=Status.FAILED, detail=f"more than {self.most} questions")
            if self.now() >= self.end:
                return Answer(status=Status.FAILED, detail="the time is over")
            self._kept[key] = await self.resolver.lookup(name, kind)
        return self._kept[key]
