"""What the scenarios share: certificates, and a handler that takes and misbehaves."""

from __future__ import annotations

import ssl
import threading

from attrs import define, field

from smtpproto import (
    Authenticator,
    Envelope,
    ForwardPath,
    Handler,
    RcptParameters,
    Reply,
    Secret,
    Session,
)


class Ann(Authenticator):
    """Lets in who knows Ann's password."""

    def check_password(self, username: str, password: Secret) -> bool:
        return username == "ann" and password == Secret("secret")


@define(frozen=True)
class Certificates:
    """TLS for both sides; *strange* trusts nobody we know."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    strange: ssl.SSLContext


@define(eq=False)
class Inbox(Handler):
    """Takes mail for example.org; async and plain hooks, and some that misbehave."""

    mails: list[tuple[Session, Envelope, bytes]] = field(factory=list)
    closed: threading.Event = field(factory=threading.Event)
    resets: int = 0

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
        self.mails.append((session, envelope, body))
        return Reply(250, "2.0.0", f"queued as {len(self.mails)}")

    def reset(self, session: Session) -> None:
        self.resets += 1

    def close(self, session: Session) -> None:
        self.closed.set()
