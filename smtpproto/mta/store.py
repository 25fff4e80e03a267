"""The port of the queue's stores, and what it passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from attrs import Factory, field, frozen

from ..errors import GrammarError
from ..grammar.address import ForwardPath, ReversePath, canonical_of
from ..grammar.ascii_case import lower
from ..grammar.domain import to_ascii_host
from ..grammar.printable import is_text
from ..mail import Source
from ..ports import Runtime
from .destination_stats import DestinationStats
from .queue import Attempt, Delivery, Message, State
from .settlement import Ended, Settlement

__all__ = [
    "Body", "Claim", "DomainStats", "Entry", "PassOver", "QueueStats", "QueueStore", "Queued",
    "Selection", "address_key", "busiest", "check_queued", "check_settlements", "domain_key",
    "stats_by_domain", "take_all",
]  # fmt: skip

_MOST_DOMAINS = 100
MAX_PREPENDED = 64 * 1024
"""Octets that may be put before a content in all."""


class Body(Protocol):
    """Content on its way into the store. It is in the queue only when ``put`` has returned."""

    @property
    def size(self) -> int:
        """The octets written so far."""
        ...

    async def write(self, data: bytes) -> None:
        """Add octets. Raises :class:`.QueueFull` or :class:`.QueueFailed`."""
        ...

    async def prepend(self, data: bytes) -> None:
        """Add octets before all others, 64 KiB at most in all: what is known only at the end, but
        stands at the top. Raises as :meth:`write` does, and ValueError for more."""
        ...

    def slices(self) -> AsyncGenerator[bytes, None]:
        """Return the octets written so far, in slices. Nothing may be added while they are read.
        Raises :class:`.QueueFailed`."""
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
    """With CRLF, as it will be sent."""
    about: str = ""
    """The id of the message on which this one reports; "" if it is no report. Stores do not keep
    it."""


def check_queued(queued: Queued) -> None:
    """Raise ValueError if the parts of *queued* contradict each other. Stores call this first."""
    message, numbers = queued.message, [it.number for it in queued.deliveries]
    content = queued.content
    size = len(content) if isinstance(content, bytes) else content.size
    if size != message.size:
        raise _wrong(message, f"its size is {message.size}, but its content has {size} octets")
    if not numbers or numbers[0] < 0 or numbers != sorted(set(numbers)):
        raise _wrong(message, "its deliveries must be numbered in rising order, from 0")
    if any(it.message != message.id for it in queued.deliveries):
        raise _wrong(message, "it has a delivery of another message")
    if any(it.state is State.LEASED for it in queued.deliveries):
        raise _wrong(message, "a delivery is leased before it is in the queue")


def check_settlements(settlements: Sequence[Settlement]) -> None:
    """Raise ValueError if two of *settlements* are about the same delivery."""
    named = {(it.delivery.message, it.delivery.number) for it in settlements}
    if len(named) < len(settlements):
        raise ValueError("two settlements are about the same delivery; pass one for each")


def _wrong(message: Message, why: str) -> ValueError:
    return ValueError(f"message {message.id} cannot enter the queue: {why}")


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
    """Those in the queue, by number."""
    ended: tuple[Ended, ...] = ()
    """Those, by number, that came to their end, as long as the store remembers them."""


PassOver = Callable[[str, str], bool]
"""Returns whether to pass over a *lane*: the deliveries to a domain ("" for the bare postmaster) of
messages from an origin (see :attr:`.Message.origin`). Another thread may call it."""


def take_all(domain: str, origin: str) -> bool:
    """Pass over no lane."""
    return False


def address_key(path: ReversePath | ForwardPath) -> str:
    """Return the address in *path* as a :class:`Selection` compares it: in canonical form, without
    regard to case. It is "" for the null sender."""
    return lower(path.canonical)


def domain_key(path: ReversePath | ForwardPath) -> str:
    """Return the domain in *path* in canonical form; "" if it has none."""
    domain = None if path.mailbox is None else path.mailbox.domain
    return "" if domain is None else domain.canonical


def _pattern(text: str | None) -> str | None:
    """Return *text*, which selects addresses, in canonical form. Raises GrammarError."""
    if text is None:
        return None
    if text.startswith("@"):
        return "@" + to_ascii_host(text[1:]).canonical
    if (address := canonical_of(text)) is None or not is_text(address):
        raise GrammarError(
            f"not an address: {text[:100]!r}; pass ann@x.test, @x.test for all addresses of a "
            'domain, or "" for the null sender'
        )
    return lower(address)


def _lower(text: str | None) -> str | None:
    if text is not None and not is_text(text):
        raise GrammarError(f"not the id of a message: {text[:100]!a}")
    return text if text is None else lower(text)


@frozen(kw_only=True)
class Selection:
    """Which deliveries: those to which all that is given applies. None is any.

    Raises GrammarError for what is not an address, or not text.
    """

    id: str | None = field(default=None, converter=_lower)
    """Of the message, or its beginning."""
    sender: str | None = field(default=None, converter=_pattern)
    """The address, or ``@`` and a domain; "" is the null sender."""
    recipient: str | None = field(default=None, converter=_pattern)
    """The address, or ``@`` and a domain; ``postmaster`` is the bare one."""
    state: State | None = None

    def matches(self, message: Message, delivery: Delivery) -> bool:
        """Return whether this selects *delivery* of *message*."""
        return (
            (self.id is None or message.id.startswith(self.id))
            and _is(self.sender, message.sender)
            and _is(self.recipient, delivery.recipient)
            and self.state in (None, delivery.state)
        )


def _is(pattern: str | None, path: ReversePath | ForwardPath) -> bool:
    if pattern is None:
        return True
    if pattern.startswith("@"):
        return pattern[1:] == domain_key(path) != ""
    return pattern == address_key(path)


@frozen(kw_only=True)
class DomainStats:
    """The deliveries in the queue to one domain."""

    deliveries: Mapping[State, int]
    """How many are in each state; states without any may be absent."""
    oldest: float
    """When the message arrived whose delivery is the longest in the queue."""
    oldest_id: str
    """The id of that message."""
    due: float | None = None
    """The next attempt of those that wait; None if none waits."""
    last: Attempt | None = None
    """The latest attempt of the delivery that is the longest in the queue."""

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.deliveries.values())


@frozen(kw_only=True)
class QueueStats:
    """How much is in the queue."""

    messages: int = 0
    octets: int = 0
    """Of contents."""
    deliveries: Mapping[State, int] = Factory(dict)
    """How many are in each state; states without any may be absent."""
    domains: Mapping[str, DomainStats] = Factory(dict)
    """By the domain of the recipient, those with the most deliveries first, then by name; at most
    100. The domain of the bare postmaster is ""."""
    oldest: float | None = None
    """When the message arrived that has waited longest."""
    destinations: Mapping[str, DestinationStats] = Factory(dict)
    """How destinations are doing, by their name: what all processes together know that deliver from
    the queue now."""


def busiest(domains: Mapping[str, Mapping[State, int]]) -> Sequence[str]:
    """Return the names in :attr:`QueueStats.domains` in order, from all *domains* with how many
    deliveries to each are in each state."""
    return sorted(domains, key=lambda name: (-sum(domains[name].values()), name))[:_MOST_DOMAINS]


def stats_by_domain(queued: Iterable[tuple[Message, Delivery]]) -> Mapping[str, DomainStats]:
    """Return :attr:`QueueStats.domains` of all that is *queued*, in the order in which it was
    put."""
    found: dict[str, list[tuple[Message, Delivery]]] = {}
    for message, delivery in queued:
        found.setdefault(delivery.domain, []).append((message, delivery))
    stats = {domain: _domain_stats(its) for domain, its in found.items()}
    return {name: stats[name] for name in busiest({it: stats[it].deliveries for it in stats})}


def _domain_stats(queued: Sequence[tuple[Message, Delivery]]) -> DomainStats:
    message, first = queued[0]
    waiting = (it.due for _, it in queued if it.state is State.WAITING)
    return DomainStats(
        deliveries=Counter(it.state for _, it in queued),
        oldest=message.arrived,
        oldest_id=message.id,
        due=min(waiting, default=None),
        last=first.last,
    )


class QueueStore(Protocol):
    """Keeps the queue. What a method has returned is durable, unless it says otherwise.

    Each method raises :class:`.QueueFailed` if the store is not open, is broken or cannot write;
    and ValueError, having written nothing, if what it is passed contradicts itself or the queue.
    Tasks and threads may call them at the same time. Whether several processes may work on a queue
    at the same time, the store says.
    """

    async def open(self, runtime: Runtime) -> None:
        """Open the store. The leases of processes that do not live any more are void: those
        deliveries are due as ``claim`` said.

        Raises :class:`.QueueFailed`, also if another process uses a queue that only one may use.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun, and close the store: the leases of this process are void. May be
        called twice."""
        ...

    def watch(self, changed: Callable[[], object]) -> None:
        """Call *changed*, in any thread, after another process has changed what is in the queue.

        It may be called more often. A store that no other process can change does nothing.
        """
        ...

    def share(self, limit: int, what: str) -> int:
        """Return how much of *limit* this process may use now, of *what* all that work on the queue
        share: for example the transactions with a destination. Threads may call this."""
        ...

    async def post(self, known: Mapping[str, DestinationStats], now: float) -> None:
        """Let others see in :meth:`stats` what is *known* of destinations *now*, in the place of
        what this process posted before. It need not be durable, and is gone once the process has
        closed the store or died. One that posts nothing for three minutes may count as dead.
        """
        ...

    def body(self) -> Body:
        """Return a new, empty content, for messages whose octets arrive in pieces."""
        ...

    async def put(self, messages: Sequence[Queued]) -> None:
        """Add *messages*, all or none. Raises :class:`.QueueFull` if there is no room, and
        ValueError for an id that the store knows already."""
        ...

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        pass_over: PassOver = take_all,
    ) -> Sequence[Claim]:
        """Lease deliveries that are due *now*, at most *limit*.

        Those of the highest priority come first. Within a priority, the lanes take turns: first
        comes the earliest delivery of each, then the second of each, and so on. Within a turn they
        go by their time, then in the order in which they were put.

        Each counts one attempt more, and *due* says of the delivery as it was when it is due again
        if this process dies: after the next :meth:`open`, or, if others work on the queue, once the
        store has noticed. A power loss may undo a claim. After 1,000 lanes that it passes over,
        a store may take others without asking; the caller puts back what it cannot use.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        """Write what became of claimed deliveries, and add the messages that follow from it, such
        as reports: all or nothing. A message with no delivery left leaves the queue.

        Raises ValueError if a delivery is not leased, or not by this process any more.
        """
        ...

    async def content(self, message: Message) -> Source:
        """Return the content, which can be read again and again. Raises :class:`.ContentLost` if it
        is missing or damaged, and :class:`.QueueFailed` if *message* is not in the queue."""
        ...

    async def next_due(self, *, pass_over: PassOver = take_all) -> float | None:
        """Return when the next delivery that waits is due; None if there is none. Lanes are passed
        over as in :meth:`claim`."""
        ...

    async def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        """Return the first *limit* messages with deliveries that *selection* selects, in the order
        in which they were put. Each entry is complete.

        A selection by id, without a state, finds also deliveries that came to their end, as long as
        the store remembers them.
        """
        ...

    async def hold(self, selection: Selection, reason: str) -> int:
        """Hold the waiting deliveries of *selection*; return how many. Raises ValueError for a
        *reason* with surrogates."""
        ...

    async def release(self, selection: Selection, now: float) -> int:
        """Let held deliveries wait again, due *now*, but not before ``Message.not_before``; return
        how many."""
        ...

    async def retry(self, selection: Selection, now: float) -> int:
        """Make waiting deliveries due *now*, but not before ``Message.not_before``; return how
        many."""
        ...

    async def drop(self, selection: Selection, now: float) -> int:
        """Take deliveries that wait or are held out of the queue, as dropped, and tell nobody;
        return how many."""
        ...

    async def stats(self) -> QueueStats:
        """Return how much is in the queue."""
        ...
