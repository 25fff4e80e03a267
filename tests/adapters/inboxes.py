"""Certificates and an inbox for the tests of the adapters."""

from __future__ import annotations

import ssl
import threading

from attrs import define, field

from smtpproto import (
    Envelope,
    ForwardPath,
    RcptParameters,
    Reply,
    Session,
)
from tests.support import handlers


@define(frozen=True)
class Certificates:
    """TLS contexts of a server for localhost and of a client that trusts its CA."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@define(eq=False)
class Inbox(handlers.Inbox):
    """Accepts and records messages for example.org.

    It has async and plain hooks. They raise for the recipient *trouble*, and for content that
    begins with "raise".
    """

    closed: threading.Event = field(factory=threading.Event)
    """Set when a connection has ended."""
    resets: int = 0
    """How often the reset hook was called."""

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part == "trouble":
            raise LookupError("secret of the house\r\n250 OK")
        if recipient.domain != "example.org":
            return Reply(550, "5.7.1", "Relaying denied")
        return None

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if b"raise" in body[:20]:
            raise OSError("disk full")
        self.messages.append((session, envelope, body))
        return Reply(250, "2.0.0", f"queued as {len(self.messages)}")

    def reset(self, session: Session) -> None:
        self.resets += 1

    def close(self, session: Session) -> None:
        self.closed.set()
