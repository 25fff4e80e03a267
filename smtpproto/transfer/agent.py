"""The agent: it claims what is due, starts jobs, and writes what came of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from attrs import define, evolve, field

from ..limits import ScheduleLimits
from ..mta.bounce import Reporter
from ..mta.destination_stats import DestinationStats
from ..mta.judge import Judge
from ..mta.queue import Attempt, Delivery, Message, Result
from ..mta.route import Routes
from ..mta.schedule import Job, PutBack, Schedule
from ..mta.settlement import Done, Fate, Hold, Settlement
from ..mta.store import Claim, QueueStore
from ..policy import DKIMSigner
from ..ports import Event, Runtime, Tasks
from .claimer import Claimed, Claimer
from .guarding import Guarding, Permit
from .jobs import Finished, Worker, by_route, without_route
from .noticeboard import Noticeboard
from .outbox import Outbox, Written
from .relay import Relay

__all__ = ["Agent"]

_IDLE = 10.0  # seconds between looks for connections that are not used


@define(eq=False)
class Agent:
    """Delivers what is in the queue: one task decides, and others talk to hosts and to the store.

    A claim, a write and the jobs go on at the same time. What jobs bring while one write runs
    is the next one. While writes fail, no job begins; what came of those that ran is kept.
    """

    _runtime: Runtime
    _store: QueueStore
    routes: Routes
    """Each attempt asks them anew."""
    _relay: Relay
    _reporter: Reporter
    _judge: Judge = field(factory=Judge)
    _schedule: Schedule = field(factory=Schedule)
    _signer: DKIMSigner | None = None  # of reports
    _guarding: Guarding | None = None
    look: float = field(default=60.0, kw_only=True)
    """Seconds after which the store is asked again, whatever it said: so the agent notices what
    another process has changed there."""
    _wake: Event = field(init=False)
    _worker: Worker = field(init=False)
    _claimer: Claimer = field(init=False)
    _outbox: Outbox = field(init=False)
    _noticeboard: Noticeboard = field(init=False)
    _results: deque[Callable[[], None]] = field(factory=deque, init=False)  # of the other tasks
    stopping: bool = field(default=False, init=False)
    """Whether :meth:`stop` was called."""
    _looked: float = field(default=0.0, init=False)  # when unused connections were looked for

    def __attrs_post_init__(self) -> None:
        self._wake = self._runtime.event()
        self._worker = Worker(self._runtime, self._store, self._relay, self._guarding)
        self._claimer = Claimer(
            self._runtime, self._store, self._judge, self.look, self._schedule.is_shut
        )
        self._outbox = Outbox(self._runtime, self._store, self._reporter, self._signer)
        self._noticeboard = Noticeboard(self._runtime, self._store, self._schedule, self.look)

    def wake(self) -> None:
        """Look for work now, because something was put into the queue. Threads may call this."""
        self._claimer.ask()
        self._wake.set()

    def changed(self) -> None:
        """Look for work now, because another process has changed the queue. Threads may call
        this."""
        self._claimer.ask()
        self._report(lambda: self._schedule.look_at_shares(self._runtime.utc()))

    def use(
        self,
        routes: Routes,
        reporter: Reporter,
        judge: Judge,
        limits: ScheduleLimits,
        signer: DKIMSigner | None,
    ) -> None:
        """Work by these from now on. Threads may call this."""
        self._claimer.ask()
        self._report(partial(self._use, routes, reporter, judge, limits, signer))

    def _use(
        self,
        routes: Routes,
        reporter: Reporter,
        judge: Judge,
        limits: ScheduleLimits,
        signer: DKIMSigner | None,
    ) -> None:
        self.routes, self._outbox.reporter, self._outbox.signer = routes, reporter, signer
        self._judge = self._claimer.judge = judge
        self._schedule.use(limits, self._runtime.utc())

    def stop(self) -> None:
        """Begin no more jobs; :meth:`run` returns when those that run have ended. Threads may call
        this."""
        self.stopping = True
        self._wake.set()

    def trouble(self, delivery: Delivery) -> tuple[Attempt | None, float] | None:
        """Return why the destination of *delivery* is paused, and until when; None if it is not:
        see :meth:`.Schedule.trouble`. None also if its destination depends on the sender."""
        destination = self.routes.destination(delivery.domain)
        if destination is None:
            return None
        return self._schedule.trouble(destination, self._runtime.utc())

    def stats(self, domain: str) -> DestinationStats | None:
        """Return how the destination of deliveries to *domain* is doing; None if it depends on the
        sender."""
        destination = self.routes.destination(domain)
        if destination is None:
            return None
        return self._schedule.stats(destination, self._runtime.utc())

    async def run(self) -> None:
        """Work until :meth:`stop`. If this is cancelled, what was claimed is due again after the
        next start."""
        async with self._runtime.tasks() as tasks:
            while not self.stopping:
                self._take_results()
                self._start_jobs(tasks)
                self._start_claim(tasks)
                self._start_write(tasks)
                self._start_post(tasks)
                self._close_unused(tasks)
                await self._wake.wait(self._pause())
            await self._drain(tasks)
        await self._noticeboard.clear()
        await self._relay.connections.close()

    async def _drain(self, tasks: Tasks) -> None:
        """Wait for what runs, and write what came of it; put back what waits."""
        while True:
            self._take_results()
            now = self._runtime.utc()
            self._put_back(self._schedule.close(now), now)
            self._outbox.hurry()
            self._start_write(tasks)
            if not (self._schedule.busy or self._claimer.busy or self._outbox):
                return
            await self._wake.wait(min(self._outbox.pause(), self.look))

    def _take_results(self) -> None:
        while self._results:
            self._results.popleft()()

    def _report(self, result: Callable[[], None]) -> None:
        """Let the task that decides call *result*."""
        self._results.append(result)
        self._wake.set()

    def _pause(self) -> float:
        """Return for how many seconds there is nothing to do."""
        if self.stopping:
            return 0.0
        now = self._runtime.utc()
        pauses = [self.look, self._outbox.pause(), self._noticeboard.pause()]
        if (wake := self._schedule.next_wake(now)) is not None:
            pauses.append(wake - now)
        if self._schedule.claimable > 0:
            pauses.append(self._claimer.pause())
        return max(min(pauses), 0.0)

    def _close_unused(self, tasks: Tasks) -> None:
        now = self._runtime.now()
        if now - self._looked >= _IDLE:
            self._looked = now
            tasks.start(self._relay.connections.close_unused())

    # -- for others to see -------------------------------------------------------------------

    def _start_post(self, tasks: Tasks) -> None:
        if self._noticeboard.begins():
            tasks.start(self._post())

    async def _post(self) -> None:
        await self._noticeboard.post()
        self._report(self._noticeboard.ended)

    # -- claims ------------------------------------------------------------------------------

    def _start_claim(self, tasks: Tasks) -> None:
        limit = self._schedule.claimable
        if limit > 0 and not self._claimer.busy:
            excluded = self._schedule.excluded(self._runtime.utc())
            if self._claimer.begins(excluded):
                tasks.start(self._claim(limit, self.routes))

    async def _claim(self, limit: int, routes: Routes) -> None:
        claimed = await self._claimer.claim(limit, routes)
        self._report(partial(self._claimed, claimed))

    def _claimed(self, claimed: Claimed) -> None:
        self._claimer.ended(claimed)
        now = self._runtime.utc()
        for claim in claimed.claims:
            self._outbox.claimed(claim.message, len(claim.deliveries))
            if self._judge.gives_up(claim.message, now):
                self._outbox.add(claim.message, map(_given_up, claim.deliveries))
            else:
                self._schedule_claim(self._without_too_early(claim, now), now)

    def _without_too_early(self, claim: Claim, now: float) -> Claim:
        """Put back the deliveries that must wait although they are due; return the others."""
        early = {it: due for it in claim.deliveries if (due := self._claimer.too_early(it, now))}
        self._put_back(
            [
                PutBack(destination="", message=claim.message, delivery=delivery, due=due)
                for delivery, due in early.items()
            ],
            now,
        )
        return evolve(claim, deliveries=tuple(it for it in claim.deliveries if it not in early))

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

    # -- jobs --------------------------------------------------------------------------------

    def _start_jobs(self, tasks: Tasks) -> None:
        if self._outbox.failing:
            return  # what came of a job could be lost
        now = self._runtime.utc()
        while (job := self._schedule.next_job(now)) is not None:
            tasks.start(self._work(job))

    async def _work(self, job: Job) -> None:
        finished = await self._worker.work(job, self.routes)
        self._report(partial(self._job_ended, finished))

    def _job_ended(self, it: Finished) -> None:
        now, message = self._runtime.utc(), it.job.message
        settlements = [self._decide(message, *tried, now) for tried in it.tried]
        if it.lost:  # another attempt does not help
            settlements = [evolve(each, decision=Hold(it.lost)) for each in settlements]
        self._outbox.add(message, settlements)
        self._put_back(self._schedule.done(it.job, it.feedback, now, it.decisive), now)
        self._postpone(it.job, it.permit, now)

    def _postpone(self, job: Job, permit: Permit, now: float) -> None:
        """Let deliveries wait that a limit did not allow."""
        postponed, because = permit.postponed, permit.because
        if because is None:
            return
        if permit.of_destination:
            because = evolve(because, at=now)
            it = self._schedule.slow_down(job, postponed, permit.until, permit.pace, because)
        else:
            it = [
                PutBack(
                    destination=job.destination,
                    message=job.message,
                    delivery=delivery,
                    due=permit.until,
                    because=because,
                )
                for delivery in postponed
            ]
        self._put_back(it, now)

    def _decide(
        self, message: Message, delivery: Delivery, attempt: Attempt, now: float
    ) -> Settlement:
        ended = attempt.result in (Result.DELIVERED, Result.RELAYED, Result.EXPANDED)
        chance = 0.0 if ended else self._runtime.random(1)[0] / 255
        decision = self._judge.decide(message, delivery, attempt, now=now, chance=chance)
        return Settlement(delivery=delivery, decision=decision, attempt=attempt)

    def _put_back(self, refused: Iterable[PutBack], now: float) -> None:
        """Let deliveries wait in the store for their destination."""
        for it in refused:
            self._outbox.add(it.message, [self._judge.put_back(it, now)])

    # -- writes ------------------------------------------------------------------------------

    def _start_write(self, tasks: Tasks) -> None:
        if self._outbox.begins():
            tasks.start(self._write())

    async def _write(self) -> None:
        written = await self._outbox.write()
        self._report(partial(self._written, written))

    def _written(self, written: Written) -> None:
        self._outbox.ended(written)
        if written.due is not None:
            self._claimer.note_due(written.due)


def _given_up(delivery: Delivery) -> Settlement:
    return Settlement(delivery=delivery, decision=Done(Fate.EXPIRED), counts=False)
