"""The content of messages, on its way from the server's machine to the application's sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, cast

from attrs import define, field

from ..grammar.reply import Reply
from ..ports import call_contained
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from .handler import Handler, Session, Sink, Verdict, WholeMessage
from .hooks import LOCAL_ERROR, HookCaller, VerdictReader, answer_machine, log_failure
from .usage import Account


@define(eq=False)
class ContentWriter:
    """Writes each message's content to a sink, and ends it by exactly one commit or abort.

    *flush* sends the replies that the machine has queued.
    """

    _hooks: HookCaller
    _flush: Callable[[], Awaitable[None]]
    _account: Account
    _sink: Sink | None = field(default=None, init=False)
    _peer: tuple[str, int] = field(default=("", 0), init=False)  # the client

    def begin(
        self, handler: Handler, machine: ServerProtocol, session: Session
    ) -> Awaitable[None] | None:
        """Answer DATA or BDAT. The first of them in a message asks *handler* for a sink. Return
        what is to be awaited for that, if anything."""
        if machine.phase is not Phase.RCPT:
            machine.answer()
            return None
        self._peer, data = session.peer, handler.data
        if type(data) is not MethodType or data.__func__ is not Handler.data:
            return self._begin(data, machine, session)
        sink = WholeMessage(handler, session, machine.transaction.envelope)
        self._use(sink, machine)
        return None

    async def _begin(
        self, data: Callable[..., object], machine: ServerProtocol, session: Session
    ) -> None:
        seconds = self._hooks.timeouts.hook
        try:
            sink = await self._hooks.call(
                data, session, machine.transaction.envelope, seconds=seconds
            )
            sink = call_contained(_check_sink, sink)
        except Exception as error:
            log_failure("data", error)
            sink = LOCAL_ERROR
        self._use(sink, machine)

    def _use(self, sink: Sink | Reply, machine: ServerProtocol) -> None:
        """Answer DATA or BDAT: with the refusal *sink*, or because *sink* takes the content."""
        if isinstance(sink, WholeMessage):
            sink.account = self._account
            sink = self._account.check_memory() or sink
        if isinstance(sink, Reply):
            answer_machine(machine, sink, self._peer)
        else:
            self._sink = sink
            machine.answer()

    async def write(self, data: bytes) -> None:
        """Write *data* to the sink. If the sink fails, the rest of the content is discarded."""
        if self._sink is None:
            return
        try:
            await self._hooks.call(self._sink.write, data, seconds=self._hooks.timeouts.hook)
        except Exception as error:
            log_failure("write", error)
            await self.abort()

    def end_chunk(self, machine: ServerProtocol) -> None:
        """Accept a chunk if the sink has taken it."""
        answer_machine(machine, None if self._sink is not None else LOCAL_ERROR, self._peer)

    async def commit(self, machine: ServerProtocol) -> None:
        """Commit the complete content, and answer for the message: once, or in LMTP once for each
        recipient, as soon as each verdict is known."""
        sink, self._sink = self._sink, None
        verdicts = LOCAL_ERROR if sink is None else await self._verdicts(sink)
        if not machine.terms.settings.lmtp or verdicts is None or isinstance(verdicts, Reply):
            self._answer_all(machine, verdicts)
        else:
            await self._answer_each(machine, VerdictReader(self._hooks, verdicts))

    async def abort(self) -> None:
        """Abort the sink, if one is open."""
        sink, self._sink = self._sink, None
        if sink is not None:

            def abort() -> Any:
                return sink.abort()

            await self._hooks.finish(abort)

    async def _verdicts(self, sink: Sink) -> Any:
        try:
            return await self._hooks.call(sink.commit, seconds=self._hooks.timeouts.commit)
        except Exception as error:
            log_failure("message" if isinstance(sink, WholeMessage) else "commit", error)
            return LOCAL_ERROR

    def _answer_all(self, machine: ServerProtocol, verdict: Verdict) -> None:
        while machine.question is not None:
            answer_machine(machine, verdict, self._peer)

    async def _answer_each(self, machine: ServerProtocol, verdicts: VerdictReader) -> None:
        """Answer for each recipient of LMTP. What the link raises while a reply is sent ends the
        connection; what the application raises is the reply to all further recipients."""
        try:
            while machine.phase is not Phase.CLOSED:  # a 421 needs no more verdicts
                at_end = machine.question is None
                try:
                    verdict = await verdicts.next(at_end=at_end)
                except Exception as error:
                    log_failure("commit", error)
                    self._answer_all(machine, LOCAL_ERROR)
                    return
                if at_end:
                    return
                answer_machine(machine, verdict, self._peer)
                await self._flush()
        finally:
            await verdicts.close()


def _check_sink(value: Any) -> Sink | Reply:
    """Return *value*, what the hook ``data`` returned. Raises TypeError if it is neither a sink nor
    a refusal."""
    if (isinstance(value, Reply) and not value.positive) or hasattr(value, "commit"):
        return cast("Sink | Reply", value)
    what = value.code if isinstance(value, Reply) else type(value).__name__
    raise TypeError(f"data must return a Sink, or a Reply that refuses, not {what}")
