"""Which delivery is next: a bounded set in memory, a window for each destination, fair turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import islice

from attrs import define, evolve, field, frozen

from ..limits import EXCLUDED_LANES, REMEMBERED_DESTINATIONS, ScheduleLimits
from .destination import APART, HOLD, Destination, Waiting
from .destination_stats import DestinationStats
from .queue import Attempt, Delivery, Message
from .window import Feedback, Window, feedback_of

__all__ = ["Excluded", "Feedback", "Job", "PutBack", "Schedule", "feedback_of"]

_RETURN = (5.0, 60.0)  # seconds after which the first delivery that was put back returns
_LATEST = 3600.0  # seconds by which any of them returns later than the first
_COSTLY = 262144  # octets that cost an origin as much as a transaction
_MOST = 100.0  # the highest cost, in transactions
_TOLD = 100  # destinations of which other processes are told


Excluded = tuple[str, str | None]
"""A destination, and an origin of messages; None is all of them."""


@frozen(kw_only=True)
class Job:
    """A message to send to recipients of one destination, in one transaction."""

    destination: str
    message: Message
    deliveries: tuple[Delivery, ...]


@frozen(kw_only=True)
class PutBack:
    """A delivery that returns to the store without an attempt."""

    destination: str
    message: Message
    delivery: Delivery
    due: float
    because: Attempt | None = None
    """The attempt, of any delivery, after which the destination was paused; None if it was not, or
    has answered since."""


@define(eq=False)
class Schedule:
    """The deliveries that a mail agent has claimed, and the order in which it works on them.

    ::

        for claim in await store.claim(now, schedule.claimable, ...):  # not of excluded()
            ...  # add() the deliveries of each destination; settle those that are put back
        while job := schedule.next_job(now):
            ...  # start a task that ends with done(); settle those that are put back

    *share* returns how much of a limit this process may use, of a destination.
    Destinations take turns; within one, the origins of messages do. All times are seconds since
    the epoch. An operation costs the same however many deliveries wait, in memory or in the store.
    """

    _limits: ScheduleLimits = field(factory=ScheduleLimits)
    _share: Callable[[int, str], int] = lambda limit, _: limit
    _destinations: dict[str, Destination] = field(factory=dict, init=False)
    _ready: OrderedDict[str, Destination] = field(factory=OrderedDict, init=False)
    _ready_suspects: OrderedDict[str, Destination] = field(factory=OrderedDict, init=False)
    _idle: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    _blocked: dict[str, Destination] = field(factory=dict, init=False)  # paused, or without room
    _recipients: int = field(default=0, init=False)  # that wait, or have a connection
    _busy: int = field(default=0, init=False)
    _suspects: int = field(default=0, init=False)  # jobs with destinations that failed last
    _suspect_turn: bool = field(default=False, init=False)
    _slow: dict[str, Destination] = field(factory=dict, init=False)  # for which some wait
    _look: float = field(default=0.0, init=False)  # when the first of these is so no more

    @property
    def room(self) -> int:
        """How many more deliveries may be added."""
        return self._limits.active - self._recipients

    @property
    def claimable(self) -> int:
        """How many to claim at once: they fit, even if all have the same origin."""
        if not self._limits.connections:
            return 0
        return min(self.room, max(self._limits.active_per_destination // 4, 1))

    @property
    def busy(self) -> int:
        """How many jobs were handed out, and are not done."""
        return self._busy

    def look_at_shares(self, now: float) -> None:
        """Keep to the present share of each limit; jobs beyond it may end."""
        for found in [*self._destinations.values()]:
            if found.recipients:
                self._place(found, now)

    def is_shut(self, destination: str) -> bool:
        """Return whether other processes have all transactions that *destination* may have. Threads
        may call this."""
        return self._share(self._limits.largest_window, destination) <= 0

    def use(self, limits: ScheduleLimits, now: float) -> None:
        """Keep to *limits* from now on; jobs beyond them may end."""
        self._limits = limits
        for found in [*self._destinations.values()]:
            found.window.use(limits)
            self._place(found, now)

    def excluded(self, now: float) -> Collection[Excluded]:
        """Return destinations that take no more deliveries *now*, at most 1,000: each with the
        origin of which it has enough, or None for all origins.

        The store passes over their domains, unless the destination depends on the sender: then
        :meth:`add` puts deliveries back.
        """
        return [*islice(self._lanes(now), EXCLUDED_LANES)]

    def _lanes(self, now: float) -> Iterator[Excluded]:
        for found in self._closed(now):
            if found.full or found.window.is_shut or found.is_closed(now):
                yield found.name, None
            else:
                yield from ((found.name, origin) for origin in found.big)

    def next_wake(self, now: float) -> float | None:
        """Return when the first of :meth:`excluded` is tried again; None if no pause ends."""
        ends = [destination.quiet_until(now) for destination in self._closed(now)]
        ends += [self._look] if self._slow else []
        return min((end for end in ends if end is not None), default=None)

    def trouble(self, destination: str, now: float) -> tuple[Attempt | None, float] | None:
        """Return the attempt after which *destination* was paused, and when the pause ends; None
        if it is not paused *now*."""
        found = self._destinations.get(destination)
        until = None if found is None else found.window.paused_until(now)
        return None if found is None or until is None else (found.trouble, until)

    def stats(self, destination: str, now: float) -> DestinationStats:
        """Return how *destination* is doing *now*."""
        return (self._destinations.get(destination) or self._new(destination)).stats(now)

    def known(self, now: float) -> Mapping[str, DestinationStats]:
        """Return how 100 destinations are doing *now*: those that failed, and the busiest."""

        def weight(it: Destination) -> tuple[bool, int, int]:
            return it.window.on_probation, it.window.busy, it.recipients

        busy = (it for it in self._destinations.values() if any(weight(it)))
        return {it.name: it.stats(now) for it in nlargest(_TOLD, busy, weight)}

    def add(
        self, destination: str, message: Message, deliveries: Sequence[Delivery], now: float
    ) -> list[PutBack]:
        """Add claimed *deliveries* of *message*, all to *destination*; return those to put back,
        because the destination is paused or has no room."""
        found = self._destination(destination)
        refused = []
        for delivery in deliveries:
            if self._has_room(found, message.origin, now):
                self._take(found, message, delivery)
            else:
                refused.append(self._put_back(found, message, delivery, now))
        self._place(found, now)
        return refused

    def next_job(self, now: float) -> Job | None:
        """Return the next job; None if nothing can be done before a job is :meth:`done`, or more
        deliveries are added."""
        if self._slow:
            self._hurry(now)
        ring = self._next_ring()
        if ring is None:
            return None
        name = next(iter(ring))
        found = ring[name]
        job = self._take_job(found)
        found.window.begin()
        self._busy += 1
        self._place(found, now)
        if name in ring:
            ring.move_to_end(name)
        return job

    def done(
        self, job: Job, feedback: Feedback, now: float, because: Attempt | None = None
    ) -> list[PutBack]:
        """Take note that *job* has ended; return deliveries to put back, because its destination
        is paused now. *because* is the attempt of the job, kept if it failed."""
        found = self._destinations[job.destination]
        if feedback is Feedback.ANSWERED:
            found.trouble = None
            found.put_back = 0 if found.window.on_probation else found.put_back
            found.measure(len(job.deliveries), now)
        elif feedback is Feedback.FAILED:
            found.trouble = because
        found.window.end(feedback, now)
        self._busy -= 1
        self._recipients -= len(job.deliveries)
        if found.slow_until and found.quiet_until(now) is None:
            found.slow_until = 0.0
        refused = self._empty(found, now) if found.is_closed(now) else []
        self._place(found, now)
        return refused

    def slow_down(
        self, job: Job, postponed: Sequence[Delivery], until: float, pace: float, because: Attempt
    ) -> list[PutBack]:
        """Begin no job of the destination of *job*, which is done, until a time: a limit of this
        server says so, which lets through a recipient in *pace* seconds. *postponed* were not
        tried. Return deliveries to put back; others wait here, if it is not for long. *because*
        tells of the limit. It is dated *now*.
        """
        now = because.at
        found = self._destination(job.destination)
        found.slow_until, found.slow_for, found.limit = until, until - now, because
        found.pace = max(found.pace, pace)
        refused = self._empty(found, now) if found.is_closed(now) else []
        return refused + self.add(job.destination, job.message, postponed, now)

    def close(self, now: float) -> list[PutBack]:
        """Return all deliveries that wait, to put them back, due *now*. The schedule has none
        then but those of jobs that are not done."""
        refused = []
        for found in list(self._destinations.values()):
            refused += [evolve(it, due=now, because=None) for it in self._empty(found, now)]
            self._place(found, now)
        return refused

    def _destination(self, name: str) -> Destination:
        found = self._destinations.get(name)
        if found is None:
            found = self._destinations[name] = self._new(name)
        return found

    def _new(self, name: str) -> Destination:
        return Destination(name, Window(self._limits, lambda limit: self._share(limit, name)))

    def _has_room(self, found: Destination, origin: str, now: float) -> bool:
        """Return whether *found* may have one more delivery of *origin*.

        It may have as many as are free in all, and an origin three times as many as are free of
        them. So there is always something free for others.
        """
        most = self._most(found)
        return (
            not found.is_closed(now)
            and not found.window.is_shut
            and found.recipients < min(most, self.room)
            and found.by_origin[origin] < 3 * (most - found.recipients)
        )

    def _most(self, found: Destination) -> int:
        """Return how many deliveries to *found* may wait; if it is slow or on probation, one job
        is enough."""
        most, few = self._limits.active_per_destination, self._limits.recipients
        return min(most, few) if found.window.on_probation or found.slow_until else most

    def _take(self, found: Destination, message: Message, delivery: Delivery) -> None:
        waiting = found.waiting.get(message.id)
        if waiting is None:
            waiting = found.waiting[message.id] = Waiting(message, [])
            found.queue.add(
                waiting,
                origin=message.origin,
                priority=message.parameters.mt_priority or 0,
                due=delivery.due,
            )
        waiting.deliveries.append(delivery)
        self._count(found, message.origin, 1)
        self._recipients += 1

    def _take_job(self, found: Destination) -> Job:
        waiting = found.queue.first()
        message, most = waiting.message, self._limits.recipients
        taken, waiting.deliveries[:most] = tuple(waiting.deliveries[:most]), []
        cost = 1 + message.size / _COSTLY + len(taken) / most
        found.queue.charge(min(cost, _MOST), done=not waiting.deliveries)
        if not waiting.deliveries:
            del found.waiting[message.id]
        self._count(found, message.origin, -len(taken))
        return Job(destination=found.name, message=message, deliveries=taken)

    def _count(self, found: Destination, origin: str, more: int) -> None:
        """Count *more* deliveries of *origin* that wait."""
        found.recipients += more
        found.by_origin[origin] += more
        most, number = self._most(found), found.by_origin[origin]
        if number >= most / 2:
            found.big.add(origin)
        elif number <= most / 4:
            found.big.discard(origin)
        if not number:
            del found.by_origin[origin]

    def _empty(self, found: Destination, now: float) -> list[PutBack]:
        """Put back all that waits for *found*."""
        waiting = found.queue.clear()
        found.waiting.clear()
        self._recipients -= found.recipients
        found.recipients = 0
        found.by_origin.clear()
        found.big.clear()
        return [
            self._put_back(found, it.message, delivery, now)
            for it in waiting
            for delivery in it.deliveries
        ]

    def _put_back(
        self, found: Destination, message: Message, delivery: Delivery, now: float
    ) -> PutBack:
        due = found.quiet_until(now)
        limit = found.limit if found.slow_until else None
        because = found.trouble if found.window.on_probation else limit
        if due is None:
            due = now + self._until_room(found)
        due += min(found.put_back * max(found.pace, APART), _LATEST)
        found.put_back += 1
        return PutBack(
            destination=found.name, message=message, delivery=delivery, due=due, because=because
        )

    def _until_room(self, found: Destination) -> float:
        """Return the seconds until what waits for *found* will be gone, within bounds."""
        soonest, latest = _RETURN
        if found.window.on_probation:  # first its probe must end
            return min(self._limits.pause, latest)
        return min(max(found.recipients * found.pace, soonest), latest)

    def _next_ring(self) -> OrderedDict[str, Destination] | None:
        """Return the ring of destinations whose turn it is; None if no job can begin."""
        if self._busy >= self._limits.connections:
            return None
        most_suspects = (self._limits.connections + 1) // 2
        may_suspects = self._ready_suspects and self._suspects < most_suspects
        if may_suspects and (self._suspect_turn or not self._ready):
            self._suspect_turn = False
            return self._ready_suspects
        self._suspect_turn = True
        return self._ready or None

    def _place(self, found: Destination, now: float) -> None:
        """Put *found* where it belongs after a change."""
        name, window, quiet_until = found.name, found.window, found.quiet_until(now)
        ready = found.recipients > 0 and window.has_room(now) and quiet_until is None
        if found.slow_until and found.recipients and found.slow_until == quiet_until:
            self._look = min(self._look, found.slow_until) if self._slow else found.slow_until
            self._slow[name] = found
        elif self._slow:
            self._slow.pop(name, None)
        for ring, wanted in (
            (self._ready, ready and not window.suspect),
            (self._ready_suspects, ready and window.suspect),
        ):
            if wanted:
                ring.setdefault(name, found)
            else:
                ring.pop(name, None)
        suspects = window.busy if window.suspect else 0
        self._suspects += suspects - found.suspects
        found.suspects = suspects
        found.full = found.recipients > self._most(found) * (0.5 if found.full else 0.75)
        if self._is_closed(found, now):
            self._blocked[name] = found
        else:
            self._blocked.pop(name, None)
            if not found.recipients:
                found.put_back = 0
        self._remember(found)

    def _is_closed(self, found: Destination, now: float) -> bool:
        is_closed = found.full or bool(found.big) or found.window.is_shut
        return is_closed or found.quiet_until(now) is not None

    def _closed(self, now: float) -> Iterator[Destination]:
        """Yield destinations that do not take all deliveries *now*, at most 1,000."""
        for name, found in list(islice(self._blocked.items(), EXCLUDED_LANES)):
            if self._is_closed(found, now):
                yield found
            else:
                del self._blocked[name]

    def _hurry(self, now: float) -> None:
        """Let destinations begin jobs again that were slow."""
        self._look = min(self._look, now + HOLD)  # if the clock was put back
        if now >= self._look:
            slow, self._slow = self._slow, {}
            for found in slow.values():
                self._place(found, now)

    def _remember(self, found: Destination) -> None:
        """Forget *found* if there is nothing to know about it, and the longest idle destination if
        too many are remembered."""
        self._idle.pop(found.name, None)
        if found.recipients or found.window.busy:
            return
        if found.window.is_new and not found.slow_until:
            self._forget(found.name)
            return
        self._idle[found.name] = None
        if len(self._idle) > REMEMBERED_DESTINATIONS:
            self._forget(next(iter(self._idle)))

    def _forget(self, name: str) -> None:
        self._idle.pop(name, None)
        self._blocked.pop(name, None)
        self._slow.pop(name, None)
        del self._destinations[name]
