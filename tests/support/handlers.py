"""Handlers that many tests serve."""

from __future__ import annotations

from attrs import define, field

from smtpproto import Envelope, Handler, Session


@define(eq=False)
class Inbox(Handler):
    """Accepts every message and keeps it, with its session."""

    messages: list[tuple[Session, Envelope, bytes]] = field(factory=list, init=False)

    @property
    def bodies(self) -> list[bytes]:
        """The content of each message, in the order of arrival."""
        return [body for _, _, body in self.messages]

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.messages.append((session, envelope, body))
