"""``mail.example.org``, the mail server that the pages send to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import trustme

from smtpproto import (
    Envelope,
    ForwardPath,
    Limits,
    PlainPasswords,
    RcptParameters,
    Reply,
    ServerOptions,
    Session,
    TokenClaim,
    TokenRefused,
)
from smtpproto.adapters import blocking
from smtpproto.testing import Inbox, ReceivedMessage

USERS = {"ann": "secret", "ann@example.org": "secret"}
NAMES = ("mail.example.org", "mx.example.org", "smtp.example.org", "localhost")


class MailHost(Inbox):
    """Knows everybody but nobody@..., keeps the mail, and has a queue id for each message. It
    refuses full@... for now, and later@... only the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.greylisted = False

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part == "nobody":
            return Reply(550, "5.1.1", "No such user")
        if recipient.local_part == "full":
            return Reply(452, "4.2.2", "Mailbox full")
        if recipient.local_part == "later" and not self.greylisted:
            self.greylisted = True
            return Reply(451, "4.7.1", "Greylisted")
        return None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply:
        super().message(session, envelope, body)
        return Reply(250, "2.0.0", f"queued as 4F2{len(self.messages):X}")


class Accounts(PlainPasswords):
    """Users with a password, and with the token of the page on OAuth."""

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        return claim.username if claim.token == "ya29.new" else TokenRefused()

    def is_dialled_as(self, host: str, port: int, channel: object) -> bool:
        """Return True: the ports of pages are not those of the servers."""
        return True


@cache
def authority() -> trustme.CA:
    """Return the authority that the pages trust as a CA of the system."""
    return trustme.CA()


@cache
def _context() -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority().issue_cert(*NAMES).configure_cert(context)
    return context


@contextmanager
def running() -> Iterator[list[ReceivedMessage]]:
    """Run the server on its three ports; yield what arrives."""
    host = MailHost()
    with ExitStack() as stack:
        for port in (25, 465, 587):
            stack.enter_context(blocking.serve(host, port=port, **_options(port)))
        yield host.messages


def _options(port: int) -> ServerOptions:
    options: ServerOptions = {"hostname": "mail.example.org", "context": _context()}
    if port != 25:
        options["authenticator"] = Accounts(USERS)
        options["require_auth"] = True
        options["limits"] = Limits(failed_login_delay=0)
        options["implicit_tls"] = port == 465
    return options
