"""``HandlerMachine``: random sessions against a handler of your own. It needs Hypothesis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import ClassVar, NoReturn

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from hypothesis.strategies import SearchStrategy

from ..adapters.asyncio_runtime import Runtime
from ..errors import TimedOut
from ..grammar.reply import Reply
from ..server.config import ServerConfig
from ..server.conversation import Conversation
from ..server.handler import HandlerSource
from ..server.usage import Usage
from . import laws
from .strategies import messages

__all__ = ["HandlerMachine"]

_SECONDS = 5.0  # for the answer to one command
_LATER_SECONDS = 0.1
_LINES = ("NOOP", "HELP", "VRFY bob", "MAIL FROM:<a b>", "RCPT TO:<>", "FOO")


class _Patience:
    """How long a handler may take to answer a command. After the first time that it took too long,
    it is less, or Hypothesis would need minutes to find the shortest session that hangs."""

    def __init__(self) -> None:
        self.seconds = _SECONDS
        self._once = ""

    def end(self, octets: bytes) -> NoReturn:
        """Raise the error for a handler that has not answered *octets* in time."""
        took = f"within {self.seconds:g} seconds{self._once}"
        self.seconds, self._once = _LATER_SECONDS, f", and once not within {_SECONDS:g} seconds"
        raise AssertionError(f"the handler has not answered {octets[:100]!r} {took}") from None


class _Connection:
    """A stream in memory, and the client at its other end."""

    peername: tuple[str, int] = ("192.0.2.1", 49152)
    sockname: tuple[str, int] = ("192.0.2.2", 25)

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: _Patience) -> None:
        self.accepted: list[str] | None = None
        """The recipients that the server has accepted; None outside of a transaction."""
        self._input = self._output = b""
        self.hangs: bool = False
        """Whether the handler has taken too long."""
        self._ended = False
        self._loop, self._patience = loop, patience
        self._arrived = self._idle = loop.create_future()
        self._task: asyncio.Task[None] | None = None

    # -- the server's side -----------------------------------------------------------------------

    async def read(self, timeout: float | None) -> bytes:
        if timeout == 0 and not (self._input or self._ended):
            raise TimedOut("nothing has arrived")
        while not (self._input or self._ended):
            self._arrived = self._loop.create_future()
            _resolve(self._idle)
            await self._arrived
        data, self._input = self._input, b""
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._output += data

    async def end(self) -> None:
        self._ended = True

    async def close(self) -> None: ...

    def interrupt(self) -> None: ...

    # -- the client's side -----------------------------------------------------------------------

    def open(self, conversation: Conversation) -> list[Reply]:
        """Start *conversation*, whose stream this is; return its greeting."""
        self._task = self._loop.create_task(conversation.run())
        self._task.add_done_callback(lambda _: _resolve(self._idle))
        return self.send(b"")

    @property
    def is_open(self) -> bool:
        return not (self.hangs or self._task is None or self._task.done())

    def send(self, octets: bytes, *, lost: bool = False) -> list[Reply]:
        """Send *octets*, and return the replies. *lost*: then lose the connection."""
        self._input += octets
        self._ended = self._ended or lost
        if self.is_open:
            self._wait(octets)
        lines, self._output = self._output.split(b"\r\n")[:-1], b""
        ends = [at for at, line in enumerate(lines, 1) if line[3:4] != b"-"]
        return [Reply.from_lines(lines[a:b]) for a, b in zip([0, *ends], ends, strict=False)]

    def _wait(self, octets: bytes) -> None:
        """Run the server until it waits for more octets, or has ended."""
        self._idle = self._loop.create_future()
        late = self._loop.call_later(self._patience.seconds, self._idle.cancel)
        _resolve(self._arrived)
        try:
            self._loop.run_until_complete(self._idle)
        except asyncio.CancelledError:
            self.hangs = True
            self._patience.end(octets)
        late.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Failures:
    """A filter of the log that collects what the server logs as an error: hooks that raise, and
    wrong results of hooks. It keeps them out of the log, which would have one for each attempt to
    find a shorter session."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            return True
        self.texts.append(record.getMessage())
        return False


