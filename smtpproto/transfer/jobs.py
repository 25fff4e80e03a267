"""One job of the schedule: a message to send to recipients of one destination."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from attrs import define, evolve, field, frozen

from ..errors import ContentLost, QueueFailed
from ..grammar.address import ReversePath
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mta.queue import Attempt, Delivery, Forwarding, Message, Result
from ..mta.route import Local, Route, Routes
from ..mta.schedule import Feedback, Job, feedback_of
from ..mta.store import QueueStore
from ..ports import Runtime
from .guarding import Guarding, Permit
from .local import LocalDelivery
from .relay import Relay
from .trial import Tried

__all__ = ["Finished", "Worker", "by_route", "without_route"]

_log = logging.getLogger("smtpproto.queue")

_NO_ROUTE = Reply(451, "4.3.5", "No route is configured for this recipient")
_ALIASED = {
    Forwarding.EXPANDED: (
        Result.EXPANDED, Reply(250, "2.0.0", "Sent on to the addresses that it stands for")
    ),
    Forwarding.LOOP: (
        Result.REFUSED, Reply(554, "5.4.6", "The message was at this address before: a loop")
    ),
    Forwarding.UNKNOWN: (Result.REFUSED, Reply(550, "5.1.1", "No such mailbox")),
}  # fmt: skip
_NO_CONTENT = Reply(451, "4.3.0", "The content could not be read from the queue")
_BROKEN = Reply(451, "4.3.0", "This server failed; its log says why")


@frozen(kw_only=True)
class Finished:
    """A job that has ended."""

    job: Job
    tried: Sequence[Tried]
    """An attempt for each delivery that was allowed."""
    feedback: Feedback
    permit: Permit
    """Which deliveries were tried, and why the others were not."""
    lost: str = ""
    """Why the message has no content any more; "" if it has."""

    @property
    def decisive(self) -> Attempt | None:
        """The attempt that says what :attr:`feedback` says; None if nothing was tried."""
        attempts = [attempt for _, attempt in self.tried]
        first = attempts[0] if attempts else None
        return next((it for it in attempts if feedback_of([it]) is self.feedback), first)


@define(eq=False)
class Worker:
    """Does the jobs, each in a task of its own."""

    _runtime: Runtime
    _store: QueueStore
    _relay: Relay
    _guarding: Guarding | None
    _local: LocalDelivery = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._local = LocalDelivery(self._runtime)

    async def work(self, job: Job, routes: Routes) -> Finished:
        """Do *job*, as far as limits allow. It raises nothing: an error of this program is an
        attempt that failed, and says nothing about the destination."""
        permit = Permit(job.deliveries)
        if self._guarding is not None:
            permit = await self._guarding.permit(job)
        if self._guarding is None or permit.demand is None:
            return await self._work(job, routes, permit)
        if not permit.allowed:
            return Finished(job=job, tried=(), feedback=Feedback.NEITHER, permit=permit)
        allowed = evolve(job, deliveries=permit.allowed)
        finished = await self._work(allowed, routes, permit)
        unreached = [it for _, it in finished.tried if it.result is Result.UNREACHED]
        await self._guarding.end(permit, len(unreached))
        return evolve(finished, job=job)

    async def _work(self, job: Job, routes: Routes, permit: Permit) -> Finished:
        tried: list[Tried] = []
        try:
            content = await self._store.content(job.message)
            for route, deliveries in by_route(job.message, job.deliveries, routes):
                if route is None:
                    tried += without_route(deliveries, self._runtime.utc())
                elif isinstance(route, Local):
                    tried += await self._local.attempt(route, job.message, deliveries, content)
                else:
                    tried += await self._relay.attempt(route, job.message, deliveries, content)
        except QueueFailed as error:
            _log.error("the content of message %s cannot be read: %s", job.message.id, error)
            finished = self._broken(job, tried, _NO_CONTENT, error, permit)
            return evolve(finished, lost=error.message if isinstance(error, ContentLost) else "")
        except Exception as error:
            _log.exception("an attempt to deliver message %s failed", job.message.id)
            return self._broken(job, tried, _BROKEN, error, permit)
        feedback = feedback_of([attempt for _, attempt in tried])
        return Finished(job=job, tried=tried, feedback=feedback, permit=permit)

    def _broken(
        self, job: Job, tried: Sequence[Tried], reply: Reply, error: Exception, permit: Permit
    ) -> Finished:
        done = {delivery.number for delivery, _ in tried}
        text = printable(f"{type(error).__name__}: {error}")
        attempt = Attempt(at=self._runtime.utc(), result=Result.REFUSED, reply=reply, error=text)
        left = [(each, attempt) for each in job.deliveries if each.number not in done]
        every = [*tried, *left]
        return Finished(job=job, tried=every, feedback=Feedback.NEITHER, permit=permit)


def by_route(
    message: Message, deliveries: Iterable[Delivery], routes: Routes
) -> Iterable[tuple[Route | None, Sequence[Delivery]]]:
    """Return *deliveries* of *message* by their route and destination; those to other hosts also by
    how aliases led to them. Those that are at their end here have no route."""
    groups: dict[object, tuple[Route | None, list[Delivery]]] = {}
    # Strangers may claim any sender, and must not use the relay, and the login there, of another.
    sender = message.sender if message.authenticated else ReversePath(None)
    for delivery in deliveries:
        route, key = None, ""
        if delivery.forwarding not in _ALIASED:
            route = routes.route(sender, delivery.recipient)
        if route is not None:
            key = route.key(delivery.domain)
        way = () if isinstance(route, Local) else (delivery.via, delivery.forwarding)
        groups.setdefault((id(route), key, way), (route, []))[1].append(delivery)
    return groups.values()


def without_route(deliveries: Sequence[Delivery], now: float) -> Sequence[Tried]:
    """Return an attempt for each of *deliveries*, which are at their end here, or for which the
    settings have no route."""
    found = [_ALIASED.get(it.forwarding, (Result.REFUSED, _NO_ROUTE)) for it in deliveries]
    attempts = [Attempt(at=now, result=result, reply=reply) for result, reply in found]
    return [*zip(deliveries, attempts, strict=True)]
