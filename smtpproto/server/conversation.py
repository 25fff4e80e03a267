"""A server's conversation: greet, ask the handler, answer."""

from __future__ import annotations

import logging
from typing import assert_never

from attrs import define, evolve, field

from ..errors import ConnectionLost, SMTPError, TimedOut, TLSFailed
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
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..ports import Runtime, Stream
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from ..protocol.server_replies import SHUTTING_DOWN, TIMED_OUT
from ..sasl import BY_NAME, Channel, Identity
from ..tls.context import Context
from ..tls.filter import Filter
from ..tls.stream import TLSStream, begins_tls, filter_for
from .auth import Authentication
from .config import ServerConfig
from .content import Delivery
from .early_talk import talks_early
from .handler import Handler, Session, Verdict
from .hooks import NO_TLS_NOW, answer, ask, ask_login, ask_names, failed, notify
from .networks import is_among
from .setup import machine_for, mechanisms
from .trust import impersonated, read_proxy_header

_log = logging.getLogger("smtpproto.server")

_AT_ONCE = (Ehlo, Data, ChunkEnd, BodyEnd, Vrfy, Expn, Noop, Quit, Rejected)
_TURN = 64  # events of one connection, which may all be in its buffer, before others get theirs


@define(eq=False)
class Conversation:
    """One connection, from greeting to end."""

    _stream: Stream
    _handler: Handler
    _config: ServerConfig
    _runtime: Runtime

    _machine: ServerProtocol = field(init=False)
    _session: Session = field(init=False)
    _delivery: Delivery = field(init=False)
    _open: bool = field(default=False, init=False)  # a transaction, before the event at hand
    _authentication: Authentication = field(init=False)
    _events: int = field(default=0, init=False)
    _stopping: bool = field(default=False, init=False)
    _waiting: bool = field(default=False, init=False)
    _silent: bool = field(default=True, init=False)  # the client, until now
    _enough: Verdict = field(default=None, init=False)  # TLS from the first octet, or a refusal

    def __attrs_post_init__(self) -> None:
        self._session = Session(peer=self._stream.peername, lmtp=self._config.lmtp)
        self._machine = ServerProtocol(hostname=self._config.hostname)  # until it is known
        self._delivery = Delivery(self._handler, self._flush)
        self._authentication = Authentication(self._config, self._runtime)

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
        if self._config.implicit_tls:
            await self._start_tls(self._filter())
            verdict = await ask(self._handler.tls, self._session)
            self._enough = None if verdict is None or verdict.positive else verdict
        self._machine = machine_for(
            type(self._handler), self._config, self._session.peer[0], self._channel
        )

    async def _take_proxy_header(self) -> None:
        self._waiting = True
        try:
            self._stream, header = await read_proxy_header(
                self._stream, self._runtime, self._config
            )
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
            await self._runtime.checkpoint()

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
        machine, now = self._machine, self._runtime.now
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
            self._listen(data)
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

    def _listen(self, data: bytes) -> None:
        """Raise TLSFailed for a client whose first octets are TLS where none is expected: they are
        no commands, and whatever was answered to them would not be understood."""
        first, self._silent = self._silent, False
        if first and begins_tls(data):
            raise TLSFailed("the client speaks TLS here", check="its port, or implicit_tls")

    @property
    def _may_stop(self) -> bool:
        return self._stopping and not self._machine.in_message

    async def _flush(self) -> None:
        if data := self._machine.data_to_send():
            self._trace_replies(data)
            await self._stream.write(data, self._config.timeouts.command)

    async def _start_tls(self, tls: Filter) -> None:
        """The handshake; :meth:`stop` ends it."""
        stream = TLSStream(self._stream, tls, self._runtime.now)
        self._waiting = True  # before the look at _stopping, as in _receive
        try:
            if self._stopping:
                self._stream.interrupt()
            await stream.handshake(self._config.timeouts.tls)
        finally:
            self._waiting = False
        self._stream = stream
        self._session = evolve(self._new_session(), tls=stream.info)

    def _filter(self) -> Filter:
        """TLS for a handshake that is about to begin. Raises TLSFailed if there can be none."""
        source = self._config.context
        try:
            context = source if isinstance(source, Context) or source is None else source()
            if not isinstance(context, Context):
                raise TypeError(f"no context for TLS, but a {type(context).__name__}")
            return filter_for(context, server_side=True)
        except Exception as error:
            failed("the context for TLS", error)
            raise TLSFailed("there is no context for TLS", phase="TLS") from None

    def _new_session(self) -> Session:
        """The session as it was when it began: nothing said before TLS counts (RFC 3207 4.2), but
        for whom a trusted peer speaks: the certificate is not of the one whose address it told."""
        known = self._session
        return Session(
            peer=known.peer,
            lmtp=known.lmtp,
            proxied=known.proxied,
            impersonated=known.impersonated,
        )

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
                await self._log_in(await self._authentication.step(response))
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
                self._answer(await ask_names(handler.vrfy, session, name))
            case Expn(name):
                self._answer(await ask_names(handler.expn, session, name))
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
                begun = self._authentication.begin(
                    mechanism, initial, self._bound_channel, session.peer
                )
                await self._log_in(await begun)
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
        if self._answer(await ask(self._handler.ehlo, self._session, event.host)):
            extended = not isinstance(event, Helo)
            self._session = evolve(self._session, hello=event.host, extended=extended)
            await self._dropped()

    async def _impersonate(self, command: XClient) -> None:
        """XCLIENT: the session begins again, as that of another."""
        session = impersonated(self._new_session(), self._session, command.attributes)
        channel = evolve(self._channel, certificate=None)  # which is not that of the other
        self._machine.mechanisms = mechanisms(self._config, channel)
        if self._answer(await ask(self._handler.connect, session)):
            self._session = session

    async def _upgrade(self) -> None:
        try:
            tls = self._filter()
        except TLSFailed:
            self._answer(NO_TLS_NOW)
            return
        if self._answer(None) and self._machine.phase is Phase.TLS:
            await self._flush()
            await self._start_tls(tls)
            verdict = await ask(self._handler.tls, self._session)
            self._machine.tls_started(verdict, mechanisms=mechanisms(self._config, self._channel))

    async def _log_in(self, step: bytes | Identity | Reply) -> None:
        """Answer AUTH, or one of its responses."""
        if isinstance(step, bytes):
            self._machine.challenge(step, refused=self._authentication.refused)
            return
        if isinstance(step, Reply):
            self._answer(step)
        elif self._answer(await ask_login(self._handler.login, self._session, step)):
            self._session = evolve(self._session, user=step.user, identity=step)

    @property
    def _bound_channel(self) -> Channel:
        """The channel, with bindings only if a client was offered to use them: what says that it
        was not offered any would else be taken for the victim of a downgrade (RFC 5802 6)."""
        offered = any(BY_NAME[name].binds for name in self._machine.mechanisms)
        return self._channel if offered else evolve(self._channel, bindings={})

    @property
    def _channel(self) -> Channel:
        """What the exchanges of SASL may know of this connection."""
        tls, impersonated = self._session.tls, self._session.impersonated is not None
        verified = tls is not None and tls.verified and not impersonated
        return Channel(
            random=self._runtime.random,
            in_thread=self._runtime.in_thread,
            now=self._runtime.now(),
            secure=tls is not None,
            bindings={} if tls is None else tls.bindings,
            certificate=tls.peer_certificate if tls is not None and verified else None,
            host=str(self._config.hostname),
            port=self._stream.sockname[1],
        )

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
