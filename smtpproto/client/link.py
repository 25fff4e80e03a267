"""One connection of a client: the protocol machine together with the stream that carries it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import Factory, define, field

from ..errors import (
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
    SMTPError,
    TimedOut,
    TLSFailed,
    TransportError,
)
from ..events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..grammar.command import Command
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..limits import CHUNK
from ..ports import Runtime, Stream, Trace
from ..protocol.client import ClientProtocol
from ..protocol.phases import COLUMNS, Phase
from ..tls.filter import Filter, TLSInfo
from ..tls.stream import TLSStream, begins_tls
from .deadline import Deadline, DeadlineStream

_log = logging.getLogger("smtpproto.client")

# Seconds to read what a server sent before the link broke: either it has arrived, or never will.
_DRAIN_TIMEOUT = 1.0

_CHECK_REPLY = "what the reply says"
_CHECK_IMPLICIT_TLS = (
    'whether this port wants TLS from the first octet, as port 465 does: tls="implicit"'
)

_TRANSACTION_PHASES = frozenset({Phase.MAIL, Phase.RCPT, Phase.CHUNKS, Phase.FAILED})


def _default_deadline(link: Link) -> Deadline:
    return Deadline(link.runtime.now, link.machine.settings.timeouts.total)


@define(eq=False)
class Link:
    """One connection of a client: sends commands and pairs each one with its reply.

    A reply is kept until :meth:`reply_to` fetches it, so commands may be pipelined.
    """

    stream: Stream
    runtime: Runtime
    machine: ClientProtocol
    trace: Trace | None = None
    deadline: Deadline = field(default=Factory(_default_deadline, takes_self=True))

    tls: TLSInfo | None = field(default=None, init=False)
    closing_reply: Reply | None = field(default=None, init=False)
    """The 421 that ended the session. It counts as the reply to every unanswered command, and to
    one that was about to be sent."""
    error_phase: str = field(default="", init=False)
    """The phase that errors name, for example "login"."""
    _replies: dict[Sent, Reply] = field(factory=dict, init=False)
    _busy: bool = field(default=False, init=False)
    _broken: bool = field(default=False, init=False)
    _server_silent: bool = field(default=True, init=False)  # no octet has arrived yet

    def __attrs_post_init__(self) -> None:
        self.stream = DeadlineStream(self.stream, self.deadline)

    @contextmanager
    def conversation(
        self, phase: str = "session", within: Deadline | None = None
    ) -> Iterator[None]:
        """Reserve the link for one conversation; a second one would mix up the replies.

        The block is one operation for ``Timeouts.total``, or part of the one that *within* measures
        or that is under way. Errors name *phase*, unless the block sets ``error_phase`` to a later
        one. Raises LocalProtocolError if the link is in use or the connection has ended.
        """
        self._check_free(phase)
        self._busy, self.error_phase = True, phase
        began = self.deadline.start(within)
        try:
            yield
        except SMTPError as error:
            error.complete(self.error_phase)
            raise
        finally:
            if began:
                self.deadline.stop()
            self._busy = False

    def _check_free(self, phase: str) -> None:
        if self._busy:
            text = "this client is in use: one conversation at a time"
            check = "whether each task has a client of its own; a pool is shared safely"
            raise LocalProtocolError(text, phase=phase, check=check)
        if self.ended and self.closing_reply is None:
            text = "this connection is over; open a new one"
            check = "whether an earlier error, quit() or close() ended it"
            raise LocalProtocolError(text, phase=phase, check=check)

    @property
    def usable(self) -> bool:
        """Whether the next command can be sent: no reply is outstanding and the link is free."""
        machine = self.machine
        return machine.phase in COLUMNS and not (machine.awaits_reply or self._busy or self.ended)

    @property
    def ended(self) -> bool:
        """Whether nothing more can be sent: the session has ended, or the link has failed."""
        return self._broken or self.machine.phase is Phase.CLOSED

    @property
    def needs_reset(self) -> bool:
        """Whether RSET must precede the next message: a transaction is open, or replies are
        outstanding."""
        in_transaction = self.machine.phase in _TRANSACTION_PHASES
        return not self.ended and (in_transaction or self.machine.awaits_reply)

    # -- sending -----------------------------------------------------------------------------

    async def request(self, command: Command) -> Reply:
        """Send *command* and return its reply."""
        return await self.reply_to(await self.send(command))

    async def send(self, command: Command) -> Sent:
        """Queue *command* as soon as the pipeline window has room, and return its ledger entry.

        Unless it joins a group, first take the replies that have arrived: see :meth:`look`.
        """
        try:
            await self._wait_until_ready()
            if not self.machine.has_output:
                await self.look()
        except ConnectionLost:
            if self.closing_reply is None:
                raise
        if self.ended and self.closing_reply is not None:  # answers it, so it is not sent
            sent = Sent(command)
            self._replies[sent] = self.closing_reply
            return sent
        return self._trace_sent(self.machine.send(command))

    async def send_if_allowed(self, command: Command) -> Sent | None:
        """Queue *command* as :meth:`send` does, but without a look at what has arrived; return None
        if a reply has put *command* out of order."""
        await self._wait_until_ready()
        allowed = self.machine.allows(command.verb)
        return self._trace_sent(self.machine.send(command)) if allowed else None

    async def send_chunk(self, data: bytes, *, last: bool) -> tuple[Sent, ...]:
        """Queue a BDAT command with its octets, and return the entries that its replies will name.

        Of a large chunk, write all but the end, so that a reply to the command alone does not count
        as one to the chunk. If this raises, the server does not have the whole chunk.
        """
        self._check_deadline()
        sent = self.machine.send_chunk(data, last=last)
        self.trace_line("C", str(sent[0]))
        self.trace_line("C", f"[{len(data)} octets of content]")
        if len(data) > CHUNK:
            await self._write(self.machine.data_to_send(all_but=CHUNK))
            await self.look()
            self._check_deadline()
        return sent

    async def end_body(self) -> tuple[Sent, ...]:
        """Take the replies that have arrived; then queue the end of the content, and return the
        entries that its replies will name.

        If this raises, which it also does if the operation's time is over, nothing is queued.
        """
        await self.look()
        self._check_deadline()
        sent = self.machine.end_body()
        self.trace_line("C", str(Step.BODY_END.value))
        return sent

    async def respond(self, response: Secret | None) -> Reply:
        """Send a SASL response, or ``*`` for None, and return the reply."""
        await self.look()
        sent = self.machine.respond(response)
        self.trace_line("C", "*" if response is None else "***")
        return await self.reply_to(sent)

    async def flush(self) -> None:
        """Write what is queued. Raises TransportError."""
        if data := self.machine.data_to_send():
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        try:
            await self.stream.write(data, self.machine.settings.timeouts.block)
        except TransportError as error:
            if isinstance(error, ConnectionLost):
                error.reply = await self._drain()
            raise self._mark_broken(error) from None
        except BaseException:  # cancelled: some octets may have been written
            self._broken = True
            raise

    async def preface(self, octets: bytes) -> None:
        """Write *octets* before the session and before TLS. Raises TransportError."""
        try:
            await self.stream.write(octets, self.machine.settings.timeouts.block)
        except TransportError as error:
            raise self._mark_broken(error) from None

    async def start_tls(self, tls: Filter) -> None:
        """Put TLS on the stream. Raises TLSFailed, TimedOut or ConnectionLost.

        After an error the link is broken, so that nothing more is sent in clear (RFC 3207 4).
        """
        stream = TLSStream(self.stream, tls, self.runtime.now)
        try:
            await stream.handshake(self.machine.settings.timeouts.tls)
        except BaseException:
            self._broken = True
            raise
        self.stream, self.tls = stream, stream.info
        self.trace_line("*", f"TLS: {self.tls.version}, {self.tls.cipher}")

    def abandon(self) -> None:
        """Send nothing more on this link."""
        self._broken = True

    async def close(self) -> None:
        """Close the connection; nothing can be asked on this link any more."""
        self._broken, self.closing_reply = True, None
        await self.stream.close()

    def _check_deadline(self) -> None:
        try:
            self.deadline.check()
        except TimedOut as error:
            raise self._mark_broken(error) from None

    async def _wait_until_ready(self) -> None:
        """Wait until one more command may be sent within the window."""
        machine = self.machine
        if not machine.awaits_reply:  # a reply that has arrived answers no command
            self._take_events()
        while machine.phase is not Phase.CLOSED and not (
            machine.ready and machine.in_flight < machine.settings.limits.window
        ):
            await self._handle_next_event()

    # -- receiving ---------------------------------------------------------------------------

    async def reply_to(self, sent: Sent) -> Reply:
        """Return the reply to *sent*; wait for it if it has not arrived.

        Raises TransportError or RemoteProtocolError.
        """
        while sent not in self._replies:
            await self._handle_next_event()
        return self._replies.pop(sent)

    def reply_if_arrived(self, sent: Sent) -> Reply | None:
        """Return the reply to *sent* if it has arrived, else None; never wait."""
        return self._replies.get(sent)

    async def look(self) -> None:
        """Take the replies that have arrived, without waiting: what is sent after this was not sent
        when they came, so they cannot answer it.

        Raises RemoteProtocolError for a reply that answers nothing, and TransportError if the
        server is closing or has closed the connection.
        """
        try:
            self._take_events()
            while not self.ended:
                self._receive(await self.stream.read(0))
                self._take_events()
        except TimedOut:
            return
        except (TransportError, RemoteProtocolError) as error:
            raise self._mark_broken(error) from None

    def _take_events(self) -> None:
        """Handle all events in what has been read."""
        try:
            while (event := self.machine.next_event()) is not None:
                self._handle_event(event)
        except RemoteProtocolError as error:
            raise self._mark_broken(error) from None

    async def _handle_next_event(self) -> None:
        """Write what is queued, then wait for one event and handle it."""
        await self.flush()
        self._handle_event(await self._read_event())

    def _handle_event(self, event: ClientEvent) -> None:
        match event:
            case Answer(sent, reply, leniencies):
                if leniencies:
                    _log.info("reply to %s tolerated: %s", sent, ", ".join(leniencies))
                self._trace_reply(reply)
                self._replies[sent] = reply
                self.closing_reply = reply if reply.code == 421 else None
            case Unsolicited(reply):
                self._trace_reply(reply)
                self.closing_reply = reply
                error = ConnectionLost("the server is closing", reply=reply, check=_CHECK_REPLY)
                raise self._mark_broken(error)
            case Disconnected(unanswered, _) if self.closing_reply is not None:
                self._replies |= dict.fromkeys(unanswered, self.closing_reply)
            case Disconnected(_, unfinished):
                error = ConnectionLost("the server closed the connection")
                raise self._mark_broken(_in_the_middle(error, unfinished))

    async def _read_event(self) -> ClientEvent:
        machine, now = self.machine, self.runtime.now
        deadline = None if machine.timeout is None else now() + machine.timeout
        try:
            while (event := machine.next_event()) is None:
                left = None if deadline is None else max(deadline - now(), 0)
                self._receive(await self.stream.read(left))
        except TransportError as error:
            raise self._mark_broken(_in_the_middle(error, machine.unfinished_reply)) from None
        except RemoteProtocolError as error:
            raise self._mark_broken(error) from None
        return event

    def _receive(self, data: bytes) -> None:
        first, self._server_silent = self._server_silent, self._server_silent and not data
        if first and self.tls is None and begins_tls(data):
            check = 'tls="implicit", or another port'
            raise TLSFailed("the server speaks TLS here", check=check)
        self.machine.receive(data)

    async def _drain(self) -> Reply | None:
        """Read what the server sent before the link broke, since it may say why.

        Return the reply that answers no command, such as a refusal in the middle of the content, or
        None if there is none.
        """
        machine, now = self.machine, self.runtime.now
        end = now() + _DRAIN_TIMEOUT
        try:
            while now() < end:
                while (event := machine.next_event()) is not None:
                    self._handle_event(event)
                if not (data := await self.stream.read(end - now())):
                    break
                machine.receive(data)
        except (TransportError, RemoteProtocolError) as error:
            return error.reply
        return None

    def _mark_broken(self, error: SMTPError) -> SMTPError:
        """Mark the link as broken, and return *error* with the command and phase that it hit."""
        self._broken = True
        waiting = self.machine.unanswered
        if waiting and waiting[0].what is not Step.GREETING:
            error.command = error.command or str(waiting[0])
        error.phase = error.phase or self.error_phase
        no_greeting = error.phase == "greeting" and self._server_silent and self.tls is None
        if no_greeting and not error.check:
            error.check = _CHECK_IMPLICIT_TLS
        return error

    # -- tracing -----------------------------------------------------------------------------

    def trace_line(self, speaker: str, line: str) -> None:
        """Pass a line to the trace: *speaker* is "C", "S" or "*" (see :data:`.Trace`)."""
        if self.trace is not None:
            self.trace(speaker, line)

    def _trace_sent(self, sent: Sent) -> Sent:
        self.trace_line("C", str(sent))
        return sent

    def _trace_reply(self, reply: Reply) -> None:
        if self.trace is not None:
            for line in bytes(reply).decode().removesuffix("\r\n").split("\r\n"):
                secret = reply.code == 334 and reply.text
                self.trace("S", "334 ***" if secret else printable(line))


def _in_the_middle(error: TransportError, unfinished: str) -> TransportError:
    """Return *error* with the start of the reply in which it came, if any."""
    if unfinished:
        error.message += f" in the middle of a reply: {unfinished!r}"
    return error
