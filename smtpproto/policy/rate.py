"""How much of something may happen: in a time (a token bucket), and at once. Pure functions.

::

    demand = Demand({"user:ann": Limit.parse("100/h burst 20")})
    grant = await store.update(demand.keys, demand, runtime)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from attrs import Factory, field, frozen
from attrs.validators import ge, gt, optional

from ..option_types import checked
from .state_store import Record, State

__all__ = ["Demand", "Grant", "Limit", "Rate", "Release", "Renewal"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([0-9]{1,9}) ?/ ?([0-9]{0,6})([smhd])(?: burst ([0-9]{1,9}))?")
_AT_ONCE = re.compile(r"([0-9]{1,9}) at once")
_ROUNDING = 1e-6  # of a token: sums of times and shares are not exact
_BUSY = 2.0  # seconds after which to ask again for what may happen at once


@checked
@frozen
class Rate:
    """At most *count* in *seconds* on average, and at most *burst* in a short time.

    That is a bucket of *burst* tokens, full at first, to which *count* are added in *seconds*. So
    in any time t at most ``burst + count / seconds * t`` are taken.
    """

    count: int = field(validator=ge(1))
    seconds: float = field(validator=gt(0))
    burst: int = field(default=Factory(lambda self: self.count, takes_self=True), validator=ge(1))
    """By default *count*."""

    def left(self, state: State, now: float) -> float:
        """Return how many tokens are in the bucket. *state* has those that were taken, and when.

        If the clock was put back, none were added since."""
        if not state:
            return self.burst
        used, at = state
        return self.burst - max(used - max(now - at, 0.0) * self.count / self.seconds, 0.0)

    def take(self, left: float, number: int, now: float) -> Record:
        """Return what is to be kept when *number* of the tokens that are *left* are taken."""
        used = self.burst - left + number
        return Record((used, now), now + used * self.seconds / self.count)

    def put_back(self, state: State, number: float, taken: float, now: float) -> Record:
        """Return what is to be kept when *number* tokens return that were *taken* then. What the
        bucket has got meanwhile in their place does not."""
        number = max(number - max(now - taken, 0.0) * self.count / self.seconds, 0.0)
        return self.take(min(self.left(state, now) + number, self.burst), 0, now)

    def wait(self, left: float) -> float:
        """Return the seconds until there is a token, if as many as *left* are there."""
        return max(1 - left, 0.0) * self.seconds / self.count


@checked
@frozen(kw_only=True)
class Limit:
    """A bound on how often something happens, how often it goes on at the same time, or both."""

    rate: Rate | None = None
    at_once: int | None = field(default=None, validator=optional(ge(1)))

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read ``100/h``, ``100/h burst 20``, ``3/10m``, ``5 at once``, or a rate, a comma and a
        number at once. Units are s, m, h and d. Raises ValueError."""
        rate, at_once = None, None
        for part in text.split(","):
            words = " ".join(part.split())
            if (found := _RATE.fullmatch(words)) is not None and rate is None:
                count, times, unit, burst = found.groups()
                seconds = int(times or 1) * _UNITS[unit]
                rate = Rate(int(count), seconds, int(burst or count))
            elif (found := _AT_ONCE.fullmatch(words)) is not None and at_once is None:
                at_once = int(found[1])
            else:
                example = '"100/h", "100/h burst 20", "5 at once", or "100/h, 5 at once"'
                raise ValueError(f"not a limit: {text!r}; write it as {example}")
        return cls(rate=rate, at_once=at_once)


@frozen
class Grant:
    """What came of a :class:`Demand`."""

    number: int
    """How many were granted: all, or the most that each limit allows."""
    waits: Mapping[str, float] = field(factory=dict)
    """The limits that did not allow all, by name, and after how many seconds one more is allowed,
    if nobody else takes it."""
    at: float = 0.0
    """When, by the clock of the store."""


