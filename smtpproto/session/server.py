"""A server's conversation: greet, ask the handler, answer."""

from __future__ import annotations

import logging
from typing import assert_never

from attrs import define, evolve, field

from ..errors import ConnectionLost, GrammarError, SMTPError, TimedOut
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
from ..grammar.extended import Auth, Bdat, Etrn, StartTLS, XClient, XForward
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..ports import Stream, World
from ..protocol.events import (
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
from ..protocol.phases import Phase
from ..protocol.replies import SHUTTING_DOWN, TIMED_OUT
from ..protocol.server import ServerProtocol
from ..sasl import SERVERS, Credentials, ServerExchange
from ..secret import Secret
from ..wire.tls import TLSFilter, TLSStream
from .delivery import Delivery
from .early import talks_early
from .handler import Handler, Session, Verdict
from .hooks import answer, ask, ask_names, failed, notify
from .options import ServerConfig, is_among
from .serving import machine_for
from .trusted import impersonated, read_proxy_header

_log = logging.getLogger("smtpproto.server")

_NO_LOGIN_NOW = Reply(454, "4.7.0", "Temporary authentication failure")
_NOT_AUTHENTICATED = Reply(535, "5.7.8", "Authentication credentials invalid")
_NOT_AUTHORIZED = Reply(535, "5.7.8", "Not authorized to act as another")

_AT_ONCE = (Ehlo, Data, ChunkEnd, BodyEnd, Vrfy, Expn, Noop, Quit, Rejected)
_TURN = 64  # events of one connection, which may all be in its buffer, before others get theirs


@define(eq=False)
class Conversation:
    """One connection, from greeting to end."""

    _stream: Stream
    _handler: Handler
    _config: ServerConfig
    _world: World

    _machine: ServerProtocol = field(init=False)
    _session: Session = field(init=False)
    _delivery: Delivery = field(init=False)
    _open: bool = field(default=False, init=False)  # a transaction, before the event at hand
    _exchange: ServerExchange | None = field(default=None, init=False)
    _events: int = field(default=0, init=False)
    _stopping: bool = field(default=False, init=False)
    _waiting: bool = field(default=False, init=False)
    _enough: Verdict = field(default=None, init=False)  # TLS from the first octet, or a refusal

    def __attrs_post_init__(self) -> None:
        self._session = Session(peer=self._stream.peername, lmtp=self._config.lmtp)
        self._machine = ServerProtocol(hostname=self._config.hostname)  # until it is known
        self._delivery = Delivery(self._handler, self._flush)

    async def run(self) -> None:
        """Converse until the end; then close. Raises nothing of its own."""
        _log.info("connection from %s, %s", *self._session.peer)
        try:
            await self._begin()
            await self._converse()
        except SMTPError as error:
            _log.info("connection from %s, %s broke: %s", *self._session.peer, error)
        except Exception as error:  # a fault of ours ends this connection, not the server
            failed("the conversation", error)
        finally:
            await self._close()
        _log.info("connection from %s, %s ended", *self._session.peer)

    def stop(self) -> None:
        """Ask for an end: 421 to a client that is waited for, else after its message."""
        self._stopping = True
        if self._waiting and not self._machine.in_message:
            self._stream.interrupt()

    async def _begin(self) -> None:
        """What comes before SMTP: a proxy's word for the client, and TLS from the first octet."""
        if is_among(self._session.peer[0], self._config.proxied_by):
            await self._take_proxy_header()
        self._machine = machine_for(type(self._handler), self._config, self._session.peer[0])
        if self._config.implicit_tls:
            await self._start_tls()
            verdict = await ask(self._handler.tls, self._session)
            self._enough = None if verdict is None or verdict.positive else verdict

    async def _take_proxy_header(self) -> None:
        self._waiting = True
        try:
            self._stream, header = await read_proxy_header(self._stream, self._world, self._config)
        finally:
            self._waiting = False
        if header.source is not None:
            self._session = evolve(self._session, peer=header.source, proxied=header)
            _log.info("for %s, %s", *self._session.peer)

    async def _converse(self) -> None:
        while (event := await self._next_event()) is not None:
            await self._handle(event)
            await self._between(event)
            self._note_transaction()
        await self._flush()

    def _note_transaction(self) -> None:
        """What XFORWARD told is of one message only."""
        was, self._open = self._open, self._machine.transaction.mail is not None
        if was and not self._open:
            self._session = evolve(self._session, forwarded=None)

    async def _between(self, event: ServerEvent) -> None:
        """Send at once what RFC 2920 3.2 wants sent, and let others have their turn."""
        if isinstance(event, _AT_ONCE):
            await self._flush()
        self._events += 1
        if self._events % _TURN == 0:
            await self._world.checkpoint()

    async def _close(self) -> None:
        try:
            await self._delivery.abort()
            await notify(self._handler.close, self._session)
        except Exception as error:
            failed("the end of a conversation", error)
        finally:
            await self._stream.close()

    # -- octets ------------------------------------------------------------------------------

    async def _next_event(self) -> ServerEvent | None:
        """The next event; None at the end. Replies leave together when no more can be read."""
        machine, now = self._machine, self._world.now
        deadline = None if machine.timeout is None else now() + machine.timeout
        while (event := machine.next_event()) is None and machine.phase is not Phase.CLOSED:
            await self._flush()
            left = None if deadline is None else max(deadline - now(), 0)
            await self._receive(left)
        return event

    async def _receive(self, timeout: float | None) -> None:
        machine = self._machine
        self._waiting = True  # before the look at _stopping: stop() may run in another thread
        try:
            data = b"" if self._may_stop else await self._stream.read(timeout)
            if self._may_stop:
                machine.hang_up(SHUTTING_DOWN)  # and what has come since stays unanswered
            else:
                machine.receive(data)
        except TimedOut:
            machine.hang_up(TIMED_OUT)
        except ConnectionLost:
            machine.receive(b"")
        finally:
            self._waiting = False

    @property
    def _may_stop(self) -> bool:
        return self._stopping and not self._machine.in_message

    async def _flush(self) -> None:
        if data := self._machine.data_to_send():
            self._trace_replies(data)
            await self._stream.write(data, self._config.timeouts.command)

    async def _start_tls(self) -> None:
        context = self._config.context
        assert context is not None
        stream = TLSStream(self._stream, TLSFilter(context, server_side=True), self._world.now)
        await stream.handshake(self._config.timeouts.tls)
        self._stream = stream
        self._session = evolve(self._new_session(), tls=stream.info)

    def _new_session(self) -> Session:
        """The session as it was when it began: nothing said before TLS counts (RFC 3207 4.2)."""
        known = self._session
        return Session(peer=known.peer, lmtp=known.lmtp, proxied=known.proxied)

    # -- events ------------------------------------------------------------------------------

    async def _handle(self, event: ServerEvent) -> None:
        self._trace_event(event)
        self._note_early_talk(event)
        match event:
            case Command():
                await self._obey(event)
            case Connected():
                greeting = self._enough or await ask(self._handler.connect, self._session)
                self._answer(greeting)
            case AuthResponse(response):
                await self._authenticate(response)
            case BodyChunk(data):
                await self._delivery.write(data)
            case ChunkEnd():
                self._delivery.end_chunk(self._machine)
            case BodyEnd():
                await self._delivery.commit(self._machine)
            case Rejected() | Disconnected():
                if not self._machine.in_message:  # chunks may go on after a bad command
                    await self._delivery.abort()
            case Tolerated(leniencies, line):
                _log.info("tolerated %s: %s", ", ".join(leniencies), line)
            case _:
                assert_never(event)

    def _note_early_talk(self, event: ServerEvent) -> None:
        if talks_early(self._machine, event):
            self._session = evolve(self._session, early_talk=True)

    async def _obey(self, command: Command) -> None:
        handler, session = self._handler, self._session
        match command:
            case Ehlo():
                await self._hello(command)
            case Mail(path, parameters):
                self._answer(await ask(handler.mail, session, path, parameters))
            case Rcpt(path, parameters):
                self._answer(await ask(handler.rcpt, session, path, parameters))
            case Data() | Bdat():
                await self._delivery.begin(self._machine, session)
            case Rset():
                await self._dropped()
            case Noop() | Quit():
                pass
            case Vrfy(name):
                self._answer(await ask_names(handler.verify, session, name))
            case Expn(name):
                self._answer(await ask_names(handler.expand, session, name))
            case Help(topic):
                self._answer(await ask(handler.help, session, topic))
            case _:
                await self._obey_extension(command)

    async def _obey_extension(self, command: Command) -> None:
        handler, session = self._handler, self._session
        match command:
            case StartTLS():
                await self._upgrade()
            case Auth(mechanism, initial):
                self._exchange = SERVERS[mechanism]()
                await self._authenticate(initial)
            case Etrn(node):
                self._answer(await ask(handler.etrn, session, node))
            case XClient():
                await self._impersonate(command)
            case XForward(attributes):
                self._answer(None)
                known = session.forwarded
                told = attributes if known is None else known.updated(attributes)
                self._session = evolve(session, forwarded=told)
            case _:
                self._answer(await ask(handler.command, session, command))

    async def _hello(self, event: Ehlo) -> None:
        if self._answer(await ask(self._handler.hello, self._session, event.host)):
            extended = not isinstance(event, Helo)
            self._session = evolve(self._session, hello=event.host, extended=extended)
            await self._dropped()

    async def _impersonate(self, command: XClient) -> None:
        """XCLIENT: the session begins again, as that of another."""
        session = impersonated(self._new_session(), self._session, command.attributes)
        if self._answer(await ask(self._handler.connect, session)):
            self._session = session

    async def _upgrade(self) -> None:
        if self._answer(None) and self._machine.phase is Phase.TLS:
            await self._flush()
            await self._start_tls()
            self._machine.tls_started(await ask(self._handler.tls, self._session))

    async def _authenticate(self, response: Secret | None) -> None:
        """Take the exchange one step on."""
        assert self._exchange is not None
        try:
            step = self._exchange.initial() if response is None else self._exchange.step(response)
        except GrammarError as error:
            self._answer(error.reply or _NOT_AUTHENTICATED)
            return
        if isinstance(step, bytes):
            self._machine.challenge(step)
        elif self._answer(await self._check(step)):
            self._session = evolve(self._session, user=step.username)

    async def _check(self, credentials: Credentials) -> Verdict:
        if credentials.authzid not in ("", credentials.username):
            return _NOT_AUTHORIZED
        hook = self._handler.authenticate
        verdict = await ask(hook, self._session, credentials, failure=_NO_LOGIN_NOW)
        again = isinstance(verdict, Reply) and verdict.intermediate  # but the exchange is over
        return _NO_LOGIN_NOW if again else verdict

    async def _dropped(self) -> None:
        """Throw away what an open transaction had, and tell the handler that it is gone."""
        await self._delivery.abort()
        if self._open:
            await notify(self._handler.reset, self._session)

    def _answer(self, verdict: Verdict) -> bool:
        return answer(self._machine, verdict)

    # -- the trace ---------------------------------------------------------------------------

    def _trace_event(self, event: ServerEvent) -> None:
        if self._config.trace is None:
            return
        match event:
            case Command():
                self._config.trace("C", str(event))
            case Rejected(line):
                self._config.trace("C", line)
            case BodyEnd(size):
                self._config.trace("C", f"[{size} octets of content]")
            case AuthResponse():
                self._config.trace("C", "***")

    def _trace_replies(self, data: bytes) -> None:
        if self._config.trace is not None:
            for line in data.decode().removesuffix("\r\n").split("\r\n"):
                shown = "334 ***" if line.startswith("334 ") else printable(line)
                self._config.trace("S", shown)