def _in(phase: str) -> SearchStrategy[int]:
    return st.runner().flatmap(lambda machine: st.sampled_from(machine._in(phase)))


def _one_of(name: str) -> SearchStrategy[str]:
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, name)))


class HandlerMachine(RuleBasedStateMachine):
    """A Hypothesis state machine that tests a handler: subclass it, and define :meth:`handler`.

    ::

        class MailboxesMachine(HandlerMachine):
            def handler(self):
                self.mailboxes = Mailboxes()
                return self.mailboxes

            def stored(self):
                return self.mailboxes.mail

        TestMailboxes = MailboxesMachine.TestCase

    It serves two connections at a time in memory with your handler, in an event loop of asyncio, so
    hooks may be plain or ``async``. Clients send transactions by DATA and BDAT, give them up, send
    commands that are refused, and lose connections. After each step it checks that no hook raised
    or took longer than five seconds, that each command has one reply that fits it
    (:func:`.laws.check_reply`), and that :meth:`stored` returns what was accepted, exactly once.
    ``MailboxesMachine.TestCase.settings`` are Hypothesis's, with 20 steps an example.
    """

    config: ClassVar[ServerConfig] = ServerConfig(hostname="mx.example.org")
    """The options of the server."""
    senders: ClassVar[Sequence[str]] = ("ann@example.org", "")
    """Senders to choose from; ``""`` is the null path."""
    recipients: ClassVar[Sequence[str]] = ("bob@example.org", "carl@example.org", "eve@other.test")
    """Recipients to choose from: some that your handler accepts, and some that it refuses."""

    _patience: ClassVar[_Patience]

    def handler(self) -> HandlerSource:
        """Return a new handler, or a function that returns one for each connection."""
        raise NotImplementedError("define handler() in your subclass: return your handler")

    def stored(self) -> Iterable[tuple[str, bytes]] | None:
        """Return what the handler has stored, as pairs of a recipient and a content. None, the
        default: this is not checked."""
        return None

    def __init_subclass__(cls, **options: object) -> None:
        """Prefer short sessions, and a shortest one that is found soon."""
        super().__init_subclass__(**options)
        cls._patience = _Patience()
        phases = [phase for phase in Phase if phase is not Phase.explain]
        cls.TestCase.settings = settings(
            cls.TestCase.settings, stateful_step_count=20, phases=phases
        )

    def __init__(self) -> None:
        super().__init__()
        self._accepted: list[tuple[str, bytes]] = []
        self._source = self.handler()
        self._failures = _Failures()
        logging.getLogger("smtpproto.server").addFilter(self._failures.filter)
        self._loop = asyncio.new_event_loop()
        self._usage = Usage(self.config.limits)
        self._connections = [_Connection(self._loop, self._patience) for _ in range(2)]

    def teardown(self) -> None:
        """Lose both connections, and check the laws a last time."""
        try:
            if not any(connection.hangs for connection in self._connections):
                for connection in self._connections:
                    connection.send(b"", lost=True)
                self._check_laws()
        finally:
            self._close_loop()
            logging.getLogger("smtpproto.server").removeFilter(self._failures.filter)

    def _check_laws(self) -> None:
        """Check that no hook failed, and that what was accepted is stored."""
        assert not self._failures.texts, self._failures.texts[0]
        stored = self.stored()
        if stored is not None:
            laws.check_stored_once(self._accepted, stored)

    # -- steps -----------------------------------------------------------------------------------

    @precondition(lambda self: self._in("ready"))
    @rule(who=_in("ready"), sender=_one_of("senders"), to=_one_of("recipients"))
    def mail(self, who: int, sender: str, to: str) -> None:
        """Begin a transaction, with its first recipient."""
        connection = self._open(who)
        if self._send(connection, "MAIL", f"MAIL FROM:<{sender}>"):
            connection.accepted = []
            self._rcpt(connection, to)

    @precondition(lambda self: self._in("mail"))
    @rule(who=_in("mail"), to=_one_of("recipients"))
    def rcpt(self, who: int, to: str) -> None:
        """Add a recipient."""
        self._rcpt(self._connections[who], to)

    def _rcpt(self, connection: _Connection, to: str) -> None:
        known = connection.accepted or []
        if to not in known and self._send(connection, "RCPT", f"RCPT TO:<{to}>"):
            connection.accepted = [*known, to]

    @precondition(lambda self: self._in("rcpt"))
    @rule(who=_in("rcpt"), content=messages())
    def data(self, who: int, content: bytes) -> None:
        """Send a content by DATA."""
        connection = self._connections[who]
        if self._send(connection, "DATA", "DATA"):
            self._end(connection, _stuffed(content) + b".\r\n", content)

    @precondition(lambda self: self._in("rcpt"))
    @rule(who=_in("rcpt"), content=messages())
    def bdat(self, who: int, content: bytes) -> None:
        """Send a content in two chunks."""
        connection = self._connections[who]
        first, last = content[: len(content) // 2], content[len(content) // 2 :]
        if self._send(connection, "BDAT", f"BDAT {len(first)}", first):
            self._end(connection, b"BDAT %d LAST\r\n%b" % (len(last), last), content)

    @precondition(lambda self: self._in("mail"))
    @rule(who=_in("mail"))
    def rset(self, who: int) -> None:
        """Give up the transaction."""
        connection = self._connections[who]
        self._send(connection, "RSET", "RSET")
        connection.accepted = None

    @rule(who=st.sampled_from([0, 1]), line=st.sampled_from(_LINES))
    def disturb(self, who: int, line: str) -> None:
        """Send a command that changes nothing."""
        self._send(self._open(who), line.partition(" ")[0], line)

    @precondition(lambda self: self._in("mail"))
    @rule(who=_in("mail"), content=messages())
    def lose(self, who: int, content: bytes) -> None:
        """Lose the connection, in the middle of a content if a recipient was accepted."""
        connection = self._connections[who]
        begun = connection.accepted and self._send(connection, "DATA", "DATA")
        connection.send(_stuffed(content) if begun else b"", lost=True)
        connection.accepted = None

    def _in(self, phase: str) -> list[int]:
        """Return the numbers of the connections that are in *phase*: ready, mail or rcpt."""
        recipients = enumerate(it.accepted for it in self._connections)
        if phase == "rcpt":
            return [number for number, accepted in recipients if accepted]
        return [n for n, accepted in recipients if (accepted is None) == (phase == "ready")]

    def _open(self, who: int) -> _Connection:
        """Return a connection on which EHLO was sent, or which was refused."""
        connection = self._connections[who]
        if not connection.is_open:
            connection = self._connections[who] = _Connection(self._loop, self._patience)
            served = Conversation(connection, self._source, self.config, Runtime(), self._usage)
            self._check("", connection.open(served))
            self._send(connection, "EHLO", "EHLO client.example")
        return connection

    def _send(self, connection: _Connection, verb: str, line: str, more: bytes = b"") -> bool:
        """Send a command, and return whether the server accepts it."""
        if not connection.is_open:
            return False
        accepted = self._check(verb, connection.send(f"{line}\r\n".encode() + more))
        if not accepted and verb in ("DATA", "BDAT"):  # servers differ in what is left of it
            connection.accepted = None
            connection.send(b"RSET\r\n")
        self._check_laws()
        return accepted

    def _end(self, connection: _Connection, octets: bytes, content: bytes) -> None:
        """Send the end of a content, and note whether the message is accepted."""
        if self._check(".", connection.send(octets)):
            self._accepted += [(recipient, content) for recipient in connection.accepted or ()]
        connection.accepted = None
        self._check_laws()

    def _check(self, verb: str, replies: list[Reply]) -> bool:
        closes = len(replies) > 1 and replies[-1].code == 421
        assert len(replies) == 1 or closes, f"{len(replies)} replies to {verb or 'a connection'}"
        laws.check_reply(verb, replies[0])
        return replies[0].code < 400

    def _close_loop(self) -> None:
        """Cancel what is left of the handler's tasks."""
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=self._patience.seconds))
        self._loop.close()


def _stuffed(content: bytes) -> bytes:
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
