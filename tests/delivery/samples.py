"""A message to deliver, for the tests of deliverers."""

from __future__ import annotations

import io
from collections.abc import Sequence

from smtpproto import Body, ForwardPath, MailParameters, ReversePath
from smtpproto.mta import Delivery, Message

ANN, BOB = (ForwardPath.of(f"{user}@example.org") for user in ("ann", "bob"))
SENDER = "zoe@example.net"
CONTENT = b"Subject: x\r\n\r\nhello\r\n"


def queued(
    *recipients: ForwardPath, sender: str = SENDER, size: int = len(CONTENT), binary: bool = False
) -> tuple[Message, Sequence[Delivery]]:
    """Return a message from *sender*, and its deliveries."""
    message = Message(
        id="01kdvdna00z5kvvbyz1sske4zr",
        sender=ReversePath.of(sender),
        parameters=MailParameters(body=Body.BINARY_MIME if binary else None),
        size=size,
        arrived=0,
        expires=1,
    )
    deliveries = [
        Delivery(message=message.id, number=number, recipient=it, due=0)
        for number, it in enumerate(recipients)
    ]
    return message, deliveries


def read_once(error: Exception) -> io.BytesIO:
    """Return a content that can be read for one recipient, and raises *error* for the next."""

    class Content(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if self.tell():
                raise error
            return super().seek(offset, whence)

    return Content(CONTENT)


def fields(recipient: ForwardPath, sender: str = SENDER) -> bytes:
    """Return the fields of final delivery, with LF line ends."""
    return f"Return-Path: <{sender}>\nDelivered-To: {recipient}\n".encode()


def stored(recipient: ForwardPath, content: bytes = CONTENT) -> bytes:
    """Return what a mailbox gets."""
    return fields(recipient) + content.replace(b"\r\n", b"\n")
