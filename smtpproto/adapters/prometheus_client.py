"""Metrics of an MTA for Prometheus. It needs the extra ``metrics``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..mta.queue import Result, State, time_of_id
from ..mta.queue_events import DeliveryEvent, FilterEvent, GuardEvent, MessageQueued, QueueEvent
from ..mta.queue_values import result_of
from ..mta.settlement import Fate, Settlement
from ..mta.store import QueueStats
from ..transfer.assembly import RunningMTA
from .loopback_pages import Page, Request, serve_pages
from .mta_base import MTABase

__all__ = ["Metrics"]

_RESULTS = (*(fate.value for fate in Fate), "deferred", "held")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DELAYS = (
    *(1, 5, 15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
    *(_HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY),
)


class Metrics:
    """Counts what an MTA does, and asks it what is in its queue::

        metrics = Metrics()
        async with MTA("mx.example.org", queue, on_event=metrics.count) as mail:
            with metrics.serve(mail, 9154):
                ...

    *registry* has the metrics; None: one of their own, the attribute of this name. No label
    is an address; the *top* domains with the most deliveries in the queue are the only names.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, top: int = 10) -> None:
        self.registry: CollectorRegistry = CollectorRegistry() if registry is None else registry
        self._top = top
        self._messages = Counter(
            "smtpproto_messages",
            "Messages that entered the queue",
            ["kind"],
            registry=self.registry,
        )
        self._deliveries = Counter(
            "smtpproto_deliveries",
            "Decisions about deliveries: how they ended, deferred, or held",
            ["result"],
            registry=self.registry,
        )
        self._attempts = Counter(
            "smtpproto_attempts",
            "Attempts to deliver to a recipient, by how they ended",
            ["result"],
            registry=self.registry,
        )
        self._filters = Counter(
            "smtpproto_filter_actions",
            "Messages about which a filter decided",
            ["filter", "action"],
            registry=self.registry,
        )
        self._guards = Counter(
            "smtpproto_guard_refusals",
            "Clients and recipients that a guard refused",
            ["guard"],
            registry=self.registry,
        )
        self._delay = Histogram(
            "smtpproto_delivery_delay_seconds",
            "From the arrival of a message to its delivery to a recipient",
            buckets=_DELAYS,
            registry=self.registry,
        )
        for kind in ("mail", "report"):
            self._messages.labels(kind)
        for result in _RESULTS:
            self._deliveries.labels(result)
        for each in Result:
            self._attempts.labels(each.value)

    def count(self, event: QueueEvent) -> None:
        """Count *event*: pass this as ``MTA(on_event=...)``."""
        match event:
            case MessageQueued(about=about):
                self._messages.labels("report" if about else "mail").inc()
            case DeliveryEvent(settlement=settlement):
                self._count_settlement(settlement)
            case FilterEvent(filter=name, action=action):
                self._filters.labels(name, action.value).inc()
            case GuardEvent(guard=name):
                self._guards.labels(name).inc()

    def _count_settlement(self, settlement: Settlement) -> None:
        result, attempt = result_of(settlement), settlement.attempt
        self._deliveries.labels(result).inc()
        if attempt is None:
            return
        self._attempts.labels(attempt.result.value).inc()
        arrived = time_of_id(settlement.delivery.message)
        if attempt.result in (Result.DELIVERED, Result.RELAYED) and arrived is not None:
            self._delay.observe(max(attempt.at + attempt.seconds - arrived, 0))

    @contextlib.contextmanager
    def watch(self, mail: MTABase) -> Iterator[None]:
        """Have what is in the queue of *mail*, which runs, among the metrics until the block ends.
        It is asked at each collection, which must not be in its event loop: that would wait for
        itself. Use a thread, such as ``asyncio.to_thread``."""
        queue = _Queue(mail, self._top)
        self.registry.register(queue)
        try:
            yield
        finally:
            self.registry.unregister(queue)

    @contextlib.contextmanager
    def serve(self, mail: MTABase, port: int) -> Iterator[str]:
        """Serve the metrics, with those of :meth:`watch`, on *port* of 127.0.0.1 (0: a free one)
        until the block ends; yield their URL. Raises OSError."""

        def answer(request: Request) -> Page | None:
            if request.path != "/metrics":
                return None
            encode, kind = choose_encoder(request.accept)
            return Page(body=encode(self.registry), kind=kind)

        with self.watch(mail), serve_pages(answer, port) as bound:
            yield f"http://127.0.0.1:{bound}/metrics"


class _Queue(Collector):
    """What is in the queue of *mail*, by the time of the collection."""

    def __init__(self, mail: MTABase, top: int) -> None:
        self._mail, self._top = mail, top

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the MTA need not be asked to register this."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the gauges. Raises QueueFailed."""
        stats, sessions, now = self._mail._ask(_look)
        yield CounterMetricFamily("smtpproto_sessions", "Clients that connected", value=sessions)
        yield GaugeMetricFamily("smtpproto_queue_messages", "In the queue", value=stats.messages)
        yield GaugeMetricFamily(
            "smtpproto_queue_size_bytes", "Contents of messages in the queue", value=stats.octets
        )
        yield GaugeMetricFamily(
            "smtpproto_queue_oldest_message_age_seconds",
            "Since the message arrived that has waited longest; 0 if there is none",
            value=0 if stats.oldest is None else max(now - stats.oldest, 0),
        )
        states = GaugeMetricFamily(
            "smtpproto_queue_deliveries", "Recipients in the queue, by state", labels=["state"]
        )
        for state in State:
            states.add_metric([state.value], stats.deliveries.get(state, 0))
        yield states
        domains = GaugeMetricFamily(
            "smtpproto_queue_domain_deliveries",
            "Recipients in the queue, of the domains that have the most",
            labels=["domain"],
        )
        for domain, its in [*stats.domains.items()][: self._top]:
            domains.add_metric([domain], its.total)
        yield domains


async def _look(mail: RunningMTA) -> tuple[QueueStats, int, float]:
    return await mail.store.stats(), mail.sessions, mail.runtime.utc()
