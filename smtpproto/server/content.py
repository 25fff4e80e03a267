"""The content of messages, on its way from the server's machine to the application's sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from operator import methodcaller
from typing import cast

from attrs import define, field

from ..errors import LocalProtocolError, TransportError
from ..grammar.reply import Reply
from ..ports import result
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from .handler import Handler, Session, Sink, Verdict, Verdicts
from .hooks import (
    LOCAL_ERROR,
    answer_machine,
    call_hook_without_reply,
    iterate_verdicts,
    log_failure,
)


@define(eq=False)
class ContentWriter:
    """Writes each message's content to a sink, and ends it by exactly one commit or abort.

    *flush* sends the replies that the machine has queued.
    """

    _handler: Handler
    _flush: Callable[[], Awaitable[None]]
    _sink: Sink | None = field(default=None, init=False)

    async def begin(self, machine: ServerProtocol, session: Session) -> None:
        """Answer DATA or BDAT. The first of them in a message asks the handler for a sink."""
        if machine.phase is not Phase.RCPT:
            answer_machine(machine, None)
            return
        try:
            sink: Sink | Reply = await result(self._handler.data(session, machine.envelope))
            if not isinstance(sink, Reply) and not hasattr(sink, "commit"):
                raise TypeError(f"data must return a Sink or a Reply, not {type(sink).__name__}")
        except Exception as error:
            log_failure("data", error)
            sink = LOCAL_ERROR
        if isinstance(sink, Reply):
            answer_machine(machine, sink)
        else:
            self._sink = sink
            answer_machine(machine, None)

    async def write(self, data: bytes) -> None:
        """Write *data* to the sink. If the sink fails, the rest of the content is discarded."""
        if self._sink is None:
            return
        try:
            await result(self._sink.write(data))
        except Exception as error:
            log_failure("write", error)
            await self.abort()

    def end_chunk(self, machine: ServerProtocol) -> None:
        """Accept a chunk if the sink has taken it."""
        answer_machine(machine, None if self._sink is not None else LOCAL_ERROR)

    async def commit(self, machine: ServerProtocol) -> None:
        """Commit the complete content, and answer for the message."""
        sink, self._sink = self._sink, None
        if sink is None:
            await self._answer(machine, LOCAL_ERROR)
            return
        try:
            await self._answer(machine, await result(sink.commit()))
        except TransportError:  # the link broke while LMTP's replies were sent
            raise
        except Exception as error:
            log_failure("commit", error)
            await self._answer(machine, LOCAL_ERROR)

    async def abort(self) -> None:
        """Abort the sink, if one is open."""
        sink, self._sink = self._sink, None
        if sink is not None:
            await call_hook_without_reply(methodcaller("abort"), sink)

    async def _answer(self, machine: ServerProtocol, verdicts: Verdicts) -> None:
        """Answer once, or in LMTP once for each recipient, as soon as each verdict is known."""
        if not machine.lmtp or verdicts is None or isinstance(verdicts, Reply):
            while machine.question is not None:
                answer_machine(machine, cast(Verdict, verdicts))
            return
        async with aclosing(iterate_verdicts(verdicts)) as one_by_one:
            async for verdict in one_by_one:
                if machine.question is None:
                    raise LocalProtocolError("more verdicts than recipients; return one for each")
                answer_machine(machine, verdict)
                await self._flush()
        if machine.question is not None:
            raise LocalProtocolError("fewer verdicts than recipients; return one for each")
