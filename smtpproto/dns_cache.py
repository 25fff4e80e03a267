"""Ring 1: a cache between what asks the DNS and the resolver that answers.

::

    resolver = CachingResolver(DNSResolver(), runtime)
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import define, evolve, field, frozen
from attrs.validators import ge, le

from .dns import MX, SRV, TLSA, Answer, Kind, Record, Resolver
from .option_types import checked
from .ports import Runtime, Semaphore

__all__ = ["CachingResolver", "DNSCacheLimits"]

_Question = tuple[str, Kind]


@checked
@frozen(kw_only=True)
class DNSCacheLimits:
    """How many answers a cache keeps, and for how many seconds at most."""

    answers: int = field(default=10_000, validator=ge(2))
    """The answers in the cache. It forgets those that were not asked for recently."""
    octets: int = field(default=16384, validator=ge(0))
    """The memory that the records of an answer may take; the cache keeps no larger answer."""
    longest: float = field(default=86400, validator=ge(0))
    """The time for answers with records, whatever their TTL."""
    longest_negative: float = field(default=3600, validator=ge(0))
    """The time for answers that say that there is no such name, or no such record. RFC 2308 5
    advises one to three hours."""
    failure: float = field(default=30, validator=[ge(0), le(300)])
    """The time for failures, at most five minutes (RFC 2308 7.1). Many messages to one domain then
    cost one question, and a short failure delays them only by seconds."""


def _octets(record: Record) -> int:
    """Return the memory of *record*, about."""
    match record:
        case MX():
            return 64 + len(record.exchange)
        case SRV():
            return 64 + len(record.target)
        case TLSA():
            return 64 + len(record.data)
        case _:
            return 64 + len(record)


class _Kept(NamedTuple):
    answer: Answer
    until: float


@define(eq=False)
class _Turn:
    """A question that is being asked. Who asks the same waits for its turn, and finds the answer
    here."""

    semaphore: Semaphore
    answer: Answer | None = None


@define(eq=False)
class CachingResolver:
    """Keeps answers for the time that the DNS allows. Implements :class:`smtpproto.dns.Resolver`.

    Tasks and threads may ask at the same time; a question that is being asked is not asked again.
    The time to live of a kept answer is what is left of it.
    """

    _resolver: Resolver
    _runtime: Runtime
    _limits: DNSCacheLimits = field(factory=DNSCacheLimits)
    # Two halves: when the recent one is full, it becomes the old one, which is forgotten. So no
    # thread has to look for the oldest answer while another changes the table.
    _recent: dict[_Question, _Kept] = field(factory=dict, init=False)
    _old: dict[_Question, _Kept] = field(factory=dict, init=False)
    _asking: dict[_Question, _Turn] = field(factory=dict, init=False)

    async def lookup(self, name: str, kind: Kind) -> Answer:
        """Return what is kept for *name*, or what the resolver answers."""
        question = name, kind
        kept = self._kept(question)
        if kept is not None:
            return kept
        turn = self._asking.setdefault(question, _Turn(self._runtime.semaphore(1)))
        await turn.semaphore.acquire()
        try:
            if turn.answer is None:
                turn.answer = await self._resolver.lookup(name, kind)
                self._keep(question, turn.answer)
            return turn.answer
        finally:
            self._asking.pop(question, None)
            turn.semaphore.release()

    def clear(self) -> None:
        """Forget all answers."""
        self._recent, self._old = {}, {}

    def _kept(self, question: _Question) -> Answer | None:
        kept = self._recent.get(question)
        if kept is None:
            kept = self._old.get(question)
            if kept is not None:
                self._add(question, kept)
        if kept is None or (left := kept.until - self._runtime.now()) <= 0:
            return None
        return evolve(kept.answer, ttl=left)

    def _keep(self, question: _Question, answer: Answer) -> None:
        seconds = self._seconds(answer)
        octets = sum(map(_octets, answer.records))
        if seconds > 0 and octets <= self._limits.octets:
            self._add(question, _Kept(answer, self._runtime.now() + seconds))

    def _seconds(self, answer: Answer) -> float:
        if not answer.known:
            return self._limits.failure
        longest = self._limits.longest if answer.records else self._limits.longest_negative
        return min(answer.ttl, longest)

    def _add(self, question: _Question, kept: _Kept) -> None:
        if len(self._recent) >= self._limits.answers // 2:
            self._old, self._recent = self._recent, {}
        self._recent[question] = kept
