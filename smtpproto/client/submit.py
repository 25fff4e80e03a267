"""A message's transactions as a client (RFC 5321 3.3): MAIL, RCPT, DATA or BDAT, content."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterable

from attrs import define, evolve, field

from ..errors import NotOffered, RemoteProtocolError, SendRefused, TransportError
from ..events import Sent
from ..grammar.address import ForwardPath
from ..grammar.command import Data, Rset
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail.planning import CHUNK, Plan, PlannedTransaction
from ..outcome import Outcome
from .link import Link

_log = logging.getLogger("smtpproto.client")

_IN_FLIGHT = 4  # chunks ahead of their replies: one refused stops the message soon
_NOT_READ = Reply(451, "4.3.0", "The content could not be read again")
_NEVER_SENT = Reply(421, "4.4.2", "The connection was lost before this was sent")

# What is said after a refusal only keeps both sides in step: if it fails, the refusal stands.
_what_is_known_holds = contextlib.suppress(TransportError, RemoteProtocolError)


async def submit(link: Link, plan: Plan) -> Outcome:
    """Send one message. Raises SendRefused if it was accepted for nobody, and TransportError if the
    link died before the end of it, or what its source raised, if nothing was accepted."""
    if link.midway:  # somebody gave up in the middle of the last message
        await link.ask(Rset())
    outcome, decided_by = Outcome(envelope=plan.envelope), ""
    for transaction in plan.transactions:
        submission = _Submission(link, plan, transaction)
        try:
            part = await submission.run()
        except Exception as error:  # to raise it would hide that others have the message
            if not (outcome.accepted or outcome.unknown):
                raise
            _log.error("a message failed after some had it: %s", printable(repr(error)))
            lost = isinstance(error, TransportError | RemoteProtocolError)
            part = submission.refused(_NEVER_SENT if lost else _NOT_READ)
        outcome, decided_by = outcome | part, submission.decided_by
    if not outcome.accepted and not outcome.unknown:
        reply = outcome.reply or next(iter(outcome.refused.values()))
        raise SendRefused(reply, outcome, command=decided_by)
    return outcome


@define
class _Submission:
    """One transaction. With PIPELINING the commands leave together and their replies are read
    after; without, each waits for the reply before it. The same lines do both."""

    link: Link
    plan: Plan
    transaction: PlannedTransaction
    decided_by: str = field(default="MAIL", init=False)
    """The command whose reply was the last word."""
    _rcpt: dict[ForwardPath, Reply] = field(factory=dict, init=False)

    async def run(self) -> Outcome:
        """Raises TransportError or RemoteProtocolError if nothing was accepted."""
        if self.link.closing is not None:
            return self.refused(self.link.closing)
        if self.link.over:
            return self.refused(_NEVER_SENT)
        try:
            outcome = await self._transact()
        except Exception as error:  # of the message's source, perhaps between two chunks
            if isinstance(error, TransportError | RemoteProtocolError):
                error.command = error.command or self.decided_by
            await self._reset()
            raise
        await self._reset()
        return outcome

    async def _reset(self) -> None:
        """Close a transaction that stayed open, so that the next message can follow."""
        if self.link.midway and not self.link.over:
            with _what_is_known_holds:
                await self.link.ask(Rset())

    async def _transact(self) -> Outcome:
        link = self.link
        sender = await link.say(self.transaction.mail)
        rcpts = await self._say_recipients()
        data = None if self.plan.chunked else await link.say_if_allowed(Data())
        reply = await link.reply_to(sender)
        if not reply.positive:
            with _what_is_known_holds:
                await self._recipients(rcpts)
                await self._data_in_vain(data)
            self._rcpt.clear()
            return self.refused(reply)
        self.decided_by = "RCPT"
        await self._recipients(rcpts)
        if link.closing is not None:
            return self.refused(link.closing)
        if not self._accepted:
            with _what_is_known_holds:
                await self._data_in_vain(data)
            return self._outcome()
        return await self._content(data)

    async def _say_recipients(self) -> dict[ForwardPath, Sent]:
        sent = {}
        for rcpt in self.transaction.rcpts:
            if (entry := await self.link.say_if_allowed(rcpt)) is None:
                break  # MAIL was refused meanwhile
            sent[rcpt.path] = entry
        return sent

    async def _recipients(self, rcpts: dict[ForwardPath, Sent]) -> None:
        for path, sent in rcpts.items():
            self._rcpt[path] = await self.link.reply_to(sent)

    async def _data_in_vain(self, data: Sent | None) -> None:
        """Read the reply to a DATA that left before it was known to be in vain; if it is 354, the
        server waits for a dot (RFC 2920 3.1)."""
        if data is not None and (await self.link.reply_to(data)).positive:
            for sent in self.link.end_body():
                await self.link.reply_to(sent)

    # -- content -----------------------------------------------------------------------------

    async def _content(self, data: Sent | None) -> Outcome:
        if self.plan.chunked:
            return await self._by_bdat()
        assert data is not None  # since somebody was accepted
        self.decided_by = "DATA"
        reply = await self.link.reply_to(data)
        return await self._by_data() if reply.positive else self.refused(reply)

    async def _by_data(self) -> Outcome:
        self.decided_by = "end of data"
        try:
            refusal = await self._write_content()
        except BaseException:  # what is not whole has no end, so that nothing can follow it
            self.link.give_up()
            raise
        if refusal is not None:
            return self.refused(refusal)
        return await self._end(self.link.end_body(), ())

    async def _write_content(self) -> Reply | None:
        """All of it, or why the link broke in the middle."""
        link, size = self.link, 0
        async with contextlib.aclosing(self.plan.content.slices()) as parts:
            async for part in parts:
                size += len(part)
                link.machine.send_body(part)
                try:
                    await link.flush()
                except TransportError as error:
                    return self._refusal(error)
        link.show("C", f"[{size} octets of content]")
        return None

    async def _by_bdat(self) -> Outcome:
        """Chunk by chunk, some ahead of their replies; after a refusal no more are sent."""
        link, ahead, size = self.link, deque[Sent](), 0
        self.decided_by = "BDAT"
        async with contextlib.aclosing(self.plan.content.chunks(CHUNK)) as chunks:
            async for data, last in chunks:
                while ahead and (len(ahead) >= _IN_FLIGHT or not link.machine.ready):
                    reply = await link.reply_to(ahead.popleft())
                    if not reply.positive:
                        return await self._failed(reply, ahead)
                size += len(data)
                self._check_size(size)
                sent = link.say_chunk(data, last=last)
                if last:
                    return await self._end(sent, ahead)
                ahead.extend(sent)
                try:
                    await link.flush()
                except TransportError as error:
                    return self.refused(self._refusal(error, ahead))
        raise AssertionError("content without an end")

    def _check_size(self, size: int) -> None:
        """Send no chunk beyond what the server takes: there are some that read its end as commands.
        What was sent is dropped by RSET."""
        limit = self.link.machine.extensions.size
        if limit is not None and size > limit:
            told = f"more than {limit} octets, which is all that the server takes"
            raise NotOffered(told, command="BDAT", check="the size of the message")

    def _refusal(self, error: TransportError, ahead: Iterable[Sent] = ()) -> Reply:
        """Why the link broke, which the server said before; raise *error* if it did not."""
        replies = (*(self.link.known(sent) for sent in ahead), error.reply)
        for reply in replies:
            if reply is not None and not reply.positive:
                return reply
        raise error

    async def _failed(self, reply: Reply, ahead: Iterable[Sent]) -> Outcome:
        """A chunk was refused: those on their way get replies all the same (RFC 3030 2)."""
        with _what_is_known_holds:
            for sent in ahead:
                await self.link.reply_to(sent)
        return self.refused(reply)

    async def _end(self, ends: tuple[Sent, ...], ahead: Iterable[Sent]) -> Outcome:
        """Everything is said: what became of it? *ends* have the last word, in LMTP one each. From
        here on the server may have all of it, even if the link breaks as it is written."""
        final: dict[ForwardPath | None, Reply] = {}
        try:
            for sent in ahead:
                reply = await self.link.reply_to(sent)
                if not reply.positive:
                    return await self._failed(reply, ends)
            for sent in ends:
                final[sent.recipient] = await self.link.reply_to(sent)
        except (TransportError, RemoteProtocolError):
            pass
        if None in final:
            final = dict.fromkeys(self._accepted, final[None])
        return self._outcome(final)

    # -- outcomes ----------------------------------------------------------------------------

    @property
    def _accepted(self) -> list[ForwardPath]:
        return [path for path, reply in self._rcpt.items() if reply.positive]

    def refused(self, reply: Reply) -> Outcome:
        """Nobody is accepted; *reply* refuses all that had no definite no before."""
        paths = [rcpt.path for rcpt in self.transaction.rcpts]
        before = {path: self._rcpt[path] for path in paths if path in self._rcpt}
        definite = {path: no for path, no in before.items() if not no.positive}
        if self.link.closing is reply:
            definite = {path: no for path, no in definite.items() if no.permanent}
        refused = dict.fromkeys(paths, reply) | definite
        return evolve(self._outcome(), refused=refused, unknown={}, reply=reply)

    def _outcome(self, final: dict[ForwardPath | None, Reply] | None = None) -> Outcome:
        """By the replies to RCPT and to the message; without *final*, nothing was sent."""
        accepted, refused, unknown = {}, {}, {}
        for path, rcpt in self._rcpt.items():
            reply = None if final is None else final.get(path)
            if not rcpt.positive:
                refused[path] = rcpt
            elif reply is None:
                unknown[path] = rcpt
            elif reply.positive:
                accepted[path] = reply
            else:
                refused[path] = reply
        replies = list((final or {}).values())
        return Outcome(
            envelope=self.plan.envelope,
            accepted=accepted,
            refused=refused,
            unknown=unknown,
            rcpt=dict(self._rcpt),
            reply=replies[-1] if replies else None,
        )
