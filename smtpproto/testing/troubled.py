"""One connection of a test server: it records the dialogue, and plays the script of trouble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field

from ..errors import ConnectionLost, TLSFailed
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.domain import HelloHost
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.reply import Reply
from ..ports import Event, Trace
from ..sasl import Identity
from ..server.config import ServerConfig
from ..server.handler import Handler, MessageHook, Session, Sink, Verdict
from ..wire.stream_wrapper import StreamWrapper
from .inbox import Inbox
from .recording import Recorder
from .trouble import Delay, Drop, Greylist, Occasion, Refuse, Script

_DROPPED = Reply(451, "4.3.0", "Never sent: the connection is dropped")


class TroubledConnection(Handler):
    """Records one connection, and makes trouble on it. It is the handler and the trace of the
    conversation; :class:`TroubledStream` is its stream."""

    def __init__(
        self,
        peer: tuple[str, int],
        inbox: Inbox,
        script: Script,
        changed: Callable[[], object],
        *,
        recorder: Recorder | None = None,
    ) -> None:
        self.name: str = f"{peer[0]} port {peer[1]}"
        self.is_open: bool = False
        """Whether a client is connected, and was not refused by a limit."""
        self._recorder = recorder or Recorder()
        self.delay: float = 0.0
        """Seconds to wait before the next reply is written."""
        self.dropped: bool = False
        """Whether the connection ends instead of the next reply, and handles nothing more."""
        self.cut: bool = False
        """Whether it ends after the octets that have arrived, whose replies are lost."""
        self._inbox, self._script, self._changed = inbox, script, changed
        self._verb = ""  # of the last command

    @property
    def transcript(self) -> str:
        """The dialogue so far, secrets masked, as the text of a :class:`.Transcript`."""
        return str(self._recorder.transcript)

    def opened(self) -> TroubledConnection:
        """Note that the conversation begins, and return this handler for it."""
        self.is_open = True
        return self

    def trace(self, speaker: str, line: str) -> None:
        """Record a line of the dialogue, unless the script keeps it from being handled or sent."""
        if self.dropped or (speaker == "S" and self.cut):
            return
        self._recorder.trace(speaker, line)
        if speaker == "C":
            self._verb = line.partition(" ")[0]
            if line == "QUIT":
                self.meet(Occasion("QUIT"))

    def meet(self, occasion: Occasion) -> Verdict:
        """Play what the script has for *occasion*. Return the refusal, if there is one."""
        if self.dropped:
            return _DROPPED
        verdict: Verdict = None
        for trouble in self._script.play(occasion):
            self._recorder.note(str(trouble))
            match trouble:
                case Delay():
                    self.delay += trouble.seconds
                case Drop(at=int()):
                    self.cut = True
                case Drop():
                    self.dropped = True
                    verdict = None if trouble.stored else _DROPPED
                case Refuse() | Greylist():
                    verdict = trouble.reply
        return verdict

    def configured(self, config: ServerConfig) -> ServerConfig:
        """Return *config* with what this needs of a conversation: its trace, besides that of
        *config*, and trouble at STARTTLS."""
        if config.context is not None and not config.implicit_tls:
            config = evolve(config, context=_troubled_context(config.context, self))
        return evolve(config, trace=_both(self.trace, config.trace))

    # -- hooks -------------------------------------------------------------------------------

    def connect(self, session: Session) -> Verdict:
        return self.meet(Occasion("connect"))

    def tls(self, session: Session) -> None:
        self._recorder.tls(session.tls.version if session.tls else "")

    def ehlo(self, session: Session, host: HelloHost) -> Verdict:
        return self.meet(Occasion(self._verb))

    def login(self, session: Session, identity: Identity) -> Verdict:
        return self.meet(Occasion("AUTH"))

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self._sender = sender
        return self.meet(Occasion("MAIL", sender))

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        return self.meet(Occasion("RCPT", self._sender, (recipient,)))

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        verdict = self.meet(Occasion("DATA", envelope.sender, envelope.recipients))
        if verdict is not None:
            return verdict
        sink = super().data(session, envelope)
        assert not isinstance(sink, Reply)
        return sink  # type: ignore[return-value]

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        everyone = envelope.recipients
        groups = [(one,) for one in everyone] if session.lmtp else [everyone]
        verdicts = [self.meet(Occasion(".", envelope.sender, group)) for group in groups]
        kept = [
            one for group, it in zip(groups, verdicts, strict=True) if it is None for one in group
        ]
        if kept:
            if len(kept) < len(everyone):
                parameters = {it: own for it, own in envelope.rcpt_parameters.items() if it in kept}
                envelope = evolve(envelope, recipients=kept, rcpt_parameters=parameters)
            self._inbox.message(session, envelope, body)
            self._changed()
        return verdicts if session.lmtp else verdicts[0]

    def close(self, session: Session) -> None:
        self.is_open = False
        self._changed()


def _both(first: Trace, second: Trace | None) -> Trace:
    def trace(speaker: str, line: str) -> None:
        first(speaker, line)
        if second is not None:
            second(speaker, line)

    return trace


def _troubled_context(context: Any, connection: TroubledConnection) -> Callable[[], Any]:
    """Return the context for STARTTLS, as a function that makes the trouble there first."""

    def get() -> Any:
        verdict = connection.meet(Occasion("STARTTLS"))
        if verdict is not None and not connection.dropped:
            raise TLSFailed("the script of the test refuses STARTTLS", phase="TLS")
        return context

    return get


@define(eq=False, repr=False)
class TroubledStream(StreamWrapper):
    """The stream of a connection, which is slow or lost where the script says so. *_over* is set
    when the script is over, and ends a delay."""

    _connection: TroubledConnection
    _script: Script
    _over: Event
    _received: int = field(default=0, init=False)

    async def read(self, timeout: float | None) -> bytes:
        await self._drop_if_due(cut=self._connection.cut)
        data = await self._stream.read(timeout)
        before, self._received = self._received, self._received + len(data)
        for octet in self._script.octets:
            if before < octet <= self._received:
                self._connection.meet(Occasion(octet))
                if self._connection.cut:
                    return data[: octet - before]
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        delay, self._connection.delay = self._connection.delay, 0.0
        if delay:
            await self._over.wait(delay)
        await self._drop_if_due()
        if not self._connection.cut:
            await self._stream.write(data, timeout)

    async def _drop_if_due(self, *, cut: bool = False) -> None:
        if self._connection.dropped or cut:
            await self._stream.close()
            raise ConnectionLost("the script of the test dropped the connection")
