"""Ring 3: a mail agent's decisions, as values and functions of facts, time and chance.

Nothing here connects or waits. Times are seconds since the epoch, UTC; waits are in seconds.

Programs take from here the routes, the retry schedule, what the queue says of a message, and the
port of its stores. :class:`MTA <smtpproto.adapters.asyncio.MTA>` puts it all together.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from ..limits import ScheduleLimits
    from .bounce import ReportOptions
    from .destination_stats import DestinationStats
    from .exchangers import Exchanger, Self
    from .memory_store import MemoryQueue
    from .queue import Attempt, Delivery, Forwarding, Message, Result, State
    from .queue_events import (
        DeliveryEvent,
        FilterAction,
        FilterEvent,
        GuardEvent,
        MessageQueued,
        QueueEvent,
    )
    from .queue_limits import QueueLimits
    from .retry import RetrySchedule
    from .rewrite import Aliases, AliasSource, Expansion, Target, Targets
    from .route import Direct, Local, Route, Routes, SmartHost
    from .settlement import Decision, Done, Ended, Fate, Hold, Later, Settlement
    from .srs import SRS
    from .store import Body, Claim, DomainStats, Entry, Queued, QueueStats, QueueStore, Selection
    from .trace import Tracer
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "..limits": "ScheduleLimits",
            ".bounce": "ReportOptions",
            ".destination_stats": "DestinationStats",
            ".exchangers": "Exchanger Self",
            ".memory_store": "MemoryQueue",
            ".queue": "Attempt Delivery Forwarding Message Result State",
            ".queue_events": "DeliveryEvent FilterAction FilterEvent GuardEvent MessageQueued"
            " QueueEvent",
            ".queue_limits": "QueueLimits",
            ".retry": "RetrySchedule",
            ".rewrite": "AliasSource Aliases Expansion Target Targets",
            ".route": "Direct Local Route Routes SmartHost",
            ".settlement": "Decision Done Ended Fate Hold Later Settlement",
            ".srs": "SRS",
            ".store": "Body Claim DomainStats Entry QueueStats QueueStore Queued Selection",
            ".trace": "Tracer",
        },
    )

__all__ = [
    "SRS", "AliasSource", "Aliases", "Attempt", "Body", "Claim", "Decision", "Delivery",
    "DeliveryEvent", "DestinationStats", "Direct", "DomainStats", "Done", "Ended", "Entry",
    "Exchanger", "Expansion", "Fate", "FilterAction", "FilterEvent", "Forwarding", "GuardEvent",
    "Hold", "Later", "Local", "MemoryQueue", "Message", "MessageQueued", "QueueEvent",
    "QueueLimits", "QueueStats", "QueueStore", "Queued", "ReportOptions", "Result",
    "RetrySchedule", "Route", "Routes", "ScheduleLimits", "Selection", "Self", "Settlement",
    "SmartHost", "State", "Target", "Targets", "Tracer",
]  # fmt: skip
