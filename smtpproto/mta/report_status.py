"""What a delivery report says to programs of settled deliveries (RFC 3461 6.3, RFC 3464 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import GrammarError
from ..grammar.domain import Domain, Host, to_ascii_host
from ..grammar.dsn import OriginalRecipient
from ..grammar.printable import printable
from ..grammar.reply import EnhancedCode, Reply
from ..grammar.scheduling import ByMode
from ..grammar.timestamp import write_timestamp
from .queue import Attempt, Message, Result
from .settlement import Done, Fate, Settlement
from .status import Action, DeliveryStatus, RecipientStatus, TypedValue, date_field
from .trace import received_from

__all__ = ["make_status"]

_EXPIRED = EnhancedCode(4, 4, 7)
_TOO_LATE = EnhancedCode(5, 4, 7)  # for BY=...;R (RFC 2852 4.1.3)


def make_status(
    message: Message,
    due: Sequence[tuple[Settlement, Action]],
    *,
    hostname: Host,
    content: bytes = b"",
) -> DeliveryStatus:
    """Return the status of *message* for the settlements of *due*, each with what is reported.

    *hostname* is the name of this server; *content* that of the message, for its Received field.
    """
    client = received_from(content, hostname)
    return DeliveryStatus(
        reporting_mta=_mta_name(str(hostname)),
        envelope_id=message.parameters.envid or "",
        received_from=TypedValue("dns", client) if client else None,
        arrival=message.arrived,
        others=tuple(_others(message)),
        recipients=tuple(_recipient(message, *each) for each in due),
    )


def _others(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the fields that extensions add."""
    parameters = message.parameters
    if parameters.by is not None:  # RFC 2852 5
        yield "Deliver-By-Date", date_field(message.arrived + parameters.by.seconds)
    if parameters.hold_for is not None:  # RFC 4865 5.1.2
        yield "Future-Release-Request", f"for;{parameters.hold_for}"
    if parameters.hold_until is not None:
        yield "Future-Release-Request", f"until;{write_timestamp(parameters.hold_until)}"


def _recipient(message: Message, settlement: Settlement, action: Action) -> RecipientStatus:
    delivery, attempt = settlement.delivery, settlement.last
    original = delivery.parameters.orcpt
    return RecipientStatus(
        final_recipient=_address(OriginalRecipient.of(delivery.recipient)),
        original_recipient=None if original is None else _address(original),
        action=action,
        status=_status(message, settlement, attempt),
        remote_mta=None if attempt is None else _remote(attempt),
        diagnostic_code=None if attempt is None else _diagnostic(attempt),
        last_attempt=None if attempt is None else attempt.at,
        will_retry_until=message.expires if action is Action.DELAYED else None,
    )


def _address(recipient: OriginalRecipient) -> TypedValue:
    return TypedValue(recipient.addr_type, recipient.address)


def _status(message: Message, settlement: Settlement, attempt: Attempt | None) -> EnhancedCode:
    """Return the status of one recipient (RFC 3463): what the reply says, if there is one."""
    by = message.parameters.by
    reply = None if attempt is None else attempt.reply
    match settlement.decision:
        case Done(fate=Fate.EXPIRED):
            return _TOO_LATE if by is not None and by.mode is ByMode.RETURN else _EXPIRED
        case Done(fate=Fate.FAILED):
            return _code_of(reply, (5, 4))
        case Done():
            return _code_of(reply, (2,))
        case _:
            notified = by is not None and by.mode is ByMode.NOTIFY
            return _EXPIRED if notified else _code_of(reply, (4,))  # RFC 2852 4.1.3


def _code_of(reply: Reply | None, classes: tuple[int, ...]) -> EnhancedCode:
    """Return the enhanced code of *reply* if its class is one of *classes*; without one, that of
    the class alone (RFC 3461 6.3)."""
    if reply is None or reply.code // 100 not in classes:
        return EnhancedCode(classes[0], 0, 0)
    return reply.enhanced or EnhancedCode(reply.code // 100, 0, 0)


def _has_answered(attempt: Attempt) -> bool:
    return attempt.result is Result.UNKNOWN or (attempt.reply is not None and not attempt.error)


def _remote(attempt: Attempt) -> TypedValue | None:
    """Return the name of the server that answered, if there was one (RFC 3464 2.3.5)."""
    if not attempt.host or attempt.address.startswith("/") or not _has_answered(attempt):
        return None
    return _mta_name(attempt.host)


def _diagnostic(attempt: Attempt) -> TypedValue | None:
    """Return what the server answered, as it was sent (RFC 3461 9.2), or what failed here."""
    if attempt.error or (attempt.reply is not None and not attempt.host):
        text = attempt.error or str(attempt.reply)
        return TypedValue("x-smtpproto", printable(text))
    if attempt.reply is None:
        return None
    lines = bytes(attempt.reply).decode().removesuffix("\r\n").split("\r\n")
    return TypedValue("smtp", "\n".join(printable(line).rstrip() for line in lines))


def _mta_name(name: str) -> TypedValue:
    """Return *name* with its type, which is ``dns`` only for a full name (RFC 3461 6.3)."""
    try:
        host = to_ascii_host(name)
    except GrammarError:
        return TypedValue("x-local-hostname", printable(name))
    full = not isinstance(host, Domain) or "." in host.name
    return TypedValue("dns" if full else "x-local-hostname", str(host))
