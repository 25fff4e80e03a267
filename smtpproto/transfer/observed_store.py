"""A store that tells what it has written, so that each event is about something durable."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from attrs import define, evolve

from ..mta.queue_events import DeliveryEvent, FilterEvent, MessageQueued, QueueEvent
from ..mta.settlement import Done, Fate, Settlement
from ..mta.store import Queued, QueueStore
from ..ports import call_contained

__all__ = ["Failures", "Listener", "observed", "teller"]

_log = logging.getLogger("smtpproto.queue")

Listener = Callable[[QueueEvent], object]
"""Called with each event. It must not wait; what it raises is logged."""


Failures = deque[DeliveryEvent]
"""The last events of deliveries that did not succeed, without the attempts before."""

_SUCCEEDED = (Fate.DELIVERED, Fate.RELAYED, Fate.EXPANDED, Fate.DROPPED)


def observed(
    store: QueueStore, listener: Listener | None = None, failures: Failures | None = None
) -> QueueStore:
    """Return *store*, whose events are logged under ``smtpproto.queue`` and go to *listener*;
    *failures* gets those of failures."""
    return cast("QueueStore", _ObservedStore(store, teller(listener), failures))


def teller(listener: Listener | None = None) -> Listener:
    """Return a function that logs an event under ``smtpproto.queue``, and passes it to
    *listener*."""

    def tell(event: QueueEvent) -> None:
        failed = isinstance(event, FilterEvent) and event.failed
        _log.log(logging.WARNING if failed else logging.INFO, "%s", event)
        if listener is None:
            return
        try:
            call_contained(listener, event)
        except Exception:
            _log.exception("a listener to events of the queue failed")

    return tell


@define(eq=False)
class _ObservedStore:
    _store: QueueStore
    _tell: Listener
    _failures: Failures | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, messages: Sequence[Queued]) -> None:
        await self._store.put(messages)
        self._queued(messages)

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        await self._store.settle(settlements, now, new)
        for settlement in settlements:
            if settlement.attempt is not None or isinstance(settlement.decision, Done):
                self._tell(DeliveryEvent(settlement=settlement))
                self._remember(settlement)
        self._queued(new)

    def _queued(self, messages: Sequence[Queued]) -> None:
        for it in messages:
            self._tell(MessageQueued(message=it.message, deliveries=it.deliveries, about=it.about))

    def _remember(self, settlement: Settlement) -> None:
        decision = settlement.decision
        succeeded = isinstance(decision, Done) and decision.fate in _SUCCEEDED
        if self._failures is not None and not succeeded:
            last = () if settlement.last is None else (settlement.last,)
            delivery = evolve(settlement.delivery, log=last)
            self._failures.append(DeliveryEvent(settlement=evolve(settlement, delivery=delivery)))
