"""What a server does at each event of its machine: call the hook, and answer."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from attrs import define, evolve, field

from .. import commands, events
from ..errors import TLSFailed
from ..events import ServerEvent
from ..grammar.reply import Reply
from ..ports import Runtime
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from ..protocol.server_replies import TIMED_OUT
from ..protocol.terms import Terms
from ..protocol.transaction import Transaction
from ..protocol.verbs import Vocabulary
from ..sasl import Channel, Identity, RefusingChallenge
from ..tls.filter import Filter, TLSInfo
from .auth import Authentication, channel_of, without_unoffered_bindings
from .config import ServerConfig
from .content import ContentWriter
from .handler import Handler, Session, Verdict, changed, new_session
from .hooks import NO_TLS_NOW, HookCaller, answer_machine, is_left_alone, read_lookup
from .patience import Patience
from .setup import make_filter, make_machine, offered_mechanisms
from .tracing import trace_event
from .trust import count_client, impersonate
from .usage import Account

_log = logging.getLogger("smtpproto.server")

_EVENTS_PER_TURN = 64  # a full buffer holds many commands: let other connections run in between

_UNINTERRUPTED = frozenset(it for it in Phase if it.in_message) | {Phase.CLOSED}


@cache
def _unawaited_events(vocabulary: Vocabulary, *, pipelining: bool) -> frozenset[type[ServerEvent]]:
    """Return the events after which a client need not wait for a reply (RFC 2920 3.1), and so the
    server need not send one at once (RFC 2920 3.2).

    Without PIPELINING these are, of the commands, only BDAT: its octets follow.
    """
    verbs = vocabulary.verbs.values()
    grouped = [verb.command for verb in verbs if verb.grouped] if pipelining else [commands.Bdat]
    return frozenset([*grouped, events.BodyChunk, events.Tolerated, events.Disconnected])


@define(eq=False)
class Dialogue:
    """The dialogue of one connection: it handles the events of its machine, one after the other.

    It moves no octets. *_flush* sends the machine's replies, where that must not wait.
    """

    _config: ServerConfig
    _runtime: Runtime
    _handler: Handler
    session: Session
    _hooks: HookCaller
    _patience: Patience
    _account: Account
    _port: int  # of this side
    _refusal: Reply | None  # of the connection: becomes the greeting
    _flush: Callable[[], Awaitable[None]]

    machine: ServerProtocol = field(init=False)
    content: ContentWriter = field(init=False)
    tls: Filter | None = field(default=None, init=False)
    """The filter for the handshake that STARTTLS has just begun."""
    ended_by_client: bool = field(default=False, init=False)
    """Whether the client sent QUIT, or closed the connection."""
    _authentication: Authentication | None = field(default=None, init=False)  # the last one
    _terms: Terms = field(init=False)  # as they were when _unawaited was worked out
    _unawaited: frozenset[type[ServerEvent]] = field(init=False)
    _transaction: Transaction = field(init=False)  # as it was before the current event
    _events: int = field(default=0, init=False)  # handled so far

    def __attrs_post_init__(self) -> None:
        kind, peer = type(self._handler), self.session.peer[0]
        self.machine = make_machine(kind, self._config, peer, self._mechanisms())
        self.content = ContentWriter(self._hooks, self._flush, self._account)
        self._transaction = self.machine.transaction
        self._note_terms()

    async def proceed(self) -> bool:
        """Handle what the machine has received. Return whether that was any event."""
        machine, before = self.machine, self._events
        while (event := machine.next_event()) is not None:
            kind = type(event)
            must_flush = kind not in self._unawaited and bool(machine.buffer)
            if must_flush and isinstance(event, commands.Command) and not self.session.early_talk:
                self.session = changed(self.session, early_talk=True)
            if self._config.trace is not None:
                trace_event(self._config.trace, event)
            if (rest := _DEEDS[kind](self, event)) is not None:
                await rest
                if self._patience.is_spent:
                    self._hang_up()
            if self.session.forwarded is not None:
                self._forget_forwarded()
            self._transaction = machine.transaction
            if machine.terms is not self._terms:
                self._note_terms()
            if must_flush:
                await self._flush()
            self._events += 1
            if self._events % _EVENTS_PER_TURN == 0:
                await self._runtime.checkpoint()
                self._patience.skip()
        return self._events > before

    def _forget_forwarded(self) -> None:
        """XFORWARD is for one message: at its end, what it said counts no longer."""
        if self._transaction.mail is not None and self.machine.transaction.mail is None:
            self.session = changed(self.session, forwarded=None)

    def _hang_up(self) -> None:
        """End the session, but not within a message; the commands after this one are dropped."""
        if self.machine.phase not in _UNINTERRUPTED:
            self.machine.hang_up(TIMED_OUT)

    async def restart(self, tls: TLSInfo) -> None:
        """Begin a new session after the handshake of STARTTLS."""
        self.tls, self.session = None, changed(self._new_session(), tls=tls)
        verdict = await self._hooks.ask(self._handler.tls, self.session)
        self.machine.tls_started(verdict, mechanisms=self._mechanisms())

    def _note_terms(self) -> None:
        self._terms = terms = self.machine.terms
        pipelining = "PIPELINING" in terms.negotiated
        self._unawaited = _unawaited_events(terms.vocabulary, pipelining=pipelining)

    # -- deeds: what to do at an event. Each returns what is to be awaited for it, or None. -----

    async def _answer(self, asking: Awaitable[Verdict]) -> None:
        answer_machine(self.machine, await asking, self.session.peer)

    async def _connected(self, event: events.Connected) -> None:
        verdict = self._refusal or await self._hooks.ask(self._handler.connect, self.session)
        answer_machine(self.machine, verdict, self.session.peer)

    async def _hello(self, command: commands.Ehlo) -> None:
        verdict = await self._hooks.ask(self._handler.ehlo, self.session, command.host)
        if answer_machine(self.machine, verdict, self.session.peer):
            extended = not isinstance(command, commands.Helo)
            self.session = changed(self.session, hello=command.host, extended=extended)
            await self._drop_transaction()

    def _nothing(self, event: ServerEvent) -> None:
        pass

    async def _drop_transaction(self, event: object = None) -> None:
        """Abort the content, and call the handler's ``reset`` if a transaction was open."""
        await self.content.abort()
        if self._transaction.mail is not None:
            await self._hooks.finish(self._handler.reset, self.session)

    def _begin_content(self, command: commands.Data | commands.Bdat) -> Awaitable[object] | None:
        return self.content.begin(self._handler, self.machine, self.session)

    async def _commit(self, event: events.BodyEnd) -> None:
        budget = self.machine.budget
        accepted = budget.accepted
        await self.content.commit(self.machine)
        self._account.release()
        if budget.accepted != accepted:
            self._patience.reset()

    def _rejected(self, event: events.Rejected) -> Awaitable[object] | None:
        if event.reply.code == 421:
            _log.info("closing, %s: %s", event.reply.text, event.line)
        # A bad command between chunks does not end them.
        return None if self.machine.phase.in_message else self.content.abort()

    def _end(self, event: commands.Quit | events.Disconnected) -> None:
        self.ended_by_client = True

    def _tolerated(self, event: events.Tolerated) -> None:
        _log.info("tolerated %s: %s", ", ".join(event.leniencies), event.line or "content")

    # -- deeds of extensions -----------------------------------------------------------------

    def _starttls(self, command: commands.StartTLS) -> None:
        try:
            tls = make_filter(self._config)
        except TLSFailed:
            answer_machine(self.machine, NO_TLS_NOW, self.session.peer)
            return
        accepted = answer_machine(self.machine, None, self.session.peer)
        if accepted and self.machine.phase is Phase.TLS:
            self.tls = tls

    async def _auth(self, command: commands.Auth) -> None:
        channel = without_unoffered_bindings(self._channel, self.machine.terms.mechanisms)
        peer, name = self.session.peer, command.mechanism
        login = Authentication(self._config, self._runtime, self._account, peer, name, channel)
        self._authentication = login
        await self._answer_login(login.begin(command.initial))

    def _auth_response(self, event: events.AuthResponse) -> Awaitable[object]:
        assert self._authentication is not None
        return self._answer_login(self._authentication.step(event.response))

    async def _answer_login(self, step: Awaitable[bytes | Identity | Reply]) -> None:
        """Answer AUTH or a response: with a challenge, a refusal, or the verdict of ``login``."""
        result = await step
        self._patience.skip()
        if isinstance(result, bytes):
            self.machine.challenge(result, refused=isinstance(result, RefusingChallenge))
            return
        if isinstance(result, Reply):
            answer_machine(self.machine, result, self.session.peer)
            return
        verdict = await self._hooks.ask_login(self._handler.login, self.session, result)
        if answer_machine(self.machine, verdict, self.session.peer):
            self.session = changed(self.session, user=result.user, identity=result)
        elif verdict is not None and verdict.permanent and self._authentication is not None:
            self._authentication.count_failure()

    async def _xclient(self, command: commands.XClient) -> None:
        """Begin a new session, which is that of the client that XCLIENT states."""
        machine = self.machine
        session = impersonate(self._new_session(), self.session, command.attributes)
        # The certificate belongs to the trusted peer.
        mechanisms = self._mechanisms(certificate=None)
        machine.terms = machine.terms.replace(mechanisms=mechanisms)
        refusal = count_client(self._account, session, self._config)
        verdict = refusal or await self._hooks.ask(self._handler.connect, session)
        if answer_machine(machine, verdict, self.session.peer):
            self.session = session

    def _xforward(self, command: commands.XForward) -> None:
        self.machine.answer()
        known, attributes = self.session.forwarded, command.attributes
        forwarded = attributes if known is None else known.updated(attributes)
        self.session = changed(self.session, forwarded=forwarded)

    def _new_session(self) -> Session:
        """Return the session as it was at the start: the server must forget what the client sent
        before TLS (RFC 3207 4.2).

        What trusted peers stated is kept. Otherwise the trusted peer's own certificate would be
        taken for that of the client that XCLIENT states.
        """
        old = self.session
        return new_session(old.peer, old.lmtp, old.proxied, old.impersonated)

    def _mechanisms(self, **changes: Any) -> tuple[str, ...]:
        """Return the SASL mechanisms to offer, with *changes* to the channel."""
        if self._config.authenticator is None:
            return ()
        return offered_mechanisms(self._config, evolve(self._channel, **changes))

    @property
    def _channel(self) -> Channel:
        return channel_of(self.session, self._port, self._runtime, self._config)