@frozen
class Demand:
    """Takes *number* from each of *limits*, or fewer, but the same from all: a change of a
    :class:`.StateStore` with :attr:`keys`."""

    limits: Mapping[str, Limit]
    """By name: what is limited, and a colon, and whose it is, for example ``user:ann``."""
    number: int = 1
    id: float = 0.0
    """What nothing else has that goes on at the same time."""
    heartbeat: float = 60.0
    """Seconds after which what goes on counts as ended, because its process may have died, unless
    :class:`Renewal` says before that it does not."""

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the states that this looks at."""
        return [f"rate:{name}" for name, _ in self.rates] + self.open_keys

    @property
    def open_keys(self) -> list[str]:
        """The keys of what goes on at once."""
        return [f"live:{name}" for name, it in self.limits.items() if it.at_once is not None]

    @property
    def rates(self) -> Sequence[tuple[str, Rate]]:
        """The rates of the limits, with their names."""
        return [(name, it.rate) for name, it in self.limits.items() if it.rate is not None]

    def __call__(
        self, states: Sequence[State], now: float
    ) -> tuple[Grant, Sequence[Record | None]]:
        """Return the grant, and what is to be kept."""
        rates = self.rates
        left = [rate.left(state, now) for (_, rate), state in zip(rates, states, strict=False)]
        live = [_live(state, now) for state in states[len(rates) :]]
        waits = dict.fromkeys(self._full(live), _BUSY)
        number = 0 if waits else int(min([*left, self.number]) + _ROUNDING)
        for (name, rate), tokens in zip(rates, left, strict=True):
            if tokens + _ROUNDING < self.number:
                waits[name] = max(rate.wait(tokens - number), waits.get(name, 0.0))
        if not number:
            return Grant(0, waits), [None] * len(states)
        kept = [rate.take(each, number, now) for (_, rate), each in zip(rates, left, strict=True)]
        kept += [_record({**each, self.id: now + self.heartbeat}) for each in live]
        return Grant(number, waits, now), kept

    def _full(self, live: Sequence[Mapping[float, float]]) -> Sequence[str]:
        """Return the limits of which as much goes on as may."""
        most = [(name, it.at_once) for name, it in self.limits.items() if it.at_once is not None]
        return [name for (name, each), now in zip(most, live, strict=True) if len(now) >= each]


@frozen
class Release:
    """Ends what was granted at once, if it was, and returns tokens that were not needed: a change
    of a :class:`.StateStore` with :attr:`keys`."""

    demand: Demand
    grant: Grant = field(factory=lambda: Grant(0))
    """What came of it; needed to return tokens only."""
    unused: int = 0
    """The tokens to return."""

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the states that this looks at."""
        rates = self.demand.rates if self.unused else ()
        return [f"rate:{name}" for name, _ in rates] + self.demand.open_keys

    def __call__(self, states: Sequence[State], now: float) -> tuple[None, Sequence[Record | None]]:
        """Return what is to be kept."""
        rates = [rate for _, rate in self.demand.rates] if self.unused else []
        kept: list[Record | None] = [
            rate.put_back(state, self.unused, self.grant.at, now)
            for rate, state in zip(rates, states, strict=False)
        ]
        return None, kept + [_without(it, self.demand.id) for it in states[len(rates) :]]


@frozen
class Renewal:
    """Says that what was granted at once goes on: a change of a :class:`.StateStore` with
    :attr:`keys`. What the store has forgotten is put into it again."""

    held: Mapping[float, Collection[str]]
    """The keys in which a process has a part, by the id of its :class:`Demand`. What has ended
    meanwhile may be taken out until the store calls this."""
    heartbeat: float = 60.0
    """As in :class:`Demand`."""
    keys: Sequence[str] = field(init=False)
    """The keys of the states that this looks at."""

    def __attrs_post_init__(self) -> None:
        keys = dict.fromkeys(chain.from_iterable([*self.held.values()]))
        object.__setattr__(self, "keys", [*keys])  # it is frozen

    def __call__(self, states: Sequence[State], now: float) -> tuple[None, Sequence[Record]]:
        """Return what is to be kept."""
        live = {key: _live(state, now) for key, state in zip(self.keys, states, strict=True)}
        for number, keys in [*self.held.items()]:
            for key in live.keys() & keys:
                live[key][number] = now + self.heartbeat
        return None, [_record(each) for each in live.values()]


def _live(state: State, now: float) -> dict[float, float]:
    """Return what goes on, with the time at which it counts as ended."""
    ends = zip(state[::2], state[1::2], strict=True)
    return {number: end for number, end in ends if end > now}


def _record(live: Mapping[float, float]) -> Record:
    return Record((*chain.from_iterable(live.items()),), max(live.values(), default=0.0))


def _without(state: State, number: float) -> Record | None:
    live = _live(state, 0.0)
    return None if live.pop(number, None) is None else _record(live)
