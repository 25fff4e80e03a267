"""The server's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError
from ..events import (
    ANSWERED_BY_MACHINE,
    AuthResponse,
    BodyChunk,
    BodyEnd,
    ChunkEnd,
    Connected,
    Disconnected,
    Question,
    Rejected,
    ServerEvent,
    Tolerated,
    is_question,
)
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Helo, Mail, Rcpt, Rset
from ..grammar.command_line import read_verb
from ..grammar.extension import LONGEST_LINE
from ..grammar.extension_command import Auth, Bdat, ChunkError, StartTLS, XClient
from ..grammar.reply import Reply
from ..grammar.xtext import encode_base64
from ..option_types import require_type
from ..wire.lines import OVERLONG, LineReader
from . import server_replies, server_rules
from .budget import Budget
from .content_reader import ContentReader, read_counted, read_dotted
from .foreign import begins_foreign, is_foreign
from .negotiated_command import read_negotiated
from .phases import COLUMNS, Phase
from .redactor import Redactor
from .reply_format import HELLOS, default_reply, error_reply, format_reply
from .server_state import ServerState
from .settings import MachineOptions, ServerSettings
from .terms import NOTHING, STANDING, Terms, first_terms
from .transaction import Transaction
from .verbs import row_of


@define(eq=False, init=False, on_setattr=setters.NO_OP)
class ServerProtocol(ServerState):
    """One connection, seen from the server.

    Pass what the client sends to :meth:`receive`, take events from :meth:`next_event` until it
    returns None, then write to the client what :meth:`data_to_send` returns. Most events are
    questions: the next event comes only after :meth:`answer`, because the answer decides how the
    next octets are read. The machine itself answers what needs no decision, and reports what it
    refuses as :class:`~.events.Rejected`.

    The options are those of :class:`~.settings.ServerSettings`; connections that share one pass it
    as *settings* instead. *starttls*: offer STARTTLS. *secure*: TLS is active from the start.
    *mechanisms*: those to offer for AUTH; without TLS only with the option *auth_in_clear*.
    *offering*: keywords to offer on this connection, besides those of the option *extensions*.
    Raises ValueError if these contradict each other or an RFC.
    """

    question: Question | None = field(default=None, init=False)
    """The event that waits for :meth:`answer`."""
    owed: tuple[ForwardPath, ...] = field(default=(), init=False)
    """In LMTP, the recipients whose reply to the message is still due, the next first."""
    _lines: LineReader = field(init=False)
    _content: ContentReader = field(init=False)
    _current_bdat: Bdat | None = field(default=None, init=False)  # its octets are being read
    _refused_line: str = field(default="", init=False)  # of a BDAT that was refused, redacted
    _phase_before_chunk: Phase = field(default=Phase.GREETING, init=False)
    # How many replies BDAT LAST has after an earlier chunk was refused; None: one, as usual.
    _replies_to_last_chunk: int | None = field(default=None, init=False)
    _queued_event: ServerEvent | None = field(default=None, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _redactor: Redactor = field(factory=Redactor, init=False)
    _failed_logins: int = field(default=0, init=False)
    _refused_by_challenge: bool = field(default=False, init=False)  # by the last challenge

    def __init__(
        self,
        settings: ServerSettings | None = None,
        *,
        starttls: bool = False,
        secure: bool = False,
        mechanisms: tuple[str, ...] = (),
        offering: Mapping[str, str | None] = NOTHING,
        **options: Unpack[MachineOptions],
    ) -> None:
        standing = (starttls, secure, mechanisms, offering)
        terms = first_terms(settings, options, dict(zip(STANDING, standing, strict=False)))
        self.__attrs_init__(terms)
        self._lines = LineReader(self._buffer)
        self._budget = Budget(terms.settings.limits)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the client; b"" is the end of the connection.

        Raises LocalProtocolError between the 220 to STARTTLS and :meth:`tls_started`.
        """
        require_type("data", data, bytes | bytearray | memoryview, "octets")
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif self.phase is not Phase.CLOSED:  # after the end nothing reads them
            self._buffer.feed(data)

    def next_event(self) -> ServerEvent | None:
        """Return the next event, or None if more octets are needed or the session is over.

        Raises LocalProtocolError while a question is open.
        """
        if self.question is not None:
            raise LocalProtocolError(f"answer {type(self.question).__name__} first")
        event, self._queued_event = self._queued_event, None
        event = event or self._read()
        if event is None and self._ended and self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            return Disconnected()
        if is_question(event):
            self.question = event
        return event

    def data_to_send(self) -> bytes:
        """Return the octets for the client that have gathered since the last call."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the client's next event (RFC 5321 4.5.3.2.7), or None."""
        times = self.settings.timeouts
        return times.tls if self.phase is Phase.TLS else times.command

    # -- answers -----------------------------------------------------------------------------

    def answer(self, reply: Reply | None = None) -> None:
        """Answer the open question. None is its default reply; a negative reply refuses.

        Accepting BDAT sends nothing: the reply to the client is the answer to the ChunkEnd or
        BodyEnd after its octets. A refusal is sent after them, too (RFC 3030 2). In LMTP, BodyEnd
        takes one answer for each recipient in :attr:`owed`.
        Raises LocalProtocolError if no question is open, or for a positive reply that does not fit
        the question.
        """
        question = self.question
        if question is None:
            raise LocalProtocolError("no question is open")
        reply = default_reply(self, question) if reply is None else reply
        server_rules.check_answer(self, question, reply)
        if isinstance(question, StartTLS) and reply.positive and self.has_unread_input:
            reply = server_replies.INJECTION
        reply = self._budget.count_answer(question, reply)
        if not (isinstance(question, Bdat) and reply.code != 421):
            self._send(reply, question)
        if isinstance(question, BodyEnd):
            self.owed = () if reply.code == 421 else self.owed[1:]
            if self.owed:
                return
        self.question = None
        if reply.positive:
            self._after_accepting(question, reply)
        else:
            self._after_refusing(question, reply)

    def challenge(self, data: bytes, *, refused: bool = False) -> None:
        """Answer Auth or AuthResponse with 334 and a SASL challenge (RFC 4954 4). *refused*: the
        challenge says why the login failed (RFC 7628 3.2.2); it counts as failed even if the client
        cancels."""
        self.answer(Reply(334, None, encode_base64(data).decode()))
        self._refused_by_challenge = refused

    def hang_up(self, reply: Reply) -> None:
        """Send *reply*, a 421, and end the session (RFC 5321 3.8). An open question is dropped."""
        self.question = self._queued_event = None
        self._send(reply)
        self.phase = Phase.CLOSED

    def tls_started(
        self, refusal: Reply | None = None, *, mechanisms: tuple[str, ...] | None = None
    ) -> None:
        """Restart the session after the TLS handshake (RFC 3207 4.2).

        *refusal*: the reply, usually 554, to every command but QUIT, because TLS is too weak
        (RFC 3207 4.1). *mechanisms*: those to offer from now on, if they change.
        """
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("STARTTLS was not accepted")
        refusal = None if refusal is None or refusal.positive else refusal
        kept = self.terms.mechanisms if mechanisms is None else mechanisms
        self.terms = self.terms.but(
            secure=True, authenticated=False, extended=False, mechanisms=kept, no_service=refusal
        )
        self._reset(Phase.START)

    # -- effects of answers ------------------------------------------------------------------

    def _after_accepting(self, question: Question, reply: Reply) -> None:
        match question:
            case Connected():
                self.phase: Phase = Phase.START
            case Auth() | AuthResponse():
                if reply.code == 235:
                    self.terms: Terms = self.terms.but(authenticated=True)
                self.phase = Phase.READY if reply.code == 235 else Phase.AUTH
            case ChunkEnd():
                self.phase = Phase.CHUNKS
            case BodyEnd():
                self._reset(Phase.READY)
            case Bdat():
                self._begin_chunk(question)
            case Command():
                self._apply_table(question)

    def _apply_table(self, command: Command) -> None:
        """Enter the phase that follows an accepted command, according to the phase table."""
        phase = self.terms.vocabulary.transitions[self.phase, row_of(command)]
        assert isinstance(phase, Phase)
        self.phase = phase
        match command:
            case Ehlo():
                self.terms = self.terms.but(extended=not isinstance(command, Helo))
                self._reset(phase)
            case Rset():
                self._reset(phase)
            case Mail():
                self.transaction: Transaction = Transaction(command)
                self._replies_to_last_chunk = None
                self.transactions: int = self.transactions + 1
            case Rcpt():
                self.transaction.rcpts.append(command)
            case Data():
                self._content = read_dotted(self, self._buffer, self._budget)
            case XClient(attributes):
                logged_in = isinstance(attributes.login, str)
                self.terms = self.terms.but(authenticated=logged_in, extended=False)
                self._reset(Phase.START)

    def _after_refusing(self, question: Question, reply: Reply) -> None:
        if reply.code == 421:
            self.phase = Phase.CLOSED
            return
        match question:
            case Connected():
                self.phase = Phase.REFUSED
            case Auth() | AuthResponse():
                self._end_login(failed=reply.permanent)
            case XClient():  # going on would give the refused client the proxy's rights
                self.phase = Phase.REFUSED
            case Bdat():
                self._begin_chunk(question, reply)
            case ChunkEnd():
                self._fail_transaction()
            case BodyEnd():
                self._reset(Phase.READY)
                self._close_if_spent()

    def _close_if_spent(self) -> None:
        closing = self._budget.closing
        if closing is not None and self.phase is not Phase.CLOSED:
            self.hang_up(closing)

    def _end_login(self, *, failed: bool) -> None:
        self.phase, self._redactor.after_auth = Phase.READY, True
        self._failed_logins, self._refused_by_challenge = self._failed_logins + failed, False
        if self._failed_logins >= self.settings.limits.failed_logins:
            self.hang_up(server_replies.TOO_MANY_LOGINS)

    def _reset(self, phase: Phase) -> None:
        self.phase, self.transaction, self._replies_to_last_chunk = phase, Transaction(), None

    def _send(self, reply: Reply, to: Question | None = None, *, with_code: bool = True) -> None:
        self._output.append(bytes(format_reply(self, reply, to, with_code=with_code)))

    # -- reading, by phase -------------------------------------------------------------------

    def _read(self) -> ServerEvent | None:
        if self.phase in COLUMNS:
            return self._read_command()
        match self.phase:
            case Phase.GREETING:
                return Connected(early_talk=self.has_unread_input)
            case Phase.BODY:
                return self._read_body()
            case Phase.CHUNK:
                return self._read_chunk()
            case Phase.AUTH:
                return self._read_auth_response()
            case _:
                return None

    def _read_command(self) -> ServerEvent | None:
        line = self._lines.read(max(self.settings.limits.auth_line, LONGEST_LINE))  # by verb below
        if line is None:
            binary = begins_foreign(self, self._buffer.peek(1))
            return self._reject("", server_replies.NOT_SMTP) if binary else None
        if line is OVERLONG:
            return self._reject_line("", self._lines.beginning, server_replies.LINE_TOO_LONG)
        if server_rules.is_too_long(self, line):
            return self._reject_line("", line, server_replies.LINE_TOO_LONG)
        try:
            verb = read_verb(line, self.terms.vocabulary.commands)
            refusal = server_rules.check_order(self.terms, self.phase, verb)
            if refusal is not None and verb != "BDAT":
                return self._reject(self._redacted(line), refusal)
            command, tolerated = read_negotiated(self, verb, line)
        except GrammarError as error:
            return self._reject_syntax(line, error)
        refusal = refusal or server_rules.check_command(self, command)
        refusal = refusal or self._budget.count_command(command)
        if isinstance(command, Bdat) and refusal is not None:
            self._begin_chunk(command, refusal, self._redacted(line))
            return self._read_chunk()
        if refusal is not None:
            return self._reject(self._redacted(line), refusal)
        return self._after_report(tolerated, line, self._event(command))

    def _after_report(self, used: tuple[str, ...], line: bytes, event: ServerEvent) -> ServerEvent:
        """Return *event*, or before it a report of the leniencies *used* for *line*, if any."""
        if not used:
            return event
        self._queued_event = event
        return Tolerated(used, self._redacted(line))

    def _redacted(self, line: bytes) -> str:
        return self._redactor.redact(line, self.terms.vocabulary)

    def _reject_syntax(self, line: bytes, error: GrammarError) -> ServerEvent | None:
        """Refuse a line that does not match the grammar."""
        reply, redacted = error_reply(error), self._redacted(line)
        if isinstance(error, ChunkError) and error.size is not None:
            self._begin_chunk(Bdat(error.size), reply, redacted)
            return self._read_chunk()
        return self._reject_line(redacted, line, reply)

    def _reject_line(self, redacted: str, line: bytes, reply: Reply) -> Rejected:
        """Refuse a line that is no command. Close if it belongs to another protocol, and after a
        BDAT of unknown size: where the next command begins is then unknown, too."""
        if is_foreign(self, line):
            reply = server_replies.NOT_SMTP
        rejected = self._reject(redacted, reply)
        if line[:4].upper() == b"BDAT" and self.phase is not Phase.CLOSED:
            self.hang_up(server_replies.UNKNOWN_CHUNK_SIZE)
        return rejected

    def _event(self, command: Command) -> ServerEvent:
        """Return the event for *command*. Answer it if it needs no decision."""
        self._redactor.after_auth = False
        command = server_rules.strip_untrusted(self, command)
        if isinstance(command, ANSWERED_BY_MACHINE):
            self._send(default_reply(self, command))
            self._apply_table(command)
        return command

    def _reject(self, line: str, reply: Reply, *, times: int = 1) -> Rejected:
        verb = line.partition(" ")[0].upper()
        reply = self._budget.count_refused(verb, reply)
        if reply.code == 421:
            self.hang_up(reply)
        else:
            for _ in range(times):
                self._send(reply, with_code=verb not in HELLOS)
        return Rejected(line, reply)

    # -- reading content ---------------------------------------------------------------------

    def _read_body(self) -> ServerEvent | None:
        """Return content as it arrives. Once it is refused, discard the rest up to its end."""
        if piece := self._content.read():
            return BodyChunk(piece)
        if not self._content.done:
            return None
        if (refusal := self._content.refusal) is not None:
            return self._reject_message(refusal)
        return self._after_report(self._content.tolerated, b"", self._end_body())

    def _end_body(self) -> BodyEnd:
        paths = tuple(rcpt.path for rcpt in self.transaction.rcpts)
        self.owed = paths if self.settings.lmtp else ()
        return BodyEnd(self.transaction.size)

    def _reject_message(self, reply: Reply) -> Rejected:
        """Refuse a message whose end was read; in LMTP with one reply for each recipient."""
        times = len(self.transaction.rcpts) if self.settings.lmtp else 1
        self._reset(Phase.READY)
        self._budget.count_refused_message()
        for _ in range(times):
            self._send(reply)
        self._close_if_spent()
        return Rejected("", reply)

    def _begin_chunk(self, bdat: Bdat, refusal: Reply | None = None, line: str = "") -> None:
        """Read the octets after *bdat*, whose redacted line is *line*. With a refusal, discard them
        and then send it."""
        self._current_bdat, self._refused_line = bdat, line
        self._phase_before_chunk, self.phase = self.phase, Phase.CHUNK
        self._content = read_counted(self, self._buffer, self._budget, bdat.size, refusal)

    def _read_chunk(self) -> ServerEvent | None:
        """Return counted octets; they are never searched for lines (RFC 3030 2)."""
        if piece := self._content.read():
            return BodyChunk(piece)
        if not self._content.done:
            return None
        assert self._current_bdat is not None
        if self._content.refusal is not None:
            return self._reject_chunk(self._current_bdat, self._content.refusal)
        return self._end_body() if self._current_bdat.last else ChunkEnd(self._current_bdat.size)

    def _reject_chunk(self, bdat: Bdat, reply: Reply) -> Rejected:
        """Send the refusal that was decided at BDAT. An open transaction fails with the chunk."""
        if self._phase_before_chunk in (Phase.MAIL, Phase.RCPT, Phase.CHUNKS):
            self._fail_transaction()
        else:
            self.phase = self._phase_before_chunk
        times = 1
        if bdat.last and self._replies_to_last_chunk is not None:
            times, self._replies_to_last_chunk = self._replies_to_last_chunk, None
        rejected = self._reject(self._refused_line, reply, times=times)
        self._close_if_spent()
        return rejected

    def _fail_transaction(self) -> None:
        """End the transaction of a refused chunk. In LMTP the last chunk, which may be in flight,
        still has one reply for each recipient, and none without recipients."""
        recipients = len(self.transaction.rcpts)
        self._reset(Phase.READY)
        self._replies_to_last_chunk = recipients if self.settings.lmtp else None

    def _read_auth_response(self) -> ServerEvent | None:
        line = self._lines.read(self.settings.limits.auth_line)
        if line is None:
            return None
        response = server_rules.read_auth_response(line)
        if isinstance(response, AuthResponse):
            return response
        rejected = self._reject("***", response)
        if self.phase is not Phase.CLOSED:
            self._end_login(failed=self._refused_by_challenge)
        return rejected
