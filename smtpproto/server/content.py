"""The content of messages, on its way from the server's machine to the application's sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from attrs import define, field

from ..grammar.reply import Reply
from ..ports import containing
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

    async def begin(self, handler: Handler, machine: ServerProtocol, session: Session) -> None:
        """Answer DATA or BDAT. The first of them in a message asks *handler* for a sink."""
        if machine.phase is not Phase.RCPT:
            answer_machine(machine, None)
            return
        sink = await self._open(handler, machine, session)
        if isinstance(sink, WholeMessage):
            sink = sink.count_on(self._account) or sink
        if isinstance(sink, Reply):
            answer_machine(machine, sink)
        else:
            self._sink = sink
            answer_machine(machine, None)

    async def _open(
        self, handler: Handler, machine: ServerProtocol, session: Session
    ) -> Sink | Reply:
        data, seconds = handler.data, self._hooks.timeouts.hook
        try:
            sink: Any = await self._hooks.call(data, session, machine.envelope, seconds=seconds)
            with containing():
                if (isinstance(sink, Reply) and not sink.positive) or hasattr(sink, "commit"):
                    return cast("Sink | Reply", sink)
            what = sink.code if isinstance(sink, Reply) else type(sink).__name__
            raise TypeError(f"data must return a Sink, or a Reply that refuses, not {what}")
        except Exception as error:
            log_failure("data", error)
            return LOCAL_ERROR

    async def write(self, data: bytes) -> None:
        """Write *data* to the sink. If the sink fails, the rest of the content is discarded."""
        if (sink := self._sink) is None:
            return

        def write() -> object:
            return sink.write(data)

        try:
            await self._hooks.call(write, seconds=self._hooks.timeouts.hook)
        except Exception as error:
            log_failure("write", error)
            await self.abort()

    def end_chunk(self, machine: ServerProtocol) -> None:
        """Accept a chunk if the sink has taken it."""
        answer_machine(machine, None if self._sink is not None else LOCAL_ERROR)

    async def commit(self, machine: ServerProtocol) -> None:
        """Commit the complete content, and answer for the message: once, or in LMTP once for each
        recipient, as soon as each verdict is known."""
        sink, self._sink = self._sink, None
        verdicts = LOCAL_ERROR if sink is None else await self._verdicts(sink)
        if not machine.settings.lmtp or verdicts is None or isinstance(verdicts, Reply):
            _answer_all(machine, verdicts)
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
        def commit() -> object:
            return sink.commit()

        try:
            return await self._hooks.call(commit, seconds=self._hooks.timeouts.commit)
        except Exception as error:
            log_failure(_name_of_commit(sink), error)
            return LOCAL_ERROR

    async def _answer_each(self, machine: ServerProtocol, verdicts: VerdictReader) -> None:
        """Answer for each recipient of LMTP. What the link raises while a reply is sent ends the
        connection; what the application raises is the reply to all further recipients."""
        try:
            while machine.question is not None:
                try:
                    verdict = await verdicts.next()
                except Exception as error:
                    log_failure("commit", error)
                    _answer_all(machine, LOCAL_ERROR)
                    return
                answer_machine(machine, verdict)
                await self._flush()
            if machine.phase is not Phase.CLOSED:  # a 421 needs no more verdicts
                await _check_end(verdicts)
        finally:
            await verdicts.close()


def _answer_all(machine: ServerProtocol, verdict: Verdict) -> None:
    while machine.question is not None:
        answer_machine(machine, verdict)


async def _check_end(verdicts: VerdictReader) -> None:
    try:
        await verdicts.check_end()
    except Exception as error:
        log_failure("commit", error)


def _name_of_commit(sink: Sink) -> str:
    """The name of the hook that *sink* calls to commit, for the log."""
    return "message" if isinstance(sink, WholeMessage) else "commit"
