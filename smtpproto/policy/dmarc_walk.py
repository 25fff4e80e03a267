"""The DMARC records of a domain and those above it: the tree walk (RFC 9989 4.10)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from attrs import define, field, frozen

from ..dns import Kind, Resolver, Status
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from .dmarc_record import DMARCRecord
from .spf_evaluation import is_name
from .spf_trace import Lookup

__all__ = ["DMARCStep"]

_QUERIES = 8  # of one walk
_KEPT, _KEPT_OCTETS = 256, 4096  # records that were read, if they are not longer

_parse = lru_cache(_KEPT)(DMARCRecord.parse)


@frozen
class DMARCStep:
    """A question of the walk, with what it has found. ``str()`` tells it."""

    domain: str
    """The domain whose record was asked for; "" for other questions."""
    lookup: Lookup
    record: DMARCRecord | None = None
    """The record of the domain; None if it has none, or several."""
    number: int = 0
    """How many DMARC records it has. With more than one, none counts."""

    def __str__(self) -> str:
        several = f"  ({self.number} records: none counts)" if self.number > 1 else ""
        return f"{self.lookup}{several}"


class Unanswered(Exception):
    """The DNS did not answer a question that a check needs."""

    def __init__(self, lookup: Lookup) -> None:
        detail = f": {printable(lookup.answer.detail[:200])}" if lookup.answer.detail else ""
        status = lookup.answer.status.value
        super().__init__(f"no answer of the DNS for {printable(lookup.name)}: {status}{detail}")


@define
class Walk:
    """What the walk from a domain has found."""

    start: str
    found: list[tuple[str, DMARCRecord]] = field(factory=list)
    """The records with their domains, from the longest to the shortest."""
    listed: str = ""
    """The domain of the organization by a list of public suffixes; "" if there is no list."""

    @property
    def organizational_domain(self) -> str:
        """The domain of the organization to which the start belongs (RFC 9989 4.10.2)."""
        if self.listed:
            return self.listed
        for domain, record in self.found:
            if record.public_suffix is False:
                return domain
            if record.public_suffix:  # one label below it; the start itself has none below
                labels = self.start.split(".")
                return ".".join(labels[-1 - len(domain.split(".")) :])
        return self.found[-1][0] if self.found else self.start

    @property
    def policy_record(self) -> tuple[str, DMARCRecord] | None:
        """The record that applies to mail from the start, with its domain: that of the start
        itself, of the organizational domain, or of the public suffix (RFC 9989 4.10.1)."""
        records = dict(self.found)
        public_suffix = next((it for it, record in self.found if record.public_suffix), "")
        for domain in (self.start, self.organizational_domain, public_suffix):
            if domain in records:
                return domain, records[domain]
        return None


def walked_names(domain: str) -> list[str]:
    """Return the names of a walk from *domain*: itself, then those above it, of which the first has
    seven labels at most (RFC 9989 4.10)."""
    labels = domain.split(".")
    first = max(1, len(labels) - (_QUERIES - 1))
    return [domain, *(".".join(labels[it:]) for it in range(first, len(labels)))]


@define(eq=False)
class Walker:
    """Walks for one check, and asks each question once. Its methods raise :class:`Unanswered`."""

    resolver: Resolver
    steps: dict[tuple[str, Kind], DMARCStep] = field(factory=dict)
    """By the name that was asked for, in order."""
    suffix_list: Callable[[str], str] | None = None
    """Finds the domain of an organization by a list of public suffixes (RFC 7489 3.2)."""

    async def walk(self, domain: str) -> Walk:
        """Walk from *domain* up, to the first record that says what it is the record of. With a
        list, only *domain* and its organization are asked for (RFC 7489 6.6.3)."""
        walk = Walk(domain, listed=self.suffix_list(domain) if self.suffix_list else "")
        names = dict.fromkeys([domain, walk.listed]) if walk.listed else walked_names(domain)
        for name in names:
            record = await self.record(name)
            if record is not None:
                walk.found.append((name, record))
                if walk.listed or record.public_suffix is not None:
                    break
        return walk

    async def organization(self, domain: str) -> str:
        """Return the domain of the organization to which *domain* belongs."""
        if self.suffix_list:
            return self.suffix_list(domain)
        return (await self.walk(domain)).organizational_domain

    async def record(self, domain: str) -> DMARCRecord | None:
        """Return the record of *domain* itself; None if it has none, or several."""
        name = f"_dmarc.{domain}"
        return (await self._ask(name, Kind.TXT, domain)).record if is_name(name) else None

    async def exists(self, domain: str) -> bool:
        """Return whether *domain* exists (RFC 9989 3.2.13)."""
        step = await self._ask(domain, Kind.A)
        return step.lookup.answer.status is not Status.NO_NAME

    async def _ask(self, name: str, kind: Kind, domain: str = "") -> DMARCStep:
        step = self.steps.get((name, kind))
        if step is None:
            lookup = Lookup(name, kind, await self.resolver.lookup(name, kind))
            records = read_records(lookup.answer.octets) if domain else []
            record = records[0] if len(records) == 1 else None
            step = self.steps[name, kind] = DMARCStep(domain, lookup, record, len(records))
        if not step.lookup.answer.known:
            raise Unanswered(step.lookup)
        return step


def read_records(octets: tuple[bytes, ...]) -> list[DMARCRecord]:
    """Return those of the TXT records *octets* that are DMARC records."""
    found = []
    for it in octets:
        try:
            found.append((_parse if len(it) <= _KEPT_OCTETS else DMARCRecord.parse)(it))
        except GrammarError:
            continue
    return found
