"""Delivery reports read: by RFC 3464, else in the forms that programs used before it."""

from __future__ import annotations

import re

from attrs import evolve, frozen

from ..grammar.pattern import pattern
from ..mail.parts import ReadPart, parts_of, read_header
from .older_reports import older_status, returned_copy
from .status import DeliveryStatus, RecipientStatus

__all__ = ["Report", "read_report"]

_MAX_CONTENT = 1024 * 1024  # octets of a message that are looked at
_RETURNED = (
    "message/rfc822", "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers",
    "message/global", "message/global-headers",
)  # fmt: skip
_INLINE = pattern(rb"^Reporting-MTA[ \t]*:", re.IGNORECASE | re.MULTILINE)
_STATUS = ("message/delivery-status", "message/global-delivery-status")


@frozen(kw_only=True)
class Report:
    """A delivery report that was received."""

    status: DeliveryStatus
    """What it says of whom. ``status.faults`` tells whether it keeps to RFC 3464."""
    standard: bool
    """Whether it is in the form of RFC 3464. The recipients of older forms are guessed from text
    for people: confirm them, by VERP for example, before you act on them."""
    text: str = ""
    """The part for people, with LF line ends."""
    returned: bytes = b""
    """The message that it returns, or its header; b"" if it returns nothing."""

    @property
    def recipients(self) -> tuple[RecipientStatus, ...]:
        """Whom it is about, and what happened to the message for each."""
        return self.status.recipients

    @property
    def message_id(self) -> str:
        """The Message-ID of the message that it returns, or ""."""
        return read_header(self.returned.partition(b"\r\n\r\n")[0]).get("message-id", "")


def read_report(content: bytes) -> Report | None:
    """Return the delivery report in *content*, a whole message; None if it is not one.

    Anything may be passed: it never raises. Only the first MiB is read.
    """
    whole, *parts = parts_of(content[:_MAX_CONTENT])
    parts = parts or [whole]
    found = _standard(parts)
    if found is None and whole.type == "multipart/mixed":  # a report may be forwarded in another
        inner = next((part.body for part in parts if part.type == "message/rfc822"), b"")
        found = _standard(parts_of(inner))
    status = found or older_status(whole.header, parts)
    if status is None:
        return None
    returned = next((part.body for part in parts if part.type in _RETURNED), b"")
    returned = returned or returned_copy(parts)
    text = next((part.text for part in parts if part.type == "text/plain"), "")
    return Report(status=status, standard=found is not None, text=text, returned=returned)


def _standard(parts: list[ReadPart]) -> DeliveryStatus | None:
    """Return the status in the first part of its type that names a recipient."""
    for part in parts:
        if part.type in _STATUS:
            status = DeliveryStatus.read(part.body)
            if status.recipients:
                return status
    for part in parts:  # it may stand in the text, if the boundary was lost
        if part.type == "text/plain" and (found := _INLINE.search(part.body)):
            status = DeliveryStatus.read(part.body[found.start() :])
            if status.recipients:
                return evolve(status, faults=("it has no part of its own", *status.faults))
    return None
