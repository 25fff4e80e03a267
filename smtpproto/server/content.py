"""The content of messages, on its way from a server's machine to the application's sinks."""

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
from .hooks import LOCAL_ERROR, answer, each, failed, notify


@define(eq=False)
class Delivery:
    """A sink gets exactly one of commit and abort. *flush* sends the replies given so far."""

    _handler: Handler
    _flush: Callable[[], Awaitable[None]]
    _sink: Sink | None = field(default=None, init=False)

    async def begin(self, machine: ServerProtocol, session: Session) -> None:
        """DATA, or a BDAT, of which the first one of a message asks for a sink."""
        if machine.phase is not Phase.RCPT:
            answer(machine, None)
            return
        try:
            sink: Sink | Reply = await result(self._handler.data(session, machine.envelope))
            if not isinstance(sink, Reply) and not hasattr(sink, "commit"):
                raise TypeError(f"data gave neither a sink nor a reply: {type(sink).__name__}")
        except Exception as error:
            sink = failed("data", error)
        if isinstance(sink, Reply):
            answer(machine, sink)
        else:
            self._sink = sink
            answer(machine, None)

    async def write(self, data: bytes) -> None:
        """Pass content on; if the sink fails, the rest is read and thrown away."""
        if self._sink is None:
            return
        try:
            await result(self._sink.write(data))
        except Exception as error:
            failed("write", error)
            await self.abort()

    def end_chunk(self, machine: ServerProtocol) -> None:
        """Answer for a chunk, which is taken if the sink took it."""
        answer(machine, None if self._sink is not None else LOCAL_ERROR)

    async def commit(self, machine: ServerProtocol) -> None:
        """The content is complete: answer for the message."""
        sink, self._sink = self._sink, None
        if sink is None:
            await self._answer(machine, LOCAL_ERROR)
            return
        try:
            await self._answer(machine, await result(sink.commit()))
        except TransportError:  # the client's, in the middle of LMTP's replies
            raise
        except Exception as error:
            await self._answer(machine, failed("commit", error))

    async def abort(self) -> None:
        """There will be no commit."""
        sink, self._sink = self._sink, None
        if sink is not None:
            await notify(methodcaller("abort"), sink)

    async def _answer(self, machine: ServerProtocol, verdicts: Verdicts) -> None:
        """Answer for each recipient in LMTP, one by one as the answers come, else once."""
        if not machine.lmtp or verdicts is None or isinstance(verdicts, Reply):
            while machine.question is not None:
                answer(machine, cast(Verdict, verdicts))
            return
        async with aclosing(each(verdicts)) as all_of_them:
            async for verdict in all_of_them:
                if machine.question is None:
                    raise LocalProtocolError("more answers than recipients")
                answer(machine, verdict)
                await self._flush()
        if machine.question is not None:
            raise LocalProtocolError("fewer answers than recipients")
