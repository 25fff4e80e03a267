"""The port of the queue's stores, and what it passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from attrs import Factory, frozen

from ..mail import Source
from ..ports import Runtime
from .queue import Delivery, Message, State
from .settlement import Ended, Settlement

__all__ = [
    "Body", "Claim", "Entry", "QueueStats", "QueueStore", "Queued", "Selection",
]  # fmt: skip


class Body(Protocol):
    """Content on its way into the store. It is in the queue only when ``put`` has returned."""

    @property
    def size(self) -> int:
        """The octets written so far."""
        ...

    async def write(self, data: bytes) -> None:
        """Add octets. Raises :class:`.QueueFull` or :class:`.QueueFailed`."""
        ...

    async def discard(self) -> None:
        """Give up the content. It may be called twice, and after ``put`` it does nothing."""
        ...


@frozen(kw_only=True)
class Queued:
    """A message that enters the queue."""

    message: Message
    deliveries: tuple[Delivery, ...]
    """One for each recipient."""
    content: bytes | Body


@frozen(kw_only=True)
class Claim:
    """A message, and those of its deliveries that one worker may work on now."""

    message: Message
    deliveries: tuple[Delivery, ...]


@frozen(kw_only=True)
class Entry:
    """All that the store knows of a message."""

    message: Message
    deliveries: tuple[Delivery, ...] = ()
    """Those in the queue."""
    ended: tuple[Ended, ...] = ()
    """Those that came to their end, as long as the store remembers them."""


@frozen(kw_only=True)
class Selection:
    """Which deliveries: those to which all that is given applies. None is any."""

    id: str | None = None
    """Of the message, or its beginning."""
    sender: str | None = None
    """The address, or ``@`` and a domain; "" is the null sender."""
    recipient: str | None = None
    """The address, or ``@`` and a domain."""
    state: State | None = None

    def matches(self, message: Message, delivery: Delivery) -> bool:
        """Return whether this selects *delivery* of *message*."""
        return (
            (self.id is None or message.id.startswith(self.id.lower()))
            and (self.sender is None or _is(self.sender, str(message.sender)))
            and (self.recipient is None or _is(self.recipient, str(delivery.recipient)))
            and self.state in (None, delivery.state)
        )


def _is(pattern: str, address: str) -> bool:
    if pattern.startswith("@"):
        return address.lower().endswith(pattern.lower())
    return pattern.lower() == address.lower()


@frozen(kw_only=True)
class QueueStats:
    """How much is in the queue."""

    messages: int = 0
    octets: int = 0
    deliveries: Mapping[State, int] = Factory(dict)
    domains: Mapping[str, int] = Factory(dict)
    """Deliveries by the domain of the recipient, the largest first; at most 100."""
    oldest: float | None = None
    """When the message arrived that has waited longest."""


class QueueStore(Protocol):
    """Keeps the queue. What a method has returned is durable, unless it says otherwise.

    Each method raises :class:`.QueueFailed` if the store is broken or cannot write. Tasks and
    threads may call them at the same time. One process works on a queue; *owner* tells processes
    apart where several may.
    """

    async def open(self, runtime: Runtime) -> None:
        """Open the store. All leases of this owner are void: nobody works on them any more.

        Raises :class:`.QueueFailed`, also if another process uses the queue.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun, and close the store. May be called twice."""
        ...

    def body(self) -> Body:
        """Return a new, empty content, for messages whose octets arrive in pieces."""
        ...

    async def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, all or none. Raises :class:`.QueueFull` if there is no room."""
        ...

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        excluded: Collection[str] = (),
    ) -> Sequence[Claim]:
        """Lease deliveries that are due *now*, by priority and time, at most *limit*.

        Each counts one attempt more, and *due* says when it is due again if this process dies.
        Domains of recipients in *excluded* are passed over. A power loss may undo a claim.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of claimed deliveries, and add the messages that follow from it, such
        as reports: all or nothing. A message with no delivery left leaves the queue."""
        ...

    async def content(self, message: Message) -> Source:
        """Return the content, which can be read again and again. Raises :class:`.QueueFailed` if it
        is lost or damaged."""
        ...

    async def next_due(self, *, excluded: Collection[str] = ()) -> float | None:
        """Return when the next delivery that waits is due; None if there is none. Domains of
        recipients in *excluded* are passed over, as in :meth:`claim`."""
        ...

    async def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        """Return the messages with deliveries that *selection* selects, the oldest first; and, if
        it names the id, those that the store remembers. Each entry is complete."""
        ...

    async def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many."""
        ...

    async def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again, due *now*; return how many."""
        ...

    async def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due *now*; return how many."""
        ...

    async def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries that wait or are held out of the queue, as dropped, and tell nobody;
        return how many."""
        ...

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        ...