_Deed = Callable[[Dialogue, Any], Awaitable[object] | None]


def _ask(name: str, arguments: Callable[[Any], tuple[object, ...]], **options: Any) -> _Deed:
    """Return the deed that calls the hook *name* with *arguments* of the command, and answers with
    its verdict. *options* are those of :meth:`.HookCaller.ask`."""

    def deed(dialogue: Dialogue, command: commands.Command) -> Awaitable[object] | None:
        hook = getattr(dialogue._handler, name)
        if is_left_alone(hook):
            dialogue.machine.answer()
            return None
        asking = dialogue._hooks.ask(hook, dialogue.session, *arguments(command), **options)
        return dialogue._answer(asking)

    return deed


def _text(command: commands.Vrfy | commands.Expn | commands.Help) -> tuple[str]:
    return (command.text,)


_OWN = _ask("command", lambda command: (command,))
_DEEDS: Mapping[type[ServerEvent], _Deed] = defaultdict(
    lambda: _OWN,
    {
        events.Connected: Dialogue._connected,
        commands.Ehlo: Dialogue._hello,
        commands.Helo: Dialogue._hello,
        commands.Lhlo: Dialogue._hello,
        commands.Mail: _ask("mail", lambda mail: (mail.path, mail.parameters)),
        commands.Rcpt: _ask("rcpt", lambda rcpt: (rcpt.path, rcpt.parameters)),
        commands.Data: Dialogue._begin_content,
        commands.Bdat: Dialogue._begin_content,
        events.BodyChunk: lambda dialogue, event: dialogue.content.write(event.data),
        events.ChunkEnd: lambda dialogue, _: dialogue.content.end_chunk(dialogue.machine),
        events.BodyEnd: Dialogue._commit,
        commands.Rset: Dialogue._drop_transaction,
        commands.Noop: Dialogue._nothing,
        commands.Quit: Dialogue._end,
        commands.Vrfy: _ask("vrfy", _text, read=read_lookup),
        commands.Expn: _ask("expn", _text, read=read_lookup),
        commands.Help: _ask("help", _text),
        commands.StartTLS: Dialogue._starttls,
        commands.Auth: Dialogue._auth,
        events.AuthResponse: Dialogue._auth_response,
        commands.Etrn: _ask("etrn", lambda etrn: (etrn.node,)),
        commands.XClient: Dialogue._xclient,
        commands.XForward: Dialogue._xforward,
        events.Rejected: Dialogue._rejected,
        events.Tolerated: Dialogue._tolerated,
        events.Disconnected: Dialogue._end,
    },
)
"""The deed for each kind of event. Commands of the application's own go to its hook ``command``."""
