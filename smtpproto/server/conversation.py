"""A server's conversation with a client: greet, read a command, call the hook, reply."""

from __future__ import annotations

import logging
from typing import assert_never

from attrs import define, evolve, field

from ..errors import ConnectionLost, RemoteProtocolError, SMTPError, TimedOut, TLSFailed
from ..events import (
    AuthResponse,
    BodyChunk,
    BodyEnd,
    ChunkEnd,
    Connected,
    Disconnected,
    Rejected,
    ServerEvent,
    Tolerated,
)
from ..grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from ..grammar.extension_command import Auth, Bdat, Etrn, StartTLS, XClient, XForward
from ..grammar.reply import Reply
from ..ports import Runtime, Stream
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from ..protocol.server_replies import SHUTTING_DOWN, TIMED_OUT
from ..sasl import Channel, Identity
from ..tls.filter import Filter
from ..tls.stream import TLSStream, begins_tls
from .auth import Authentication
from .channel import channel_of, without_unoffered_bindings
from .config import ServerConfig
from .content import ContentWriter
from .early_talk import talks_early
from .handler import Handler, HandlerSource, Session, Verdict
from .handler_source import handler_of
from .hooks import NO_TLS_NOW, HookCaller, answer_machine, log_failure
from .networks import is_among
from .patience import Patience
from .setup import make_filter, make_machine, offered_mechanisms
from .tracing import trace_event, trace_replies
from .trust import impersonate, is_trusted, read_proxy_header
from .usage import Account, Usage

_log = logging.getLogger("smtpproto.server")

# Replies to these events are sent before anything more is read (RFC 2920 3.2).
_FLUSHED_AT_ONCE = (Ehlo, Data, ChunkEnd, BodyEnd, Vrfy, Expn, Noop, Quit, Rejected)
_EVENTS_PER_TURN = 64  # a full buffer holds many commands: let other connections run in between


