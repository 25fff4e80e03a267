"""Where a session stands on a server, and what accepting or refusing something changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..events import AuthResponse, BodyEnd, ChunkEnd, Connected, Question
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Helo, Mail, Quit, Rcpt, Rset
from ..grammar.envelope import Envelope
from ..grammar.extension_command import Auth, Bdat, Lhlo, StartTLS, XClient
from ..grammar.reply import Reply
from ..limits import Tolerance
from ..wire.buffer import Buffer
from ..wire.chunks import ChunkReader
from ..wire.dots import DotReader
from .budget import Budget
from .phases import Phase
from .terms import ServerSettings, Terms
from .transaction import NO_TRANSACTION, IncomingContent, Transaction


class ServerState:
    """The state of a session, and how answers change it: the base of
    :class:`~.server.ServerProtocol`, which reads and writes."""

    __slots__ = (
        "after_refused_login", "budget", "buffer", "content", "login_is_refused", "phase",
        "replies_due", "terms", "transaction",
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        self.terms: Terms = terms
        """What the server offers this connection now."""
        self.phase: Phase = Phase.GREETING
        """The phase of the session."""
        self.transaction: Transaction = NO_TRANSACTION
        """The open transaction; its *mail* is None if none is open."""
        self.replies_due: int = 0
        """In LMTP, how many of its recipients have no reply to the message yet."""
        self.budget: Budget = Budget(terms.settings.limits)
        self.buffer: Buffer = Buffer()
        """The octets that have arrived and were not read yet."""
        self.content: IncomingContent | None = None
        """What follows the last DATA or BDAT."""
        self.login_is_refused: bool = False
        """Whether the last challenge has refused the login."""
        self.after_refused_login: bool = False
        """Whether AUTH was refused, and no command was allowed since: a client that ignores the
        refusal may send its password as a line."""

    @property
    def settings(self) -> ServerSettings:
        """The options of the server."""
        return self.terms.settings

    @property
    def envelope(self) -> Envelope:
        """The accepted sender and recipients of the open transaction."""
        return self.transaction.envelope

    @property
    def owed(self) -> tuple[ForwardPath, ...]:
        """In LMTP, the recipients whose reply to the message is still due, the next first."""
        rcpts = self.transaction.rcpts
        return tuple(rcpt.path for rcpt in rcpts[len(rcpts) - self.replies_due :])

    # -- what accepting changes: see AFTER_ACCEPTING -----------------------------------------

    def _reset(self, phase: Phase) -> None:
        """End the transaction, if any, and enter *phase*."""
        self.phase, self.transaction = phase, NO_TRANSACTION

    def _restart(self, **standing: Any) -> None:
        """Begin the session anew, as RFC 3207 4.2 wants; *standing* is what has changed."""
        self.terms = self.terms.replace(extended=False, **standing)
        self._reset(Phase.START)

    def _begin_chunk(self, bdat: Bdat, refusal: Reply | None = None, line: str = "") -> None:
        """Read the octets after *bdat*, whose redacted line is *line*. With a refusal, discard them
        and then send it."""
        source, settings = ChunkReader(self.buffer, bdat.size), self.terms.settings
        content = IncomingContent(source, self.transaction, self.budget, settings, refusal)
        self.content = content
        content.bdat, content.before, content.line = bdat, self.phase, line
        self.phase = Phase.CHUNK

    def _enter_start(self, _: Connected) -> None:
        self.phase = Phase.START

    def _follow_table(self, command: Command) -> None:
        self.phase = self.terms.vocabulary.next_phase[self.phase, command.verb]

    def _after_hello(self, hello: Ehlo) -> None:
        self._reset(self.terms.vocabulary.next_phase[self.phase, hello.verb])
        self.terms = self.terms.replace(extended=type(hello) is not Helo)

    def _after_rset(self, rset: Rset) -> None:
        self._reset(self.terms.vocabulary.next_phase[self.phase, rset.verb])

    def _after_mail(self, mail: Mail) -> None:
        self.phase = self.terms.vocabulary.next_phase[self.phase, "MAIL"]
        self.transaction = Transaction(mail)
        self.budget.transactions += 1

    def _after_rcpt(self, rcpt: Rcpt) -> None:
        self.phase = self.terms.vocabulary.next_phase[self.phase, "RCPT"]
        self.transaction.rcpts.append(rcpt)

    def _after_data(self, data: Data) -> None:
        self.phase = self.terms.vocabulary.next_phase[self.phase, data.verb]
        settings = self.terms.settings
        normalize = settings.leniencies.bare_cr_or_lf is not Tolerance.REJECT
        source = DotReader(self.buffer, normalize=normalize)
        self.content = IncomingContent(source, self.transaction, self.budget, settings)

    def _after_login(self, _: Auth | AuthResponse) -> None:
        self.terms = self.terms.replace(authenticated=True)
        self.phase = Phase.READY

    def _after_xclient(self, xclient: XClient) -> None:
        self._restart(authenticated=isinstance(xclient.attributes.login, str))

    def _after_chunk(self, _: ChunkEnd) -> None:
        self.phase = Phase.CHUNKS

    def _after_message(self, _: BodyEnd) -> None:
        self.budget.reset()
        self._reset(Phase.READY)

    # -- what refusing changes ---------------------------------------------------------------

    def _refuse(self, question: Question, reply: Reply) -> Reply | None:
        """Do what follows from a negative *reply* to *question*. Return the 421 with which the
        connection must end now, or None."""
        if reply.code == 421:
            self.phase = Phase.CLOSED
            return None
        match question:
            case Connected() | XClient():  # going on would give the refused client more rights
                self.phase = Phase.REFUSED
            case Auth() | AuthResponse():
                return self._end_login(failed=reply.permanent)
            case Bdat():
                self._begin_chunk(question, reply)
            case ChunkEnd():
                self._fail_transaction()
            case BodyEnd():
                self._reset(Phase.READY)
                return self.budget.closing
        return None

    def _end_login(self, *, failed: bool) -> Reply | None:
        """Leave a SASL exchange that has not succeeded. Return the 421 with which the connection
        must end, if too many have *failed*."""
        self.phase, self.after_refused_login, self.login_is_refused = Phase.READY, True, False
        return self.budget.count_failed_login() if failed else None

    def _fail_transaction(self) -> None:
        """End the transaction of a refused chunk. In LMTP the last chunk, which may be in flight,
        still has one reply for each recipient, and none without recipients."""
        recipients = len(self.transaction.rcpts)
        self._reset(Phase.READY)
        if self.terms.settings.lmtp:
            self.transaction = Transaction(last_chunk_replies=recipients)


AFTER_ACCEPTING: Mapping[type[Question], Callable[[ServerState, Any], None]] = {
    Connected: ServerState._enter_start,
    **dict.fromkeys((Ehlo, Helo, Lhlo), ServerState._after_hello),
    Mail: ServerState._after_mail,
    Rcpt: ServerState._after_rcpt,
    Data: ServerState._after_data,
    Bdat: ServerState._begin_chunk,
    Rset: ServerState._after_rset,
    Quit: ServerState._follow_table,
    StartTLS: ServerState._follow_table,
    **dict.fromkeys((Auth, AuthResponse), ServerState._after_login),
    XClient: ServerState._after_xclient,
    ChunkEnd: ServerState._after_chunk,
    BodyEnd: ServerState._after_message,
}
"""What follows from a positive reply, except from a challenge. For other commands, nothing does."""
