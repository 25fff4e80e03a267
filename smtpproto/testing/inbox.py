"""``Inbox``: a handler that accepts every message and keeps it, for tests."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property

from attrs import field, frozen

from ..grammar.envelope import Envelope
from ..server.handler import Handler, MessageHook, Session
from ..tls.filter import TLSInfo

__all__ = ["Inbox", "ReceivedMessage"]


@frozen(repr=False)
class ReceivedMessage:
    """A message that a test server has accepted."""

    envelope: Envelope
    """Sender and recipients, with the parameters of MAIL and RCPT."""
    content: bytes
    """The content as it arrived: lines end with CRLF, dot-stuffing is removed."""
    session: Session = field(eq=False)
    """The connection that it came over."""

    @property
    def mail_from(self) -> str:
        """The sender of the envelope; ``""`` for the null path of a bounce."""
        return str(self.envelope.sender)

    @property
    def rcpt_tos(self) -> list[str]:
        """The recipients of the envelope that the server accepted, in order."""
        return [str(path) for path in self.envelope.recipients]

    @property
    def user(self) -> str | None:
        """The user who logged in, or None."""
        return self.session.user

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS negotiated; None if the message came in clear."""
        return self.session.tls

    @cached_property
    def parsed(self) -> EmailMessage:
        """The message as the standard library reads it: ``parsed["Subject"]``."""
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        """The plain text of the body, with ``\\n`` at the end of lines; ``""`` without one."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML of the body; ``""`` without one."""
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.parsed.get_body((kind,))
        text: str = "" if part is None else part.get_content()
        return text.replace("\r\n", "\n")

    def __repr__(self) -> str:
        sender, recipients = self.mail_from or "<>", ", ".join(self.rcpt_tos)
        subject, size = str(self.parsed["Subject"] or ""), len(self.content)
        return f"<ReceivedMessage {subject!r} from {sender} to {recipients}, {size} octets>"


class Inbox(Handler):
    """Accepts every message for every recipient, and appends it to :attr:`messages`."""

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []
        """What has arrived, the oldest message first."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        """Keep the message."""
        self.messages.append(ReceivedMessage(envelope, body, session))
        return None