@define(eq=False)
class Conversation:
    """One connection to a server, from the greeting to the end."""

    _stream: Stream
    _source: HandlerSource
    _config: ServerConfig
    _runtime: Runtime
    _usage: Usage | None = None
    """What all connections of the server use; None: this is the only connection."""

    _handler: Handler = field(factory=Handler, init=False)  # replaced by _admit
    _account: Account = field(init=False)
    _refusal: Reply | None = field(default=None, init=False)  # of a connection beyond a limit
    _machine: ServerProtocol = field(init=False)
    _session: Session = field(init=False)
    _hooks: HookCaller = field(init=False)
    _patience: Patience = field(init=False)
    _content: ContentWriter = field(init=False)
    _authentication: Authentication = field(init=False)
    _in_transaction: bool = field(default=False, init=False)  # as it was before the current event
    _events: int = field(default=0, init=False)  # handled so far
    _stopping: bool = field(default=False, init=False)  # stop() was called
    _waiting: bool = field(default=False, init=False)  # for the client; stop() may interrupt
    _nothing_received: bool = field(default=True, init=False)
    _tls_refusal: Verdict = field(default=None, init=False)  # of implicit TLS: becomes the greeting

    def __attrs_post_init__(self) -> None:
        self._session = Session(peer=self._stream.peername, lmtp=self._config.lmtp)
        self._machine = ServerProtocol(hostname=self._config.hostname)  # replaced by _prepare
        self._account = (self._usage or Usage(self._config.limits)).account()
        self._hooks = HookCaller(self._runtime, self._config.timeouts)
        self._patience = Patience(self._runtime.now, self._config.limits, self._config.timeouts)
        self._content = ContentWriter(self._hooks, self._flush, self._account)
        self._authentication = Authentication(self._config, self._runtime, self._account)

    async def run(self) -> None:
        """Serve the client, then close the connection. Errors are logged, not raised."""
        _log.info("connection from %s, %s", *self._session.peer)
        try:
            await self._serve()
        except GeneratorExit:  # the program closes this coroutine: nothing can be awaited now
            raise
        except BaseException:
            await self._close()
            raise
        else:
            await self._close()
        finally:
            self._account.close()
        _log.info("connection from %s, %s ended", *self._session.peer)

    async def _serve(self) -> None:
        try:
            await self._prepare()
            await self._converse()
        except SMTPError as error:
            _log.info("connection from %s, %s broke: %s", *self._session.peer, error)
        except Exception as error:  # a bug ends this connection, not the server
            log_failure("the conversation", error)

    def stop(self) -> None:
        """End the conversation with 421: at once if it waits for the client, but not within a
        message. May be called from another thread."""
        self._stopping = True
        if self._waiting and not self._machine.in_message:
            self._stream.interrupt()

    async def _prepare(self) -> None:
        """Read a PROXY header and start implicit TLS, if configured, and make the machine."""
        await self._admit()
        if self._config.implicit_tls:
            if self._refusal is not None:  # a handshake only for the 421 would cost too much
                raise RemoteProtocolError(self._refusal.text)
            await self._handshake(make_filter(self._config))
            verdict = await self._hooks.ask(self._handler.tls, self._session)
            self._tls_refusal = None if verdict is None or verdict.positive else verdict
        self._machine = make_machine(
            type(self._handler), self._config, self._session.peer[0], self._channel
        )

    async def _admit(self) -> None:
        """Count the connection, in all and for the client's network; note if a limit refuses it. A
        PROXY header, which states the client, is read only if the connection is not refused; nor is
        a handler made before that."""
        self._refusal = self._account.open()
        if self._refusal is None:
            if is_among(self._session.peer[0], self._config.proxied_by):
                await self._read_proxy_header()
            self._refusal = self._count_client(self._session)
        if self._refusal is None:
            self._handler = handler_of(self._source)
        else:
            _log.info("refused a connection: %s", self._refusal.text)

    def _count_client(self, session: Session) -> Reply | None:
        speaks_for_itself = session.proxied is None and session.impersonated is None
        trusted = speaks_for_itself and is_trusted(session.peer[0], self._config)
        return self._account.set_client(session.peer[0], trusted=trusted)

    async def _read_proxy_header(self) -> None:
        self._waiting = True
        try:
            self._stream, header = await read_proxy_header(
                self._stream, self._runtime, self._config
            )
        finally:
            self._waiting = False
        if header.source is not None:
            self._session = evolve(self._session, peer=header.source, proxied=header)
            _log.info("the proxy states that the client is %s, %s", *self._session.peer)

    async def _converse(self) -> None:
        while (event := await self._next_event()) is not None:
            await self._handle(event)
            await self._after_event(event)
            self._note_transaction()
        await self._flush()

    def _note_transaction(self) -> None:
        """Note whether a transaction is open. When it ends, forget XFORWARD: it is for one message
        only."""
        was_open = self._in_transaction
        self._in_transaction = self._machine.transaction.mail is not None
        if was_open and not self._in_transaction and self._session.forwarded is not None:
            self._session = evolve(self._session, forwarded=None)

    async def _after_event(self, event: ServerEvent) -> None:
        """Send the replies that must not wait (RFC 2920 3.2), and let other connections run."""
        if isinstance(event, _FLUSHED_AT_ONCE):
            await self._flush()
        self._events += 1
        if self._events % _EVENTS_PER_TURN == 0:
            await self._runtime.checkpoint()

    async def _close(self) -> None:
        """Call the hooks of the end, also if the connection is cancelled meanwhile; then close."""
        try:
            await self._content.abort()
        finally:
            try:
                if self._refusal is None:
                    await self._hooks.finish(self._handler.close, self._session)
            finally:
                await self._stream.close()

    # -- octets ------------------------------------------------------------------------------

    async def _next_event(self) -> ServerEvent | None:
        """Return the next event, or None at the end.

        Queued replies are sent together, when the buffer has no further event.
        """
        machine, now = self._machine, self._runtime.now
        start = now()
        while (event := machine.next_event()) is None and machine.phase is not Phase.CLOSED:
            await self._flush()
            if machine.phase in (Phase.BODY, Phase.CHUNK):  # refused: each block has its own time
                start = now()
            left = None if machine.timeout is None else max(start + machine.timeout - now(), 0)
            await self._receive(left)
        return event

    async def _receive(self, timeout: float | None) -> None:
        machine = self._machine
        try:
            data = await self._read(timeout)
            self._check_not_tls(data)
            if self._can_stop:
                machine.hang_up(SHUTTING_DOWN)  # data stays unanswered
            else:
                machine.receive(data)
        except TimedOut:
            machine.hang_up(TIMED_OUT)
        except ConnectionLost:
            machine.receive(b"")

    async def _read(self, timeout: float | None) -> bytes:
        in_message = self._machine.in_message
        # stop() may run in another thread. Each side sets its own attribute before it reads that of
        # the other: so what was read before the stop is answered, and nothing is read after it.
        self._waiting = True
        try:
            if self._can_stop:
                return b""
            with self._patience.waiting(timeout, in_message=in_message) as seconds:
                data = await self._stream.read(seconds)
        finally:
            self._waiting = False
        if in_message:
            self._patience.count(len(data))
        return data

    def _check_not_tls(self, data: bytes) -> None:
        """Raise TLSFailed if the client's first octets are a TLS handshake, which is not expected
        here. They are not commands, and the client would not understand an SMTP reply."""
        first, self._nothing_received = self._nothing_received, False
        if first and begins_tls(data):
            raise TLSFailed(
                "the client speaks TLS here", check="its port, or set implicit_tls=True"
            )

    @property
    def _can_stop(self) -> bool:
        return self._stopping and not self._machine.in_message

    async def _flush(self) -> None:
        if data := self._machine.data_to_send():
            trace_replies(self._config.trace, data)
            timeout = self._config.timeouts.command
            with self._patience.waiting(timeout, in_message=False) as seconds:
                await self._stream.write(data, seconds)

    async def _handshake(self, tls: Filter) -> None:
        """Do the TLS handshake, which :meth:`stop` interrupts; then begin a new session."""
        stream = TLSStream(self._stream, tls, self._runtime.now)
        self._waiting = True  # set before _stopping is read, as in _receive
        try:
            if self._stopping:
                self._stream.interrupt()
            await stream.handshake(self._config.timeouts.tls)
        finally:
            self._waiting = False
        self._stream = stream
        self._session = evolve(self._new_session(), tls=stream.info)

    def _new_session(self) -> Session:
        """Return the session as it was at the start: the server must forget what the client sent
        before TLS (RFC 3207 4.2).

        What trusted peers stated is kept. Otherwise the trusted peer's own certificate would be
        taken for that of the client that XCLIENT states.
        """
        old = self._session
        return Session(
            peer=old.peer,
            lmtp=old.lmtp,
            proxied=old.proxied,
            impersonated=old.impersonated,
        )

    # -- events ------------------------------------------------------------------------------

    async def _handle(self, event: ServerEvent) -> None:
        trace_event(self._config.trace, event)
        if talks_early(self._machine, event):
            self._session = evolve(self._session, early_talk=True)
        match event:
            case Command():
                await self._handle_command(event)
            case Connected():
                refusal = self._refusal or self._tls_refusal
                self._answer(refusal or await self._hooks.ask(self._handler.connect, self._session))
            case AuthResponse(response):
                await self._answer_login(await self._authentication.step(response))
            case BodyChunk(data):
                await self._content.write(data)
            case ChunkEnd():
                self._content.end_chunk(self._machine)
            case BodyEnd():
                await self._commit()
            case Rejected() | Disconnected():
                await self._abort_after(event)
            case Tolerated(leniencies, line):
                _log.info("tolerated %s: %s", ", ".join(leniencies), line or "content")
            case _:
                assert_never(event)

    async def _abort_after(self, event: Rejected | Disconnected) -> None:
        """Abort the content, but not for a bad command between chunks, which does not end them."""
        if isinstance(event, Rejected) and event.reply.code == 421:
            _log.info("closing, %s: %s", event.reply.text, event.line)
        if not self._machine.in_message:
            await self._content.abort()

    async def _commit(self) -> None:
        accepted = self._machine.accepted_messages
        await self._content.commit(self._machine)
        self._account.release()
        if self._machine.accepted_messages != accepted:
            self._patience.reset()

    async def _handle_command(self, command: Command) -> None:
        handler, session = self._handler, self._session
        match command:
            case Ehlo():
                await self._handle_hello(command)
            case Mail(path, parameters):
                self._answer(await self._hooks.ask(handler.mail, session, path, parameters))
            case Rcpt(path, parameters):
                self._answer(await self._hooks.ask(handler.rcpt, session, path, parameters))
            case Data() | Bdat():
                await self._content.begin(handler, self._machine, session)
            case Rset():
                await self._drop_transaction()
            case Noop() | Quit():
                pass
            case Vrfy(name):
                self._answer(await self._hooks.ask_lookup(handler.vrfy, session, name))
            case Expn(name):
                self._answer(await self._hooks.ask_lookup(handler.expn, session, name))
            case Help(topic):
                self._answer(await self._hooks.ask(handler.help, session, topic))
            case _:
                await self._handle_extension(command)

    async def _handle_extension(self, command: Command) -> None:
        handler, session = self._handler, self._session
        match command:
            case StartTLS():
                await self._handle_starttls()
            case Auth(mechanism, initial):
                channel = without_unoffered_bindings(self._channel, self._machine.terms.mechanisms)
                step = await self._authentication.begin(mechanism, initial, channel, session.peer)
                await self._answer_login(step)
            case Etrn(node):
                self._answer(await self._hooks.ask(handler.etrn, session, node))
            case XClient():
                await self._handle_xclient(command)
            case XForward(attributes):
                self._answer(None)
                known = session.forwarded
                forwarded = attributes if known is None else known.updated(attributes)
                self._session = evolve(session, forwarded=forwarded)
            case _:
                self._answer(await self._hooks.ask(handler.command, session, command))

    async def _handle_hello(self, command: Ehlo) -> None:
        if self._answer(await self._hooks.ask(self._handler.ehlo, self._session, command.host)):
            extended = not isinstance(command, Helo)
            self._session = evolve(self._session, hello=command.host, extended=extended)
            await self._drop_transaction()

    async def _handle_xclient(self, command: XClient) -> None:
        """Begin a new session, which is that of the client that XCLIENT states."""
        session = impersonate(self._new_session(), self._session, command.attributes)
        channel = evolve(self._channel, certificate=None)  # it belongs to the trusted peer
        machine, mechanisms = self._machine, offered_mechanisms(self._config, channel)
        machine.terms = machine.terms.but(mechanisms=mechanisms)
        refusal = self._count_client(session)
        if self._answer(refusal or await self._hooks.ask(self._handler.connect, session)):
            self._session = session

    async def _handle_starttls(self) -> None:
        try:
            tls = make_filter(self._config)
        except TLSFailed:
            self._answer(NO_TLS_NOW)
            return
        if self._answer(None) and self._machine.phase is Phase.TLS:
            await self._flush()
            await self._handshake(tls)
            verdict = await self._hooks.ask(self._handler.tls, self._session)
            mechanisms = offered_mechanisms(self._config, self._channel)
            self._machine.tls_started(verdict, mechanisms=mechanisms)

    async def _answer_login(self, step: bytes | Identity | Reply) -> None:
        """Answer AUTH or a response: with a challenge, a refusal, or the verdict of ``login``."""
        if isinstance(step, bytes):
            self._machine.challenge(step, refused=self._authentication.refused)
            return
        if isinstance(step, Reply):
            self._answer(step)
        elif self._answer(
            verdict := await self._hooks.ask_login(self._handler.login, self._session, step)
        ):
            self._session = evolve(self._session, user=step.user, identity=step)
        elif verdict is not None and verdict.permanent:
            self._authentication.count_failure()

    @property
    def _channel(self) -> Channel:
        return channel_of(self._session, self._stream, self._runtime, self._config)

    async def _drop_transaction(self) -> None:
        """Abort the content, and call the handler's ``reset`` if a transaction was open."""
        await self._content.abort()
        if self._in_transaction:
            await self._hooks.finish(self._handler.reset, self._session)

    def _answer(self, verdict: Verdict) -> bool:
        return answer_machine(self._machine, verdict)
