"""The agent: it claims what is due, starts jobs, and writes what came of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from math import inf

from attrs import define, field

from ..errors import GrammarError, QueueFailed
from ..grammar.address import ForwardPath, ReversePath
from ..mta.bounce import Reporter
from ..mta.judge import Judge
from ..mta.queue import Attempt, Delivery, Message
from ..mta.route import Direct, Routes
from ..mta.schedule import Job, PutBack, Schedule
from ..mta.settlement import Done, Fate, Settlement
from ..mta.store import Claim, QueueStore, Selection
from ..ports import Event, Runtime, Tasks
from .jobs import Finished, Worker, by_route, without_route
from .outbox import Outbox
from .relay import Relay

__all__ = ["Agent"]

_log = logging.getLogger("smtpproto.queue")

_CLAIMED = 500  # deliveries at once
_CLAIMED_EACH = 100  # of one domain, so that the others have their turn
_TROUBLE = (1.0, 60.0)  # seconds to wait after a failure of the store, at first and at most
_AGAIN = 0.05  # seconds after which the store is asked again at the earliest, if it had nothing
_PUT_BACK = 60.0  # seconds by which the clock is put back that matter
_IDLE = 10.0  # seconds between looks for connections that are not used
_NOBODY = ReversePath(None)


@define(eq=False)
class Agent:
    """Delivers what is in the queue: one task decides, and the others only talk to hosts.

    What several jobs have brought by the same time is written in one commit. While the store
    fails, the agent waits and tries again; what came of the jobs is kept until it is written.
    """

    _runtime: Runtime
    _store: QueueStore
    routes: Routes
    """They can be replaced at any time: each attempt asks anew."""
    _relay: Relay
    _reporter: Reporter
    _judge: Judge = field(factory=Judge)
    _schedule: Schedule = field(factory=Schedule)
    look: float = field(default=60.0, kw_only=True)
    """Seconds after which the store is asked again, whatever it said: so the agent notices what
    another process has changed there."""
    _wake: Event = field(init=False)
    _worker: Worker = field(init=False)
    _outbox: Outbox = field(init=False)
    _finished: deque[Finished] = field(factory=deque, init=False)
    _stopping: bool = field(default=False, init=False)
    _trouble: float = field(default=0.0, init=False)  # seconds to wait for the store
    _asked: bool = field(default=True, init=False)  # to look into the store at once
    _next: float = field(default=0.0, init=False)  # when something there is due
    _passed_over: frozenset[str] = field(default=frozenset(), init=False)  # when that was asked
    _looked: float = field(default=0.0, init=False)  # when unused connections were looked for
    _ahead: float = field(default=-inf, init=False)  # by which the calendar is before now()

    def __attrs_post_init__(self) -> None:
        self._wake = self._runtime.event()
        self._worker = Worker(self._runtime, self._store, self._relay)
        self._outbox = Outbox(self._runtime, self._store, self._reporter)

    def wake(self) -> None:
        """Look for work now, because something was put into the queue. Threads may call this."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """Begin no more jobs; :meth:`run` returns when those that run have ended. Threads may call
        this."""
        self._stopping = True
        self._wake.set()

    def trouble(self, delivery: Delivery) -> tuple[Attempt | None, float] | None:
        """Return why the destination of *delivery* is paused, and until when; None if it is not:
        see :meth:`.Schedule.trouble`. It is right where routes do not depend on the sender."""
        route = self.routes.route(_NOBODY, delivery.recipient)
        if route is None:
            return None
        return self._schedule.trouble(route.key(delivery.domain), self._runtime.utc())

    async def run(self) -> None:
        """Work until :meth:`stop`. If this is cancelled, what was claimed is due again after the
        next start."""
        async with self._runtime.tasks() as tasks:
            while not self._stopping:
                try:
                    pause = await self._turn(tasks)
                except QueueFailed as error:
                    await self._wait_for_store(error)
                else:
                    await self._wake.wait(pause)
            await self._drain()
        await self._relay.connections.close()

    async def _turn(self, tasks: Tasks) -> float:
        """Do what can be done now; return how many seconds to wait for more."""
        self._collect()
        await self._check_clock()
        if not self._trouble:
            self._start_jobs(tasks)  # before the store is waited for
        await self._claim()
        await self._write()
        self._trouble = 0.0
        self._start_jobs(tasks)
        self._close_unused(tasks)
        return self._pause()

    async def _check_clock(self) -> None:
        """Let all that waits be due if the clock was put back: its times may be far off now."""
        ahead = self._runtime.utc() - self._runtime.now()
        if ahead < self._ahead - _PUT_BACK:
            _log.warning("the clock was put back; all that waits is tried now")
            await self._store.retry(Selection(), self._runtime.utc())
            self._asked = True
        self._ahead = ahead

    async def _wait_for_store(self, error: QueueFailed) -> None:
        """Wait for longer and longer. Meanwhile no job begins: what came of it could be lost."""
        first, longest = _TROUBLE
        self._trouble = min(max(self._trouble * 2, first), longest)
        _log.error("the queue failed; it is asked again in %g s: %s", self._trouble, error)
        end = self._runtime.now() + self._trouble
        while (left := end - self._runtime.now()) > 0 and not self._stopping:
            await self._wake.wait(left)

    async def _drain(self) -> None:
        """Wait for the jobs that run, and write what came of them; put back what waits."""
        now = self._runtime.utc()
        self._put_back(self._schedule.close(now), now)
        while True:
            self._collect()
            try:
                await self._write()
            except QueueFailed as error:
                await self._wait_for_store(error)
                await self._runtime.sleep(_TROUBLE[0])
            if not (self._schedule.busy or self._finished or self._outbox):
                return
            if not (self._finished or self._outbox):
                await self._wake.wait(self.look)

    # -- claiming and starting ---------------------------------------------------------------

    async def _claim(self) -> None:
        """Claim what is due, if something may be, and give it to the schedule."""
        now, room = self._runtime.utc(), min(self._schedule.room, _CLAIMED)
        excluded = self._excluded(now)
        if room <= 0 or not (self._asked or now >= self._next or self._passed_over - excluded):
            return
        self._asked, self._next = False, now
        claims = await self._store.claim(
            now, room, self._due_if_lost, excluded=excluded, each=_CLAIMED_EACH
        )
        self._passed_over = excluded
        if not claims:
            due = await self._store.next_due(excluded=excluded)
            latest = now + self.look
            self._next = latest if due is None else min(max(due, now + _AGAIN), latest)
        for claim in claims:
            if self._judge.gives_up(claim.message, now):
                self._outbox.add(claim.message, map(_given_up, claim.deliveries))
            else:
                self._schedule_claim(claim, now)

    def _schedule_claim(self, claim: Claim, now: float) -> None:
        message = claim.message
        for route, deliveries in by_route(message, claim.deliveries, self.routes):
            if route is None:
                tried = without_route(deliveries, now)
                self._outbox.add(message, [self._decide(message, *it, now) for it in tried])
            else:
                destination = route.key(deliveries[0].domain)
                refused = self._schedule.add(destination, message, deliveries, now)
                self._put_back(refused, now)

    def _due_if_lost(self, delivery: Delivery) -> float:
        return self._judge.due_if_lost(delivery, self._runtime.utc())

    def _excluded(self, now: float) -> frozenset[str]:
        """Return the domains of which nothing is to be claimed, because their destination has no
        room. It must have the same name, whoever the sender is."""
        if self.routes.by_sender:
            return frozenset()
        return frozenset(name for name in self._schedule.excluded(now) if self._is_direct(name))

    def _is_direct(self, destination: str) -> bool:
        """Return whether *destination* is the domain of recipients that are found by MX."""
        try:
            path = ForwardPath.parse(f"<postmaster@{destination}>")
        except GrammarError:
            return False
        return isinstance(self.routes.route(_NOBODY, path), Direct)

    def _start_jobs(self, tasks: Tasks) -> None:
        now = self._runtime.utc()
        while (job := self._schedule.next_job(now)) is not None:
            tasks.start(self._work(job))

    async def _work(self, job: Job) -> None:
        self._finished.append(await self._worker.work(job, self.routes))
        self._wake.set()

    def _pause(self) -> float:
        """Return how long there is nothing to do."""
        if self._stopping:
            return 0.0
        now = self._runtime.utc()
        times = [now + self.look, self._schedule.next_wake(now)]
        if self._schedule.room > 0:
            times.append(self._next)
        return max(min(time for time in times if time is not None) - now, 0.0)

    def _close_unused(self, tasks: Tasks) -> None:
        now = self._runtime.now()
        if now - self._looked >= _IDLE:
            self._looked = now
            tasks.start(self._relay.connections.close_unused())

    # -- what came of it ---------------------------------------------------------------------

    async def _write(self) -> None:
        """Write what came of the jobs."""
        if (due := await self._outbox.write()) is not None:
            self._next = min(self._next, due)

    def _collect(self) -> None:
        """Take what the jobs that have ended brought."""
        now = self._runtime.utc()
        while self._finished:
            it = self._finished.popleft()
            message = it.job.message
            self._outbox.add(message, [self._decide(message, *tried, now) for tried in it.tried])
            self._put_back(self._schedule.done(it.job, it.feedback, now, it.decisive), now)

    def _decide(
        self, message: Message, delivery: Delivery, attempt: Attempt, now: float
    ) -> Settlement:
        chance = self._runtime.random(1)[0] / 255
        decision = self._judge.decide(message, delivery, attempt, now=now, chance=chance)
        return Settlement(delivery=delivery, decision=decision, attempt=attempt)

    def _put_back(self, refused: Iterable[PutBack], now: float) -> None:
        """Let deliveries wait in the store for their destination."""
        for it in refused:
            self._outbox.add(it.message, [self._judge.put_back(it, now)])


def _given_up(delivery: Delivery) -> Settlement:
    return Settlement(delivery=delivery, decision=Done(Fate.EXPIRED), counts=False)
