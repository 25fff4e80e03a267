"""What happens to messages in the queue, as values: for logs, counters and programs."""

from __future__ import annotations

import enum

from attrs import frozen

from ..grammar.printable import printable
from ..grammar.reply import Reply
from .explain import attempt_in_words
from .queue import Delivery, Message
from .settlement import Done, Hold, Later, Settlement

__all__ = [
    "DeliveryEvent", "FilterAction", "FilterEvent", "GuardEvent", "MessageQueued", "QueueEvent",
]  # fmt: skip

_SHOWN = 5  # recipients of a message in its line


@frozen(kw_only=True)
class MessageQueued:
    """A message is in the queue, and durable."""

    message: Message
    deliveries: tuple[Delivery, ...]
    about: str = ""
    """The id of the message on which this one reports; "" if it is no report."""

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.message.id

    def __str__(self) -> str:
        """Return the event on one line, escaped."""
        sender = printable(str(self.message.sender)) or "<>"
        names = [printable(str(it.recipient)) for it in self.deliveries[:_SHOWN]]
        more = len(self.deliveries) - len(names)
        recipients = ", ".join(names) + (f" and {more} more" if more else "")
        what = f"queued a report on {self.about}" if self.about else "queued"
        line = f"{self.id}: {what}, from {sender} to {recipients}, {self.message.size} octets"
        client = self.message.client
        return f"{line}, over the connection from {printable(client)}" if client else line


@frozen(kw_only=True)
class DeliveryEvent:
    """What became of one recipient was decided and written."""

    settlement: Settlement

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.settlement.delivery.message

    def __str__(self) -> str:
        """Return the event on one line, escaped."""
        it = self.settlement
        recipient = printable(str(it.delivery.recipient))
        attempt = "" if it.attempt is None else f"; {attempt_in_words(it.attempt)}"
        return f"{self.id}: {recipient} {_decision(it)}{attempt}"


class FilterAction(enum.Enum):
    """What a filter did with a message."""

    ACCEPTED = "accepted"
    HELD = "held"
    """It is in the queue, and waits until somebody releases it."""
    DISCARDED = "discarded"
    """The client was told that it was accepted, but it is nowhere."""
    REFUSED = "refused"
    """Also for now, or because the filter failed."""


@frozen(kw_only=True)
class FilterEvent:
    """A filter has decided about a message, which may not enter the queue."""

    id: str
    """The id of the message, also if it does not enter the queue."""
    filter: str
    """The name of the filter."""
    action: FilterAction
    detail: str = ""
    """What the filter found, and the reply to the client if it refused."""
    failed: bool = False
    """Whether the filter could not be asked, so that its option ``on_failure`` decided. Such an
    event is logged as a warning."""

    def __str__(self) -> str:
        """Return the event on one line, escaped."""
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.id}: {self.action.value} by {printable(self.filter)}{detail}"


@frozen(kw_only=True)
class GuardEvent:
    """A guard has refused a client, or one of its recipients: nothing enters the queue."""

    guard: str
    """``connections``, ``lists``, ``greylist``, or which limit of ``receive``."""
    client: str
    """The address of the client."""
    reply: Reply
    recipient: str = ""
    """The recipient; "" if the client was refused as it connected."""

    def __str__(self) -> str:
        """Return the event on one line, escaped."""
        what = f"{printable(self.recipient)} refused" if self.recipient else "refused"
        return f"{self.client}: {what} by {self.guard}: {printable(str(self.reply))}"


QueueEvent = MessageQueued | DeliveryEvent | FilterEvent | GuardEvent
"""What ``on_event`` of an MTA is called with."""


def _decision(settlement: Settlement) -> str:
    match settlement.decision:
        case Done(fate=fate):
            return fate.value
        case Hold(reason=reason):
            return f"held: {printable(reason)}"
        case Later(warned=warned):
            warning = ", and its sender is told of the delay" if warned else ""
            return f"is tried again later{warning}"
