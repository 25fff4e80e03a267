"""One connection of a client: the protocol machine together with the stream that carries it."""

from __future__ import annotations

import logging

from attrs import define, field

from .. import tls as tls_package
from ..client_events import ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..errors import (
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
    SMTPError,
    TimedOut,
    TLSFailed,
    TransportError,
)
from ..grammar.command import Command
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..limits import CHUNK
from ..ports import Runtime, Stream, Trace
from ..protocol.client import ClientProtocol
from ..protocol.phases import COLUMNS, Phase
from ..wire.lines import begins_tls
from .deadline import Deadline, DeadlineStream

_log = logging.getLogger("smtpproto.client")

# Seconds to read what a server sent before the link broke: either it has arrived, or never will.
_DRAIN_TIMEOUT = 1.0

_PLAIN_FAULTS = (TimedOut.fault, ConnectionLost.fault)
_CHECK_IMPLICIT_TLS = (
    'whether this port wants TLS from the first octet, as port 465 does: tls="implicit"'
)

_TRANSACTION_PHASES = frozenset({Phase.MAIL, Phase.RCPT, Phase.CHUNKS, Phase.FAILED})


@define(eq=False, repr=False)
class Link:
    """One connection of a client: sends commands and pairs each one with its reply.

    Commands are queued by plain calls, and written when a reply is awaited. So a group of commands
    is sent together, and one wait, for the reply to the last, is enough: the ledger's entries of
    those before it have their replies then, too.
    """

    stream: Stream
    runtime: Runtime
    machine: ClientProtocol
    deadline: Deadline
    trace: Trace | None = None

    tls: tls_package.TLSInfo | None = field(default=None, init=False)
    closing_reply: Reply | None = field(default=None, init=False)
    """The 421 that ended the session. It counts as the reply to every unanswered command, and to
    one that was about to be sent."""
    error_phase: str = field(default="", init=False)
    """The phase that errors name, for example "login"."""
    busy: bool = field(default=False, init=False)
    """Whether a conversation uses the link."""
    _broken: bool = field(default=False, init=False)
    _server_silent: bool = field(default=True, init=False)  # no octet has arrived yet

    def __attrs_post_init__(self) -> None:
        if self.deadline.total is not None:
            self.stream = DeadlineStream(self.stream, self.deadline)

    def hurry(self, seconds: float) -> None:
        """Bound all waits from now on by *seconds* in total."""
        deadline = Deadline(self.runtime.now, seconds)
        deadline.start()
        self.stream = DeadlineStream(self.stream, deadline)

    @property
    def usable(self) -> bool:
        """Whether the next command can be sent: no reply is outstanding and the link is free."""
        machine = self.machine
        return machine.phase in COLUMNS and not (machine.awaits_reply or self.busy or self.ended)

    @property
    def ended(self) -> bool:
        """Whether nothing more can be sent: the session has ended, or the link has failed."""
        return self._broken or self.machine.phase is Phase.CLOSED

    @property
    def needs_reset(self) -> bool:
        """Whether RSET must precede the next message: a transaction is open, or replies are
        outstanding."""
        machine = self.machine
        return (machine.phase in _TRANSACTION_PHASES or machine.awaits_reply) and not self.ended

    # -- sending -----------------------------------------------------------------------------

    async def request(self, command: Command) -> Reply:
        """Send *command* and return its reply."""
        return await self.reply_to(await self.begin(command))

    async def begin(self, command: Command) -> Sent:
        """Queue *command*, the first of a group, and return its ledger entry.

        First take the replies that have arrived: see :meth:`look`. If the server is closing, its
        421 is the reply to *command*, which is not sent then.
        """
        try:
            if self.machine.awaits_reply:
                await self.wait_for_room()
            await self.look()
        except ConnectionLost:
            if self.closing_reply is None:
                raise
        if self.closing_reply is not None and self.ended:
            sent = Sent(command)
            sent.reply = self.closing_reply
            return sent
        if self.machine.phase not in COLUMNS and not self.ended:
            self.abandon()  # a call was cancelled, and only its content or response could follow
            raise _connection_is_over()
        return self.say(command)

    def say(self, command: Command) -> Sent:
        """Queue *command*, which must be allowed now, and return its ledger entry."""
        sent = self.machine.send(command)
        if self.trace is not None:
            self.trace("C", str(sent))
        return sent

    async def wait_for_room(self) -> None:
        """Wait until one more command may be sent, and half of the window is free: if commands
        followed as soon as one fits, they would leave one by one."""
        machine = self.machine
        half = machine.settings.limits.window // 2
        while not self.ended and not (machine.ready and machine.in_flight <= half):
            await self._hear()

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
            await self.flush(all_but=CHUNK)
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
        if self.trace is not None:
            self.trace("C", "end of data")
        return sent

    async def respond(self, response: Secret | None) -> Reply:
        """Send a SASL response, or ``*`` for None, and return the reply."""
        await self.look()
        sent = self.machine.respond(response)
        self.trace_line("C", "*" if response is None else "***")
        return await self.reply_to(sent)

    async def flush(self, *, all_but: int = 0) -> None:
        """Write what is queued, but for the last *all_but* octets. Raises TransportError."""
        if not (data := self.machine.data_to_send(all_but=all_but)):
            return
        try:
            await self.stream.write(data, self.machine.settings.timeouts.block)
        except TransportError as error:
            self.machine.write_failed(data)
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

    async def start_tls(self, layer: tls_package.Filter) -> None:
        """Put TLS, as *layer*, on the stream. Raises TLSFailed, TimedOut or ConnectionLost.

        After an error the link is broken, so that nothing more is sent in clear (RFC 3207 4).
        """
        stream = tls_package.TLSStream(self.stream, layer, self.runtime.now)
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
        if self.deadline.total is None:
            return
        try:
            self.deadline.check()
        except TimedOut as error:
            raise self._mark_broken(error) from None

    # -- receiving ---------------------------------------------------------------------------

    async def reply_to(self, sent: Sent) -> Reply:
        """Return the reply to *sent*; wait for it if it has not arrived. All that was sent before
        *sent* has its reply then, too.

        Raises TransportError or RemoteProtocolError.
        """
        while sent.reply is None:
            await self._hear()
        return sent.reply

    async def look(self) -> None:
        """Take the replies that have arrived, without waiting: what is sent after this was not sent
        when they came, so they cannot answer it.

        Raises RemoteProtocolError for a reply that answers nothing, and TransportError if the
        server is closing or has closed the connection.
        """
        try:
            if (event := self.machine.next_event()) is not None:
                self._end(event)
            while not self.ended:
                self._receive(await self.stream.read(0))
                while self._take_events():
                    pass
        except TimedOut:
            return
        except (TransportError, RemoteProtocolError) as error:
            raise self._mark_broken(error) from None

    async def _hear(self) -> None:
        """Write what is queued, then wait until a reply has arrived or the session has ended."""
        await self.flush()
        machine, now = self.machine, self.runtime.now
        seconds = machine.timeout
        end = 0 if seconds is None else now() + seconds
        try:
            if (event := machine.next_event()) is not None:
                self._end(event)
                return
            self._receive(await self.stream.read(seconds))
            while not self._take_events():  # the time is for a whole reply
                left = None if seconds is None else max(end - now(), 0)
                self._receive(await self.stream.read(left))
        except TransportError as error:
            raise self._mark_broken(_in_the_middle(error, machine.unfinished_reply)) from None
        except RemoteProtocolError as error:
            raise self._mark_broken(error) from None

    def _take_events(self) -> bool:
        """Take the answers that have arrived; if there are none, what ends the session. Return
        whether there was either.

        Raises RemoteProtocolError for a reply that answers nothing, and ConnectionLost.
        """
        reply: Reply | None = None
        for sent in self.machine.answered():
            if sent.leniencies:
                _log.info("reply to %s tolerated: %s", sent, ", ".join(sent.leniencies))
            if (reply := sent.reply) is not None and self.trace is not None:
                self._trace_reply(reply)
        if reply is not None:
            self.closing_reply = reply if reply.code == 421 else None
        elif (event := self.machine.next_event()) is not None:
            self._end(event)
        else:
            return False
        return True

    def _end(self, event: ClientEvent) -> None:
        """Handle the end of the session. A 421 answers everything that has no reply."""
        reply, text, unfinished = self.closing_reply, "the server closed the connection", ""
        match event:
            case Unsolicited(reply):
                self._trace_reply(reply)
                self.closing_reply, text = reply, "the server is closing"
            case Disconnected(unanswered, unfinished) if reply is not None:
                for sent in unanswered:
                    sent.reply = reply
                return
        check = "" if reply is None else "what the reply says"
        raise _in_the_middle(ConnectionLost(text, reply=reply, check=check), unfinished)

    def _receive(self, data: bytes) -> None:
        first, self._server_silent = self._server_silent, self._server_silent and not data
        if first and self.tls is None and begins_tls(data):
            check = 'tls="implicit", or another port'
            error = TLSFailed("the server speaks TLS here", check=check)
            error.fault = "tls-on-clear-port"
            raise error
        self.machine.receive(data)

    async def _drain(self) -> Reply | None:
        """Read what the server sent before the link broke, since it may say why.

        Return the reply that answers no command, such as a refusal in the middle of the content, or
        None if there is none.
        """
        end = self.runtime.now() + _DRAIN_TIMEOUT
        try:
            while (left := end - self.runtime.now()) > 0:
                while self._take_events():
                    pass
                if not (data := await self.stream.read(left)):
                    break
                self.machine.receive(data)
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
        if error.fault == ConnectionLost.fault and error.phase == "hello":
            error.fault = "closed-after-hello"
        no_greeting = error.phase == "greeting" and self._server_silent and self.tls is None
        if no_greeting and error.fault in _PLAIN_FAULTS:
            error.fault = "silent" if isinstance(error, TimedOut) else "closed-at-once"
        if no_greeting and not error.check:
            error.check = _CHECK_IMPLICIT_TLS
        return error

    # -- tracing -----------------------------------------------------------------------------

    def trace_line(self, speaker: str, line: str) -> None:
        """Pass a line to the trace: *speaker* is "C", "S" or "*" (see :data:`.Trace`)."""
        if self.trace is not None:
            self.trace(speaker, line)

    def _trace_reply(self, reply: Reply) -> None:
        if self.trace is not None:
            for line in bytes(reply).decode().removesuffix("\r\n").split("\r\n"):
                secret = reply.code == 334 and reply.text
                self.trace("S", "334 ***" if secret else printable(line))


