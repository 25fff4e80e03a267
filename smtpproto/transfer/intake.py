"""The way of messages into the queue, whether a client or the program itself hands them over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import evolve, frozen

from ..dns import Resolver
from ..errors import QueueFailed
from ..filters import Filter
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters
from ..grammar.reply import Reply
from ..mail import waives_tls
from ..mta.queue import Delivery, Message, State, make_id
from ..mta.queue_events import QueueEvent
from ..mta.retry import RetrySchedule
from ..mta.settlement import Hold
from ..mta.store import Body, Queued, QueueStore
from ..mta.trace import MAX_HOPS, Tracer
from ..policy import ARCSealer, DKIMSigner, Inspection, MessageCheck
from ..ports import Runtime
from .expansion import Recipients
from .relaying import Relaying

__all__ = ["Intake"]


@frozen(kw_only=True, eq=False)
class Intake:
    """Puts messages into the queue. Servers and the program itself share it."""

    runtime: Runtime
    store: QueueStore
    tracer: Tracer
    recipients: Recipients
    relaying: Relaying
    schedule: RetrySchedule
    max_hops: int = MAX_HOPS
    """The Received fields that a message may have; with more it is in a loop."""
    resolver: Resolver | None = None
    """Asks for what *inspect* needs."""
    inspect: Inspection | None = None
    """How the messages of strangers are checked; None: they are not."""
    signer: DKIMSigner | None = None
    """Signs the messages of the program, and of clients for which :meth:`.Receiver.signs_for` says
    so; None: they are not signed."""
    sealer: ARCSealer | None = None
    """Seals checked messages that are passed on; None: they are not sealed."""
    count_check: Callable[[Envelope, MessageCheck, Reply | Hold | None], Awaitable[None]] | None = (
        None
    )
    """Called with what was found out about a message, and the answer to it, for reports."""
    filters: Sequence[Filter] = ()
    """Asked in this order about each message that clients send."""
    tell: Callable[[QueueEvent], object] = bool
    """Called with what filters decide."""
    wake: Callable[[], object] = bool
    """Called after a message was put, so that its delivery begins."""

    def new_id(self) -> str:
        """Return an id for a message."""
        return make_id(self.runtime.utc(), self.runtime.random(10))

    def filters_for(self, *, trusted: bool) -> Sequence[Filter]:
        """Return the filters that a message passes. *trusted*: its client may send to all
        recipients."""
        return [it for it in self.filters if it.trusted or not trusted]

    def message(
        self,
        name: str,
        envelope: Envelope,
        size: int,
        origin: str = "",
        *,
        trusted: bool = True,
    ) -> Message:
        """Return the message *name* of *size* octets that arrives now.

        *origin* is a login or a network: those of equal names share a part of the queue. It is
        *trusted* if it may send to all recipients, and so gets reports of success.
        """
        now, parameters = self.runtime.utc(), envelope.parameters
        not_before = _release(parameters, now)
        starts = now if parameters.by is not None else max(now, not_before)
        return Message(
            id=name,
            sender=envelope.sender,
            parameters=parameters,
            size=size,
            arrived=now,
            expires=self.schedule.expires(envelope.sender, parameters, starts),
            not_before=not_before,
            origin=origin,
            authenticated=trusted,
        )

    async def put(
        self,
        message: Message,
        deliveries: Sequence[Delivery],
        content: bytes | Body,
        held: str | None = None,
    ) -> None:
        """Put *message* with its *deliveries* into the queue. *held* is the reason why it is held
        there; None: it is not. When this returns, the message is durable.

        Raises QueueFull and QueueFailed.
        """
        if held is not None:
            deliveries = [evolve(it, state=State.HELD, reason=held) for it in deliveries]
        queued = Queued(message=message, deliveries=tuple(deliveries), content=content)
        try:
            await self.store.put([queued])
        except QueueFailed:
            raise
        except BaseException:  # if this was cancelled, the message may be in the queue all the same
            self.wake()
            raise
        self.wake()


def obeying_header(message: Message, header: bytes) -> Message:
    """Return *message*, which has this *header* section, with what the header says of TLS. It
    counts only if the message came without REQUIRETLS (RFC 8689 4.1)."""
    if message.parameters.requiretls or not waives_tls(header):
        return message
    return evolve(message, tls_optional=True)


def _release(parameters: MailParameters, now: float) -> float:
    """Return when a message may be delivered at the earliest (RFC 4865); 0: at once."""
    if parameters.hold_for is not None:
        return now + parameters.hold_for
    return 0 if parameters.hold_until is None else parameters.hold_until.timestamp()
