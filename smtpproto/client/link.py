"""A client's machine and stream, put together: say, wait for the reply."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

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
from ..ports import Runtime, Stream, Trace
from ..protocol.client import ClientProtocol
from ..protocol.phases import COLUMNS, Phase
from ..tls.filter import Filter, TLSInfo
from ..tls.stream import TLSStream, begins_tls
from .deadline import Deadline, DeadlineStream

_log = logging.getLogger("smtpproto.client")

_LAST_WORDS = 1.0  # seconds, for all of them: on a broken link they are there, or never come

_SAID = "what the reply says"
_WORDLESS = 'whether this port wants TLS from the first octet, as 465 does: tls="implicit"'

_OPEN = frozenset({Phase.MAIL, Phase.RCPT, Phase.CHUNKS, Phase.FAILED})


@define(eq=False)
class Link:
    """One connection. Replies are kept until they are asked for, so commands may run ahead."""

    stream: Stream
    runtime: Runtime
    machine: ClientProtocol
    trace: Trace | None = None
    deadline: Deadline = field()

    tls: TLSInfo | None = field(default=None, init=False)
    _replies: dict[Sent, Reply] = field(factory=dict, init=False)
    closing: Reply | None = field(default=None, init=False)
    """The 421 that ended the session: the reply also to all that it left unanswered."""
    step: str = field(default="", init=False)
    """What is going on, as errors name it."""
    _busy: bool = field(default=False, init=False)
    _broken: bool = field(default=False, init=False)
    _silent: bool = field(default=True, init=False)  # the server, until now

    @deadline.default
    def _own_deadline(self) -> Deadline:
        return Deadline(self.runtime.now, self.machine.timeouts.total)

    def __attrs_post_init__(self) -> None:
        self.stream = DeadlineStream(self.stream, self.deadline)

    @contextmanager
    def conversation(self, step: str = "session", within: Deadline | None = None) -> Iterator[None]:
        """Keep others out for a while: two conversations at once would mix up their replies. What
        happens in it is one operation, or the rest of the one that has begun, or of *within*.
        Errors name the *step*, which may change meanwhile."""
        self._check_free(step)
        self._busy, self.step = True, step
        self.deadline.start(within)
        try:
            yield
        except SMTPError as error:
            error.complete(self.step)
            raise
        finally:
            self.deadline.stop()
            self._busy = False

    def _check_free(self, step: str) -> None:
        if self._busy:
            text = "this client is in use: one conversation at a time"
            raise LocalProtocolError(text, phase=step, check="a client for each task, or a pool")
        if self.over and self.closing is None:
            text = "this connection is over"
            raise LocalProtocolError(text, phase=step, check="a new one, and earlier errors")

    @property
    def usable(self) -> bool:
        """Whether both sides agree on where the session stands, so that it can go on."""
        machine = self.machine
        return machine.phase in COLUMNS and not (machine.unanswered or self._busy or self.over)

    @property
    def over(self) -> bool:
        """Whether nothing can be said any more: the session has ended, or the link failed."""
        return self._broken or self.machine.phase is Phase.CLOSED

    @property
    def midway(self) -> bool:
        """Whether a transaction is open, or replies are still to come."""
        return not self.over and (self.machine.phase in _OPEN or bool(self.machine.unanswered))

    async def ask(self, command: Command) -> Reply:
        """Say *command* and give its reply."""
        return await self.reply_to(await self.say(command))

    async def say(self, command: Command) -> Sent:
        """Say *command*, ahead of replies to come if it may be, within the window."""
        await self._room()
        return self._note(self.machine.send(command))

    async def say_if_allowed(self, command: Command) -> Sent | None:
        """As :meth:`say`, but None if replies that came meanwhile have put it out of order."""
        await self._room()
        allowed = self.machine.allows(command.verb)
        return self._note(self.machine.send(command)) if allowed else None

    def end_body(self) -> tuple[Sent, ...]:
        """Say that the content is complete; give what its replies will name. Raises TimedOut, and
        says nothing, if there is no time left to do it in."""
        self._check_time()
        sent = self.machine.end_body()
        self.show("C", str(Step.BODY_END.value))
        return sent

    def say_chunk(self, data: bytes, *, last: bool) -> tuple[Sent, ...]:
        """Say a BDAT with its octets; give what its replies will name. Raises TimedOut likewise."""
        self._check_time()
        sent = self.machine.send_chunk(data, last=last)
        self.show("C", str(sent[0]))
        self.show("C", f"[{len(data)} octets of content]")
        return sent

    async def respond(self, response: Secret | None) -> Reply:
        """Say a SASL response and give its reply."""
        sent = self.machine.respond(response)
        self.show("C", "*" if response is None else "***")
        return await self.reply_to(sent)

    async def reply_to(self, sent: Sent) -> Reply:
        """Wait for the reply to *sent*. Raises TransportError, RemoteProtocolError."""
        while sent not in self._replies:
            await self._take()
        return self._replies.pop(sent)

    async def flush(self) -> None:
        """Send what was said."""
        if data := self.machine.data_to_send():
            try:
                await self.stream.write(data, self.machine.timeouts.block)
            except TransportError as error:
                if isinstance(error, ConnectionLost):
                    error.reply = await self._last_words()
                raise self._explained(error) from None
            except BaseException:  # cancelled: nobody knows how much has left
                self._broken = True
                raise

    async def preface(self, octets: bytes) -> None:
        """Send what comes before the session, and before TLS."""
        try:
            await self.stream.write(octets, self.machine.timeouts.block)
        except TransportError as error:
            raise self._explained(error) from None

    async def _last_words(self) -> Reply | None:
        """Read what the server has said before the link broke: it may be why. Give the reply that
        is no answer to anything, if there is one, as in the middle of a message."""
        machine, now = self.machine, self.runtime.now
        end = now() + _LAST_WORDS
        try:
            while now() < end:
                while (event := machine.next_event()) is not None:
                    self._note_event(event)
                if not (data := await self.stream.read(end - now())):
                    break
                machine.receive(data)
        except (TransportError, RemoteProtocolError) as error:
            return error.reply
        return None

    def _check_time(self) -> None:
        try:
            self.deadline.check()
        except TimedOut as error:
            raise self._explained(error) from None

    def known(self, sent: Sent) -> Reply | None:
        """The reply to *sent* if it has come, without waiting for it."""
        return self._replies.get(sent)

    async def start_tls(self, tls: Filter) -> None:
        """Put TLS on the stream. Raises TLSFailed, TimedOut, ConnectionLost; the link is then of no
        more use, so that nothing more is said in clear (RFC 3207 4)."""
        stream = TLSStream(self.stream, tls, self.runtime.now)
        try:
            await stream.handshake(self.machine.timeouts.tls)
        except BaseException:
            self._broken = True
            raise
        self.stream, self.tls = stream, stream.info
        self.show("*", f"TLS: {self.tls.version}, {self.tls.cipher}")

    def give_up(self) -> None:
        """Say nothing more: what the server says cannot be trusted."""
        self._broken = True

    async def _room(self) -> None:
        """Wait until one more command may be said."""
        machine = self.machine
        if not machine.unanswered and (event := machine.next_event()) is not None:
            self._note_event(event)  # said before it was asked anything
        while machine.phase is not Phase.CLOSED and not (
            machine.ready and machine.in_flight < machine.limits.window
        ):
            await self._take()

    async def _take(self) -> None:
        """Send what was said, and wait for one reply to anything."""
        await self.flush()
        self._note_event(await self._next_event())

    def _note_event(self, event: ClientEvent) -> None:
        match event:
            case Answer(sent, reply, leniencies):
                if leniencies:
                    _log.info("reply to %s tolerated: %s", sent, ", ".join(leniencies))
                self._show_reply(reply)
                self._replies[sent] = reply
                self.closing = reply if reply.code == 421 else None
            case Unsolicited(reply):
                self._show_reply(reply)
                error = ConnectionLost("the server is closing", reply=reply, check=_SAID)
                raise self._explained(error)
            case Disconnected(unanswered) if self.closing is not None:
                self._replies |= dict.fromkeys(unanswered, self.closing)
            case Disconnected():
                raise self._explained(ConnectionLost("the server closed the connection"))

    async def _next_event(self) -> ClientEvent:
        machine, now = self.machine, self.runtime.now
        deadline = None if machine.timeout is None else now() + machine.timeout
        try:
            while (event := machine.next_event()) is None:
                left = None if deadline is None else max(deadline - now(), 0)
                self._receive(await self.stream.read(left))
        except (TransportError, RemoteProtocolError) as error:
            raise self._explained(error) from None
        return event

    def _receive(self, data: bytes) -> None:
        first, self._silent = self._silent, self._silent and not data
        if first and self.tls is None and begins_tls(data):
            check = 'tls="implicit", or another port'
            raise TLSFailed("the server speaks TLS here", check=check)
        self.machine.receive(data)

    def _explained(self, error: SMTPError) -> SMTPError:
        """*error*, after which the link is of no more use, saying where the conversation stood."""
        self._broken = True
        waiting = self.machine.unanswered
        if waiting and waiting[0].what is not Step.GREETING:
            error.command = error.command or str(waiting[0])
        error.phase = error.phase or self.step
        wordless = error.phase == "greeting" and self._silent and self.tls is None
        if wordless and not error.check:
            error.check = _WORDLESS
        return error

    def _note(self, sent: Sent) -> Sent:
        self.show("C", str(sent))
        return sent

    def show(self, who: str, line: str) -> None:
        """Give the trace a line."""
        if self.trace is not None:
            self.trace(who, line)

    def _show_reply(self, reply: Reply) -> None:
        if self.trace is not None:
            for line in bytes(reply).decode().removesuffix("\r\n").split("\r\n"):
                secret = reply.code == 334 and reply.text
                self.trace("S", "334 ***" if secret else printable(line))
