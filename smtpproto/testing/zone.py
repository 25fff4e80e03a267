"""A resolver that answers from a table, for tests and simulations.

::

    zone = Zone(
        {
            "example.org": {Kind.MX: [MX(10, "mx.example.org"), MX(20, "backup.example.net")]},
            "mx.example.org": {Kind.A: ["192.0.2.1"], Kind.AAAA: ["2001:db8::1"]},
            "www.example.org": "example.org",  # an alias
            "example.com": {Kind.MX: [MX(0, "")]},  # a null MX
        }
    )
    zone.moods["example.org"] = Mood(Status.FAILED)
    zone.moods["mx.example.org", Kind.A] = Mood(delay=5)

A name with no entry does not exist, unless there is a name below it. What is not in the table can
be added at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from ..dns import Answer, Kind, Record, Status
from ..grammar.domain import to_a_labels
from ..ports import Runtime

__all__ = ["Mood", "Zone"]

_ALIASES = 16  # followed in one look-up; then they are a loop


@frozen
class Mood:
    """How a name, or one type of its records, behaves."""

    status: Status | None = None
    """The status of each answer, in place of what the table says: FAILED or BOGUS. None: as the
    table says."""
    delay: float = 0.0
    """Seconds before each answer. The zone needs a runtime to wait."""
    times: int | None = None
    """After how many answers the mood passes; None: never."""


_CALM = Mood()
Records = Mapping[Kind, Sequence[Record]] | str


def _as_asked(name: str) -> str:
    return to_a_labels(name).lower().removesuffix(".")


def _by_name(records: Mapping[str, Records]) -> dict[str, Records]:
    return {_as_asked(name): value for name, value in records.items()}


@define(eq=False)
class Zone:
    """Implements :class:`smtpproto.dns.Resolver`.

    *records* has, for each name, its records by type, or the name that it is an alias (CNAME) of.
    """

    records: dict[str, Records] = field(converter=_by_name, factory=dict)
    """Names are A-labels in lower case here; the constructor also takes U-labels."""
    runtime: Runtime | None = None
    """Waits for delays, for example a :class:`.Simulation`."""
    ttl: float = field(default=300.0, kw_only=True)
    """Of each answer, in seconds."""
    authentic: bool = field(default=False, kw_only=True)
    """Whether the answers were proved by DNSSEC."""
    insecure: set[str | tuple[str, Kind]] = field(factory=set, init=False)
    """Names, or names and types, whose answers are not proved although the others are."""
    moods: dict[str | tuple[str, Kind], Mood] = field(factory=dict, init=False)
    """By name, or by name and type."""
    asked: list[tuple[str, Kind]] = field(factory=list, init=False)
    """What was asked for, in order."""

    async def lookup(self, name: str, kind: Kind) -> Answer:
        """Return what the table and the moods say."""
        name = _as_asked(name)
        self.asked.append((name, kind))
        mood = self._mood(name, kind)
        if mood.delay:
            if self.runtime is None:
                raise ValueError("a zone with a delay needs a runtime: Zone(records, runtime)")
            await self.runtime.sleep(mood.delay)
        if mood.status is not None:
            return Answer(status=mood.status, detail=f"the zone's mood: {mood.status.value}")
        return self._answer(name, kind)

    def _mood(self, name: str, kind: Kind) -> Mood:
        key = (name, kind) if (name, kind) in self.moods else name
        mood = self.moods.get(key, _CALM)
        if mood.times is not None:
            if mood.times > 1:
                self.moods[key] = Mood(mood.status, mood.delay, mood.times - 1)
            else:
                del self.moods[key]
        return mood

    def _answer(self, name: str, kind: Kind) -> Answer:
        for end in self._aliases(name):
            found = self.records.get(end)
            if not isinstance(found, str):
                status, records = self._look_up(end, found, kind)
                return Answer(
                    status=status,
                    records=records,
                    ttl=self.ttl,
                    name="" if end == name else end,
                    authentic=self.authentic and not self.insecure & {name, end, (end, kind)},
                )
        return Answer(status=Status.FAILED, detail="too many aliases")

    def _aliases(self, name: str) -> Iterator[str]:
        for _ in range(_ALIASES):
            yield name
            found = self.records.get(name)
            if isinstance(found, str):
                name = _as_asked(found)

    def _look_up(
        self, name: str, found: Mapping[Kind, Sequence[Record]] | None, kind: Kind
    ) -> tuple[Status, tuple[Record, ...]]:
        if found is None:
            below = any(other.endswith("." + name) for other in self.records)
            return (Status.NO_DATA if below else Status.NO_NAME), ()
        records = tuple(found.get(kind, ()))
        return (Status.FOUND if records else Status.NO_DATA), records
