"""A property test of a handler: random sessions look for a message that is lost or doubled.

``pytest property_test.py`` runs it; it needs ``smtpproto-sansio[test]``.
"""

from __future__ import annotations

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.testing.handler_machine import HandlerMachine


class Mailboxes(Handler):
    """The handler under test: stores each message for each of its recipients."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, bytes]] = []

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if recipient.domain == "example.org" else Reply(550, "5.1.1", "No such user")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.stored += [(str(recipient), body) for recipient in envelope.recipients]


class MailboxesMachine(HandlerMachine):
    """What it accepts, it stores once; what it refuses, it does not store."""

    def handler(self) -> Handler:
        self.mailboxes = Mailboxes()
        return self.mailboxes

    def stored(self) -> list[tuple[str, bytes]]:
        return self.mailboxes.stored


TestMailboxes = MailboxesMachine.TestCase
