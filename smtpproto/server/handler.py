"""The application's side of a server: hooks, sinks, and the session that they see."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from io import BytesIO
from operator import attrgetter
from typing import Protocol

from attrs import fields, frozen

from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.command import Command
from ..grammar.domain import HelloHost
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.reply import Reply
from ..grammar.xclient import XClientAttributes, XForwardAttributes
from ..option_types import checked, maker
from ..sasl import Identity
from ..tls.filter import TLSInfo
from ..wire.proxy import ProxyHeader
from .usage import Account

Verdict = Reply | None
"""What a hook decides: None accepts with the default reply, a 4yz or 5yz reply refuses, and a
positive reply accepts with a text of your own."""

Verdicts = Verdict | Iterable[Verdict] | AsyncIterable[Verdict]
"""What a hook decides about a message: one verdict for all recipients. In LMTP it may also be one
verdict for each recipient, in the envelope's order; each is sent as soon as it is known
(RFC 2033 4.2)."""

Hook = Verdict | Awaitable[Verdict]
"""What most hooks return; those of an ``async def`` are awaited."""
MessageHook = Verdicts | Awaitable[Verdicts]
"""What the hook ``message`` returns."""
NoReply = None | Awaitable[None]
"""What hooks return that no reply follows from."""


@checked
@frozen(kw_only=True)
class Session:
    """What is known about a connection and its client. A hook receives it as first argument.

    A session is an immutable value: when something changes, the next hook receives a new one.
    STARTTLS begins a new session, which keeps only what trusted peers stated (RFC 3207 4.2).
    """

    peer: tuple[str, int]
    """Address and port of the client: as the socket has them, or as a trusted proxy (PROXY) or a
    trusted client (XCLIENT) states them. An unknown address is ``""``."""
    hello: HelloHost | None = None
    """The name that the client gave in EHLO, HELO or LHLO; it proves nothing. None before that."""
    extended: bool = False
    """Whether the client greeted with EHLO or LHLO, and so may use extensions."""
    tls: TLSInfo | None = None
    """What the TLS handshake negotiated and verified; None without TLS."""
    user: str | None = None
    """The user that the client acts for: the one who logged in, or the one whom that user acts as.
    None without a login. After XCLIENT it is the login that XCLIENT states."""
    identity: Identity | None = None
    """The login in full: mechanism, user name and authorization identity. None without AUTH."""
    lmtp: bool = False
    """Whether the protocol is LMTP (RFC 2033) instead of SMTP."""
    early_talk: bool = False
    """Whether the client has sent commands without waiting for a reply that it had to wait for
    (RFC 2920 3.1). Spam programs do this; a hook may refuse them."""
    proxied: ProxyHeader | None = None
    """The header that a trusted proxy sent in front of the connection; *peer* is taken from it."""
    impersonated: XClientAttributes | None = None
    """What a trusted client stated by XCLIENT about the client that it speaks for; *peer* and
    *user* are taken from it."""
    forwarded: XForwardAttributes | None = None
    """What a trusted client stated by XFORWARD about the origin of the current or next message.
    It is for logs: *peer* and *user* do not change."""


new_session: Callable[..., Session] = maker(Session, "peer", "lmtp", "proxied", "impersonated")
"""Returns a new session from values that the server has made itself."""

_FIELDS = tuple(one.name for one in fields(Session))
_values = attrgetter(*_FIELDS)
_make_session = maker(Session, *_FIELDS)


def changed(session: Session, **changes: object) -> Session:
    """Return *session* with *changes*, which the server has made itself."""
    return _make_session(**dict(zip(_FIELDS, _values(session), strict=True)) | changes)


class Sink(Protocol):
    """The receiver of one message's content, as :meth:`Handler.data` returns it.

    The server calls :meth:`write` any number of times, then exactly one of :meth:`commit` and
    :meth:`abort`. Each method may be plain or ``async``. If one raises, the client receives 451.
    """

    def write(self, data: bytes, /) -> NoReply:
        """Store the next octets of content, at most 128 KiB.

        From DATA, lines end with CRLF and dot-stuffing is removed. From BDAT, the octets are as the
        client sent them, and may contain CR or LF alone (RFC 3030 3).
        """
        ...

    def commit(self) -> MessageHook:
        """Accept or refuse the complete content, as :meth:`Handler.message` does.

        To accept is to take responsibility: make the message durable before you return
        (RFC 5321 4.2.5).
        """
        ...

    def abort(self) -> NoReply:
        """Discard what was written: the message will not be completed."""
        ...


class Handler:
    """An application's side of a server: subclass it, and define the hooks that you need.

    ::

        class Inbox(Handler):
            async def rcpt(self, session, recipient, parameters):
                if recipient.domain != "example.org":
                    return Reply(550, "5.7.1", "Relaying denied")

            async def message(self, session, envelope, body):
                await store(envelope, body)

    A hook for a command is named after its verb: *ehlo*, *mail*, *rcpt*,
    *data*, *vrfy*, *expn*, *help*, *etrn*. A hook for another event is named after the event:
    *connect*, *tls*, *login*, *message*, *command*, *reset*, *close*.

    A hook may be plain or ``async``. Use plain hooks with a blocking server; with asyncio or trio,
    a plain hook that waits holds up all connections. The result decides what the client receives:

    * None accepts with the default reply.
    * A :class:`~smtpproto.grammar.reply.Reply` with a 4yz or 5yz code refuses, and one with a
      positive code accepts with a text of your own. With 421 the connection ends.
    * If the hook raises anything, or returns a value of another type, the client receives 451
      4.3.0. The error is logged, and never shown to the client. The same happens if an ``async``
      hook takes longer than :attr:`.Timeouts.hook`: it is cancelled. Nothing can interrupt a plain
      hook.

    Commands reach a hook only if they are well-formed, in order and within the limits; the server
    refuses all others itself. The hooks of one connection run one at a time.

    Give ``serve`` an instance to share it among all connections. Or give it the class, or any
    callable that returns a handler, to have an instance for each connection; its attributes are
    then that connection's state. A blocking server calls a shared handler from many threads.
    """

    def connect(self, session: Session) -> Hook:
        """A client has connected. Refuse it with 554 (permanently) or 421 (for now).

        Called again after XCLIENT, with the session of the client that XCLIENT states.
        """
        return None

    def tls(self, session: Session) -> Hook:
        """A TLS handshake has succeeded; ``session.tls`` says what it negotiated.

        If you return a negative reply, usually 554, the server accepts only QUIT from then on
        (RFC 3207 4.1).
        """
        return None

    def ehlo(self, session: Session, host: HelloHost) -> Hook:
        """EHLO, HELO or LHLO: the client names itself *host*, which proves nothing.

        *host* is a MalformedHost if the name is neither a domain nor an address literal.
        """
        return None

    def login(self, session: Session, identity: Identity) -> Hook:
        """The server's authenticator has verified *identity*, by AUTH.

        Return a negative reply to refuse the login nevertheless: usually 535, or 432 4.7.12 if the
        user must set a new password first (RFC 4954 6). If this hook raises, the client receives
        454 4.7.0.
        """
        return None

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Hook:
        """MAIL: a transaction begins. The sender of a bounce is the null path, ``<>``."""
        return None

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Hook:
        """RCPT: one more recipient. A server that accepts every recipient is an open relay."""
        return None

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply | Awaitable[Sink | Reply]:
        """DATA, or the first BDAT of a message: return a sink for the content, or refuse it.

        *envelope* holds the sender and the recipients that were accepted. The default collects the
        content in memory, up to the limit on message size, and passes it to :meth:`message`.
        """
        return WholeMessage(self, session, envelope)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        """A message is complete. The default refuses it.

        To accept is to take responsibility: make the message durable before you return
        (RFC 5321 4.2.5). With LMTP you may return a verdict for each recipient: see
        :data:`Verdicts`.
        """
        return Reply(554, "5.3.2", "No mail is accepted here")

    def vrfy(self, session: Session, name: str) -> LookupHook:
        """VRFY: return the mailbox of the user *name*, or a reply.

        None, the default, answers 252, which reveals nothing (RFC 5321 7.3). If *name* is a mailing
        list, answer 550 or 252.
        """
        return None

    def expn(self, session: Session, name: str) -> LookupHook:
        """EXPN: return the mailboxes of the mailing list *name*, at least one, or a reply.

        EXPN is offered only if the handler defines this hook; otherwise the server answers 502.
        """
        return None

    def help(self, session: Session, topic: str) -> Hook:
        """HELP, with an optional *topic* (else ``""``). The default lists the commands."""
        return None

    def etrn(self, session: Session, node: str) -> Hook:
        """ETRN: start the queue for *node* (RFC 1985).

        ETRN is offered only if the handler defines this hook.
        """
        return None

    def command(self, session: Session, command: Command) -> Hook:
        """A verb of your own, from *verbs* of ``serve``. None accepts with its default reply."""
        return None

    def reset(self, session: Session) -> NoReply:
        """The client has dropped the open transaction by RSET, EHLO or HELO."""
        return None

    def close(self, session: Session) -> NoReply:
        """The connection has ended, for whatever reason. Called once for each connection, also for
        one that ended before :meth:`connect`, but not if a limit refused it, or if the header of a
        proxy was missing; then no handler is made either."""
        return None


LookupResult = Verdict | Mailbox | Iterable[Mailbox]
"""What VRFY or EXPN has found: mailboxes, or a verdict as of other hooks."""
LookupHook = LookupResult | Awaitable[LookupResult]
"""What the hooks ``vrfy`` and ``expn`` return."""

HandlerSource = Handler | Callable[[], Handler]
"""A handler that all connections share, or a callable that makes one for each connection."""


class WholeMessage:
    """The default sink: collects the content in memory for :meth:`Handler.message`.

    A server bounds the memory of all messages that it collects at a time: see
    :attr:`.Limits.memory`.
    """

    def __init__(self, handler: Handler, session: Session, envelope: Envelope) -> None:
        self._handler = handler
        self._session = session
        self._envelope = envelope
        # A list of small slices would need many times the memory; a bytearray, a copy at the end.
        self._body = BytesIO()
        self.account: Account | None = None
        """Counts the memory of the content."""
        self._refusal: Reply | None = None

    def write(self, data: bytes) -> None:
        """Append *data* to the content; without memory for it, refuse the message at its end."""
        if self.account is not None and self._refusal is None:
            self._refusal = self.account.reserve(len(data))
        if self._refusal is None:
            self._body.write(data)
        else:
            self.abort()

    def commit(self) -> MessageHook:
        """Pass the content to the handler, and return its verdict."""
        if self._refusal is not None:
            return self._refusal
        body, self._body = self._body.getvalue(), BytesIO()
        return self._handler.message(self._session, self._envelope, body)

    def abort(self) -> None:
        """Discard the content."""
        self._body = BytesIO()
        if self.account is not None:
            self.account.release()
