"""Handlers that many tests serve."""

from __future__ import annotations

from collections.abc import Awaitable

from attrs import define, field

from smtpproto import Envelope, Handler, MailParameters, Reply, ReversePath, Session
from smtpproto.server.handler import Verdict


@define(eq=False)
class Inbox(Handler):
    """Accepts every message and keeps it, with its session."""

    messages: list[tuple[Session, Envelope, bytes]] = field(factory=list, init=False)

    @property
    def bodies(self) -> list[bytes]:
        """The content of each message, in the order of arrival."""
        return [body for _, _, body in self.messages]

    def message(
        self, session: Session, envelope: Envelope, body: bytes
    ) -> Verdict | Awaitable[Verdict]:
        self.messages.append((session, envelope, body))
        return None


@define(eq=False)
class Guard(Handler):
    """Records the session of each connect and MAIL, and refuses the client at address *refuse*."""

    seen: list[Session] = field(factory=list)
    refuse: str = "none"

    def connect(self, session: Session) -> Verdict:
        self.seen.append(session)
        refused = session.peer[0] == self.refuse
        return Reply(554, "5.7.1", "Not you") if refused else None

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.seen.append(session)
        return None
