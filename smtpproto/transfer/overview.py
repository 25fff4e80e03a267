"""What a mail agent does at a moment, for people who watch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ..mta.destination_stats import DestinationStats
from ..mta.queue_events import DeliveryEvent
from ..mta.store import QueueStats
from .assembly import RunningMTA

__all__ = ["Overview", "overview_of"]


@frozen(kw_only=True)
class Overview:
    """The queue, and what went wrong last."""

    hostname: str
    now: float
    stats: QueueStats
    destinations: Mapping[str, DestinationStats]
    """How the destination of each domain is doing. Domains of a smart host share one; if it depends
    on the sender, the domain has none."""
    failures: Sequence[DeliveryEvent]
    """The last of them, the latest first."""


async def overview_of(mail: RunningMTA) -> Overview:
    """Return what *mail* does now. Raises QueueFailed."""
    stats = await mail.store.stats()
    destinations = {name: mail.agent.stats(name) for name in stats.domains}
    return Overview(
        hostname=str(mail.config.hostname),
        now=mail.runtime.utc(),
        stats=stats,
        destinations={name: it for name, it in destinations.items() if it is not None},
        failures=[*mail.failures][::-1],
    )