@define(eq=False, repr=False)
class Conversation:
    """The use of a link by one conversation: a second one would mix up the replies.

    It is one operation for ``Timeouts.total``, or part of the one that is under way. Errors name
    its phase, unless ``Link.error_phase`` is set to a later one meanwhile. Entering it raises
    LocalProtocolError if the link is in use already, or the connection has ended.
    """

    _link: Link
    _phase: str = "session"
    _began: bool = field(default=False, init=False)

    def __enter__(self) -> None:
        link = self._link
        if link.busy:
            text = "this client is in use: one conversation at a time"
            check = "whether each task has a client of its own; a pool is shared safely"
            raise LocalProtocolError(text, phase=self._phase, check=check)
        if link.closing_reply is None and link.ended:
            raise _connection_is_over(self._phase)
        link.busy, link.error_phase = True, self._phase
        self._began = link.deadline.start()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and isinstance(error, SMTPError):
            error.complete(self._link.error_phase)
        if self._began:
            self._link.deadline.stop()
        self._link.busy = False


def _connection_is_over(phase: str = "") -> LocalProtocolError:
    """Return the error for a call on a link that cannot be used any more."""
    check = "whether an earlier error, quit() or close() ended it"
    text = "this connection is over; open a new one"
    return LocalProtocolError(text, phase=phase, check=check)


def _in_the_middle(error: TransportError, unfinished: str) -> TransportError:
    """Return *error* with the start of the reply in which it came, if any."""
    if unfinished:
        error.message += f" in the middle of a reply: '{unfinished}'"
        bare = r"\n" in unfinished.replace(r"\r\n", "")
        error.fault = "bare-newline" if bare else "unfinished-reply"
    return error
