"""A connection to a server: what the adapters run for each client."""

from __future__ import annotations

import logging
from contextlib import suppress

from attrs import define, field

from ..errors import ConnectionLost, RemoteProtocolError, SMTPError, TimedOut, TLSFailed
from ..grammar.reply import Reply
from ..limits import LINGER, LINGER_OCTETS, LINGER_QUIET
from ..ports import Runtime, Stream
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from ..protocol.server_replies import SHUTTING_DOWN, TIMED_OUT
from ..tls.filter import Filter, TLSInfo
from ..tls.stream import TLSStream
from ..wire.lines import begins_tls
from .config import ServerConfig
from .dialogue import Dialogue
from .handler import Handler, HandlerSource, Session, changed, new_session
from .handler_source import handler_of
from .hooks import HookCaller, log_failure
from .networks import is_among
from .patience import Patience
from .setup import make_filter
from .tracing import trace_replies
from .trust import count_client, read_proxy_header
from .usage import Account, Usage

_log = logging.getLogger("smtpproto.server")


@define(eq=False)
class Conversation:
    """One connection to a server, from the first octet to the end.

    It moves octets, and decides when: the PROXY header, TLS, time-outs, stopping, closing. What the
    octets mean is the matter of its :class:`.Dialogue`.
    """

    _stream: Stream
    _source: HandlerSource
    _config: ServerConfig
    _runtime: Runtime
    _usage: Usage | None = None
    """What all connections of the server use; None: this is the only connection."""

    _account: Account = field(init=False)
    _patience: Patience = field(init=False)
    _hooks: HookCaller = field(init=False)
    _first_session: Session = field(init=False)  # before there is a dialogue
    _handler: Handler | None = field(default=None, init=False)  # None: refused by a limit
    _dialogue: Dialogue | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)  # stop() was called
    _waiting: bool = field(default=False, init=False)  # for the client; stop() may interrupt
    _nothing_received: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        config = self._config
        self._first_session = new_session(self._stream.peername, config.lmtp, None, None)
        self._account = (self._usage or Usage(config.limits)).account()
        self._patience = Patience(self._runtime.now, config.limits, config.timeouts)
        self._hooks = HookCaller(self._runtime, config.timeouts, self._patience.skip)

    async def run(self) -> None:
        """Serve the client, then close the connection. Errors are logged, not raised."""
        _log.info("connection from %s, %s", *self._session.peer)
        self._patience.start()
        try:
            may_send = await self._serve()
        except GeneratorExit:  # the program closes this coroutine: nothing can be awaited now
            raise
        except BaseException:
            await self._close()
            raise
        else:
            await self._close(linger=may_send)
        finally:
            self._account.close()
        _log.info("connection from %s, %s ended", *self._session.peer)
        self._dialogue = None  # which refers to this conversation, and would keep it in memory

    def stop(self) -> None:
        """End the conversation with 421: at once if it waits for the client, but not within a
        message. May be called from another thread."""
        self._stopping, dialogue = True, self._dialogue
        if self._waiting and not (dialogue and dialogue.machine.phase.in_message):
            self._stream.interrupt()

    @property
    def _session(self) -> Session:
        return self._first_session if self._dialogue is None else self._dialogue.session

    async def _serve(self) -> bool:
        """Serve the client. Return whether it may still send, or read."""
        try:
            self._dialogue = dialogue = await self._begin()
            await self._converse(dialogue)
            return not dialogue.ended_by_client
        except SMTPError as error:
            _log.info("connection from %s, %s broke: %s", *self._session.peer, error)
            return not isinstance(error, ConnectionLost | TimedOut)
        except Exception as error:  # a bug ends this connection, not the server
            log_failure("the conversation", error)
            return True

    # -- the beginning and the end -----------------------------------------------------------

    async def _begin(self) -> Dialogue:
        """Read a PROXY header and do the handshake of implicit TLS, if configured."""
        refusal: Reply | None = await self._admit()
        if refusal is None:
            self._handler = handler_of(self._source)
        if self._config.implicit_tls:
            if self._handler is None:  # a handshake only for the 421 would cost too much
                raise RemoteProtocolError("" if refusal is None else refusal.text)
            info = await self._handshake(make_filter(self._config))
            self._first_session = changed(self._session, tls=info)
            verdict = await self._hooks.ask(self._handler.tls, self._session)
            refusal = None if verdict is None or verdict.positive else verdict
        return Dialogue(
            self._config, self._runtime, self._handler or Handler(), self._session, self._hooks,
            self._patience, self._account, self._stream.sockname[1], refusal, self._flush,
        )  # fmt: skip

    async def _admit(self) -> Reply | None:
        """Count the connection, in all and for the client's network. Return its refusal if it is
        beyond a limit. A PROXY header, which states the client, is read only if it is not."""
        if (refusal := self._account.open()) is not None:
            return refusal
        if is_among(self._session.peer[0], self._config.proxied_by):
            await self._read_proxy_header()
        return count_client(self._account, self._session, self._config)

    async def _read_proxy_header(self) -> None:
        self._patience.begin(self._config.timeouts.proxy)
        self._waiting = True
        try:
            self._stream, header = await read_proxy_header(self._stream, self._patience)
        finally:
            self._waiting = False
        if header.source is not None:
            self._first_session = changed(self._session, peer=header.source, proxied=header)
            _log.info("the proxy states that the client is %s, %s", *self._session.peer)

    async def _handshake(self, tls: Filter) -> TLSInfo:
        """Do the TLS handshake, which :meth:`stop` interrupts."""
        stream = TLSStream(self._stream, tls, self._runtime.now)
        self._waiting = True  # set before _stopping is read, as in _read
        try:
            if self._stopping:
                self._stream.interrupt()
            await stream.handshake(self._config.timeouts.tls)
        finally:
            self._waiting = False
        self._stream = stream
        return stream.info

    async def _close(self, *, linger: bool = False) -> None:
        """Call the hooks of the end; then close. *linger*: first discard what still arrives."""
        try:
            await self._finish()
            if linger:
                await self._linger()
        finally:
            await self._stream.close()

    async def _finish(self) -> None:
        """Call the hooks of the end, also if the connection is cancelled meanwhile."""
        try:
            if self._dialogue is not None:
                await self._dialogue.content.abort()
        finally:
            if self._handler is not None:
                await self._hooks.finish(self._handler.close, self._session)

    async def _linger(self) -> None:
        """Let the client read the last reply: see :data:`.LINGER`."""
        now, room = self._runtime.now, LINGER_OCTETS
        end = now() + LINGER
        with suppress(SMTPError):
            await self._stream.end()
            while room > 0 and (octets := await self._stream.read(min(end - now(), LINGER_QUIET))):
                room -= len(octets)

    # -- octets ------------------------------------------------------------------------------

    async def _converse(self, dialogue: Dialogue) -> None:
        """Handle what has arrived, and receive more, until the session is over."""
        machine, timeout = dialogue.machine, self._config.timeouts.command
        while True:
            had_events = await dialogue.proceed()
            if machine.phase is Phase.CLOSED:
                break
            if dialogue.tls is not None:
                await self._flush()
                await dialogue.restart(await self._handshake(dialogue.tls))
                continue
            if had_events or machine.phase in (Phase.BODY, Phase.CHUNK):
                self._patience.begin(timeout)  # each block of refused content has its own time
            await self._receive(machine)
        await self._flush()

    async def _receive(self, machine: ServerProtocol) -> None:
        """Send the queued replies together, and receive what the client sends next. If it sends
        nothing in time, end the session."""
        in_message = machine.phase.in_message
        limit = self._patience.left(in_message=in_message)
        if replies := machine.data_to_send():
            if self._config.trace is not None:
                trace_replies(self._config.trace, replies)
            await self._stream.write(replies, limit)
        # stop() may run in another thread. Each side sets its own attribute before it reads that of
        # the other: so what was read before the stop is answered, and nothing is read after it.
        octets, self._waiting = b"", True
        try:
            if in_message or not self._stopping:
                octets = await self._stream.read(limit)
        except TimedOut:
            self._patience.waited(in_message=in_message)
            machine.hang_up(TIMED_OUT)
            return
        except ConnectionLost:
            pass
        finally:
            self._waiting = False
        self._patience.waited(in_message=in_message, octets=len(octets))
        if self._nothing_received:
            self._check_not_tls(octets)
        if self._stopping and not in_message:
            machine.hang_up(SHUTTING_DOWN)  # what was read stays unanswered
        else:
            machine.receive(octets)

    def _check_not_tls(self, octets: bytes) -> None:
        """Raise TLSFailed if the client's first octets are a TLS handshake, which is not expected
        here. They are not commands, and the client would not understand an SMTP reply."""
        self._nothing_received = False
        if begins_tls(octets):
            raise TLSFailed(
                "the client speaks TLS here", check="its port, or set implicit_tls=True"
            )

    async def _flush(self) -> None:
        """Send the queued replies now."""
        if self._dialogue is not None and (replies := self._dialogue.machine.data_to_send()):
            if self._config.trace is not None:
                trace_replies(self._config.trace, replies)
            self._patience.begin(self._config.timeouts.command)
            await self._stream.write(replies, self._patience.left(in_message=False))
            self._patience.waited(in_message=False)
