"""What a mail agent does at a moment, for people who watch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ..mta.queue import Attempt
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
    paused: Mapping[str, tuple[Attempt | None, float]]
    """The domains whose destination is paused: the attempt after which it was, and until when."""
    failures: Sequence[DeliveryEvent]
    """The last of them, the latest first."""


async def overview_of(mail: RunningMTA) -> Overview:
    """Return what *mail* does now. Raises QueueFailed."""
    stats = await mail.store.stats()
    paused = {name: mail.agent.paused(name) for name in stats.domains}
    return Overview(
        hostname=str(mail.config.hostname),
        now=mail.runtime.utc(),
        stats=stats,
        paused={name: it for name, it in paused.items() if it is not None},
        failures=[*mail.failures][::-1],
    )
