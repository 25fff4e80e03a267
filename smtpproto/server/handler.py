"""What an application answers: the hooks of a server, each plain or ``async``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Protocol

from attrs import frozen

from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.command import Command
from ..grammar.domain import Host
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.reply import Reply
from ..grammar.xclient import XClientAttributes, XForwardAttributes
from ..sasl import Identity
from ..tls.filter import TLSInfo
from ..wire.proxy import ProxyHeader

_log = logging.getLogger("smtpproto.server")

Verdict = Reply | None
"""None accepts; a 4yz or 5yz reply refuses; a positive reply accepts with words of one's own."""

Verdicts = Verdict | Iterable[Verdict] | AsyncIterable[Verdict]
"""On a message: one for all recipients; or in LMTP one for each, in the envelope's order, each of
which is sent as soon as it is there (RFC 2033 4.2)."""

Hook = Verdict | Awaitable[Verdict]
MessageHook = Verdicts | Awaitable[Verdicts]
NoReply = None | Awaitable[None]


@frozen(kw_only=True)
class Session:
    """A connection as hooks see it: a value, new whenever something changed."""

    peer: tuple[str, int]
    """Address and port of the client."""
    hello: Host | None = None
    """What the client calls itself. Anybody can say anything."""
    extended: bool = False
    """Whether it said EHLO."""
    tls: TLSInfo | None = None
    """What TLS agreed on; None in clear."""
    user: str | None = None
    """Who logged in; of somebody who acts as another, that other."""
    identity: Identity | None = None
    """Who logged in, in full: by which mechanism, and as whom."""
    lmtp: bool = False
    """Whether LMTP is spoken."""
    early_talk: bool = False
    """Whether the client did not wait for a reply that it had to wait for (RFC 2920 3.1). Programs
    that only send spam do so, and may be refused."""
    proxied: ProxyHeader | None = None
    """What a trusted proxy told of the client, *peer* included."""
    impersonated: XClientAttributes | None = None
    """What a trusted client told of whom it speaks for (XCLIENT); *peer* and *user* are theirs."""
    forwarded: XForwardAttributes | None = None
    """What a trusted client told of where the next message came from (XFORWARD)."""


class Sink(Protocol):
    """Takes the content of one message as it comes. Each method plain or ``async``."""

    def write(self, data: bytes) -> NoReply:
        """Take a slice of content, at most 64 KiB. Lines end with CRLF, and dots are removed; what
        came by BDAT is as the client sent it, which may have a CR or LF alone (RFC 3030 3)."""
        ...

    def commit(self) -> MessageHook:
        """The content is complete. What is durable when this accepts is the server's duty."""
        ...

    def abort(self) -> NoReply:
        """There will be no commit: throw away what was written."""
        ...


class Handler:
    """An application's side of a server. Define what you need; what you leave is sensible.

    A hook answers None to accept or a :class:`~smtpproto.grammar.reply.Reply`. One that raises
    is answered with 451 4.3.0; of the exception only the log knows. Pass one instance to ``serve``
    to share it among connections, or the class (any callable that makes one) for an instance per
    connection, whose attributes are then that connection's state.
    """

    def connect(self, session: Session) -> Hook:
        """A client is there. Refuse with 554 (never here) or 421 (not now)."""
        return None

    def tls(self, session: Session) -> Reply | Awaitable[Reply | None] | None:
        """TLS is there: is what ``session.tls`` says enough? A reply, 554 as a rule, refuses all
        but QUIT (RFC 3207 4.1)."""
        return None

    def ehlo(self, session: Session, host: Host) -> Hook:
        """The client named itself."""
        return None

    def login(self, session: Session, identity: Identity) -> Hook:
        """The client has proved its identity to the server's authenticator.

        A negative reply refuses the login nevertheless: usually 535, or 432 4.7.12 until a new
        password is set (RFC 4954 6).
        """
        return None

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Hook:
        """A transaction begins."""
        return None

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Hook:
        """One more recipient. To accept everybody is to be an open relay."""
        return None

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply | Awaitable[Sink | Reply]:
        """The content is about to come: give a sink for it, or a reply that refuses.

        Left alone, the content is gathered (the limit on message size bounds it) for ``message``.
        """
        return WholeMessage(self, session, envelope)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        """A whole message is there. To accept it is to be responsible for it."""
        return Reply(554, "5.3.2", "No mail is accepted here")

    def vrfy(self, session: Session, name: str) -> NamesHook:
        """VRFY: give the mailbox that *name* stands for, or a reply. Left alone the answer is 252,
        which tells nothing (RFC 5321 7.3); to tell a name that is a list, answer 550 or 252."""
        return None

    def expn(self, session: Session, name: str) -> NamesHook:
        """EXPN: give the mailboxes of the list *name*, one at least, or a reply. Offered by servers
        whose handler defines this; else the answer is 502."""
        return None

    def help(self, session: Session, topic: str) -> Hook:
        """HELP. Left alone the answer lists the commands."""
        return None

    def etrn(self, session: Session, node: str) -> Hook:
        """ETRN: start the queue for *node*. Offered by servers whose handler defines this."""
        return None

    def command(self, session: Session, command: Command) -> Hook:
        """A verb of one's own, as given to ``serve`` in *verbs*; None gives its usual reply."""
        return None

    def reset(self, session: Session) -> NoReply:
        """The open transaction was dropped, by RSET or EHLO."""
        return None

    def close(self, session: Session) -> NoReply:
        """The connection ended, however it did."""
        return None


Names = Verdict | Mailbox | Iterable[Mailbox]
NamesHook = Names | Awaitable[Names]

HandlerSource = Handler | Callable[[], Handler]
"""A handler to share, or what makes one for each connection."""


class WholeMessage:
    """The sink that gathers content for :meth:`Handler.message`."""

    def __init__(self, handler: Handler, session: Session, envelope: Envelope) -> None:
        self._handler, self._session, self._envelope = handler, session, envelope
        self._body = bytearray()  # a list of slices would cost many times their size if small

    def write(self, data: bytes) -> None:
        self._body += data

    def commit(self) -> MessageHook:
        body = bytes(self._body)
        self._body.clear()
        return self._handler.message(self._session, self._envelope, body)

    def abort(self) -> None:
        self._body.clear()


class _Unavailable(Handler):
    """Stands in for a handler that could not be made."""

    def connect(self, session: Session) -> Hook:
        return Reply(421, "4.3.0", "Local error; closing transmission channel")


def handler_of(source: HandlerSource) -> Handler:
    """The handler for one connection; one that answers 421 if *source* raises."""
    if isinstance(source, Handler):
        return source
    try:
        handler = source()
        if isinstance(handler, Handler):
            return handler
        _log.error("no handler was made, but a %s", type(handler).__name__)
    except Exception:
        _log.exception("the handler could not be made")
    return _Unavailable()
