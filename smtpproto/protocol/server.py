"""The server's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

from typing import assert_never

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError
from ..events import (
    UNASKED,
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
    asks,
)
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Helo, Mail, Rcpt, Rset
from ..grammar.command_line import read_verb
from ..grammar.extension import LONGEST_LINE, Extensions
from ..grammar.extension_command import Auth, Bdat, ChunkError, StartTLS, XClient
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64, encode_base64
from ..wire.chunks import ChunkReader
from ..wire.dots import DotReader
from ..wire.lines import OVERLONG, LineReader
from . import server_replies, server_rules
from .negotiated_command import read_negotiated
from .phases import COLUMNS, Phase
from .redactor import Redactor
from .reply_format import accepted_codes, default_reply, format_reply, with_detail
from .server_offer import offer
from .server_state import ServerState
from .transaction import Transaction
from .verbs import row_of, vocabulary

_HELLOS = frozenset({"EHLO", "HELO", "LHLO"})  # answered without enhanced code (RFC 2034 3)


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ServerProtocol(ServerState):
    """One connection as a server sees it.

    Feed :meth:`receive`; take events with :meth:`next_event` until it gives None; then send what
    :meth:`data_to_send` gives. Most events are questions: no further event is given until
    :meth:`answer` was called, because the answer decides how the very next octets are read. What
    needs no decision is answered at once, and reported as :class:`~.events.Rejected` if refused.

    *lmtp* speaks LMTP (RFC 2033). *submission* takes mail from users (RFC 6409): after AUTH only,
    with DSN, and to domains that are fully qualified. *starttls* offers STARTTLS; *secure* says
    that TLS is active from the start. *mechanisms* are offered for AUTH, in clear only if
    *auth_in_clear*. *require_tls* and *require_auth* answer 530 to what comes without. *extensions*
    are keywords to offer besides the usual ones, with their parameters (``{"DSN": ""}``), or
    instead of them; None for one that is not to be offered. *verbs* are those of one's own. Raises
    ValueError for offers that make no sense.
    """

    question: Question | None = field(default=None, init=False)
    """The event that waits for :meth:`answer`."""
    owed: tuple[ForwardPath, ...] = field(default=(), init=False)
    """In LMTP, the recipients whose reply to the message is still due, the next one first."""
    _lines: LineReader = field(init=False)
    _dots: DotReader = field(init=False)
    _bdat: Bdat | None = field(default=None, init=False)  # whose octets are being read
    _chunk: ChunkReader = field(init=False)
    _refusal: tuple[str, Reply] | None = field(default=None, init=False)  # said behind the chunk
    _outer: Phase = field(default=Phase.GREETING, init=False)  # where that BDAT came
    _failed: int | None = field(default=None, init=False)  # replies still due to BDAT LAST
    _next: ServerEvent | None = field(default=None, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _redactor: Redactor = field(factory=Redactor, init=False)
    _errors: int = field(default=0, init=False)
    _failed_logins: int = field(default=0, init=False)
    _login_refused: bool = field(default=False, init=False)  # by the last challenge

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self._buffer)
        self._dots = DotReader(self._buffer)
        self._chunk = ChunkReader(self._buffer, 0)
        self.vocabulary = vocabulary(lmtp=self.lmtp, own=self.verbs)
        self.offered = offer(self)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the client; b"" for the end of the connection.

        Raises LocalProtocolError between the 220 to STARTTLS and :meth:`tls_started`: what arrives
        then belongs to TLS.
        """
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif self.phase is not Phase.CLOSED:  # where nothing would ever read it
            self._buffer.feed(data)

    def next_event(self) -> ServerEvent | None:
        """Give the next event, or None if more octets are needed or the session is over.

        Raises LocalProtocolError while a question is open.
        """
        if self.question is not None:
            raise LocalProtocolError(f"answer {type(self.question).__name__} first")
        event, self._next = self._next, None
        event = event or self._read()
        if event is None and self._ended and self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            return Disconnected()
        if asks(event):
            self.question = event
        return event

    def data_to_send(self) -> bytes:
        """Give the octets for the client that have gathered since the last call."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the client's next event (RFC 5321 4.5.3.2.7); None for ever."""
        return self.timeouts.tls if self.phase is Phase.TLS else self.timeouts.command

    # -- answers -----------------------------------------------------------------------------

    def answer(self, reply: Reply | None = None) -> None:
        """Answer the question last given; None is the usual yes.

        A negative reply refuses. The yes to BDAT is silent: what is said is the answer to the
        ChunkEnd or BodyEnd that follows its octets; the no is said behind them (RFC 3030 2). In
        LMTP, BodyEnd takes one answer for each of :attr:`owed`.
        Raises LocalProtocolError if no question is open, or if the reply is positive but not one
        for that question.
        """
        question = self.question
        if question is None:
            raise LocalProtocolError("no question is open")
        reply = default_reply(self, question) if reply is None else reply
        if reply.positive and reply.code not in accepted_codes(self, question):
            raise LocalProtocolError(f"{reply.code} does not answer {type(question).__name__}")
        if self.submission and reply.code == 521:
            raise LocalProtocolError("521 is not for submission servers (RFC 6409 7)")
        if isinstance(question, StartTLS) and reply.positive and self.has_unread_input:
            reply = server_replies.INJECTION
        if not (isinstance(question, Bdat) and reply.code != 421):
            self._say(reply, question)
        if isinstance(question, BodyEnd) and self._owes_more(reply):
            return
        self.question = None
        if reply.positive:
            self._accepted(question, reply)
        else:
            self._refused(question, reply)

    def challenge(self, data: bytes, *, refused: bool = False) -> None:
        """Answer Auth or AuthResponse with 334 and a SASL challenge (RFC 4954 4). *refused*: it
        tells why the login has failed (RFC 7628 3.2.2), which counts even if it is cancelled."""
        self.answer(Reply(334, None, encode_base64(data).decode()))
        self._login_refused = refused

    def hang_up(self, reply: Reply) -> None:
        """Say *reply*, a 421, and end the session (RFC 5321 3.8). An open question is dropped."""
        self.question = self._next = None
        self._say(reply)
        self.phase = Phase.CLOSED

    def tls_started(
        self, refusal: Reply | None = None, *, mechanisms: tuple[str, ...] | None = None
    ) -> None:
        """Tell that the handshake is done: the session is as new (RFC 3207 4.2).

        With a *refusal*, a 554 as a rule, what it agreed on is not enough (RFC 3207 4.1).
        *mechanisms* are those that can be offered from now on, if they are others than before.
        """
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("no handshake was agreed")
        self.secure, self.authenticated = True, False
        self.mechanisms = self.mechanisms if mechanisms is None else mechanisms
        self.no_service = None if refusal is None or refusal.positive else refusal
        self._start_again()

    def _owes_more(self, reply: Reply) -> bool:
        """Whether LMTP wants further replies to the message; 421 is the last in any case."""
        self.owed = () if reply.code == 421 else self.owed[1:]
        return bool(self.owed)

    # -- what answers lead to ----------------------------------------------------------------

    def _accepted(self, question: Question, reply: Reply) -> None:
        match question:
            case Connected():
                self.phase = Phase.START
            case Auth() | AuthResponse():
                self.authenticated = reply.code == 235
                self.phase = Phase.READY if self.authenticated else Phase.AUTH
            case ChunkEnd():
                self.phase = Phase.CHUNKS
            case BodyEnd():
                self._reset(Phase.READY)
            case Bdat():
                self._begin_chunk(question)
            case Command():
                self._advance(question)
            case _:
                assert_never(question)

    def _advance(self, command: Command) -> None:
        """Follow the table after a command that was accepted."""
        phase = self.vocabulary.transitions[self.phase, row_of(command)]
        assert isinstance(phase, Phase)
        self.phase = phase
        match command:
            case Ehlo():
                self.negotiated = Extensions() if isinstance(command, Helo) else self.offered
                self._reset(phase)
            case Rset():
                self._reset(phase)
            case Mail():
                self.transaction, self._failed = Transaction(command), None
                self.transactions += 1
            case Rcpt():
                self.transaction.rcpts.append(command)
            case Data():
                self._dots = DotReader(self._buffer)
            case XClient(attributes):
                self.authenticated = isinstance(attributes.login, str)
                self._start_again()

    def _refused(self, question: Question, reply: Reply) -> None:
        match question:
            case Connected():
                self.phase = Phase.REFUSED
            case Auth() | AuthResponse():
                self._end_login(failed=reply.permanent)
            case XClient():  # whom it speaks for is not wanted: nobody else is meant
                self.phase = Phase.REFUSED
            case Bdat():
                self._begin_chunk(question, ("", reply))
            case ChunkEnd():
                self._fail()
            case BodyEnd():
                self._reset(Phase.READY)
        if reply.code == 421:
            self.phase = Phase.CLOSED

    def _end_login(self, *, failed: bool) -> None:
        self.phase, self._redactor.after_auth = Phase.READY, True
        self._failed_logins, self._login_refused = self._failed_logins + failed, False
        if self._failed_logins >= self.limits.failed_logins:
            self.hang_up(server_replies.LOGINS)

    def _reset(self, phase: Phase) -> None:
        self.phase, self.transaction, self._failed = phase, Transaction(), None

    def _start_again(self) -> None:
        self.offered, self.negotiated = offer(self), Extensions()
        self._reset(Phase.START)

    def _say(self, reply: Reply, question: Question | None = None, *, coded: bool = True) -> None:
        self._output.append(bytes(format_reply(self, reply, question, coded=coded)))

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
        line = self._lines.read(max(self.limits.auth_line, LONGEST_LINE))  # by verb below
        if line is None:
            return None
        if line is OVERLONG:
            return self._reject("", server_replies.LINE_TOO_LONG, error=True)
        if server_rules.too_long(self, line):
            return self._lost(line, self._reject("", server_replies.LINE_TOO_LONG, error=True))
        try:
            verb = read_verb(line, self.vocabulary.commands)
            refusal = server_rules.out_of_order(self, verb)
            if refusal is not None and verb != "BDAT":
                return self._reject(self._shown(line), refusal)
            command, tolerated = read_negotiated(self, verb, line)
        except GrammarError as error:
            return self._misread(line, error)
        refusal = refusal or server_rules.unacceptable(self, command)
        if isinstance(command, Bdat) and refusal is not None:
            self._begin_chunk(command, (self._shown(line), refusal))
            return self._read_chunk()
        if refusal is not None:
            return self._reject(self._shown(line), refusal)
        event = self._event(command)
        if tolerated:
            self._next, event = event, Tolerated(tolerated, self._shown(line))
        return event

    def _shown(self, line: bytes) -> str:
        return self._redactor.line(line, self.vocabulary)

    def _misread(self, line: bytes, error: GrammarError) -> ServerEvent | None:
        """Refuse a line that is not in the grammar."""
        reply, shown = with_detail(error), self._shown(line)
        if isinstance(error, ChunkError) and error.size is not None:
            self._errors += 1
            self._begin_chunk(Bdat(error.size), (shown, reply))
            return self._read_chunk()
        return self._lost(line, self._reject(shown, reply, error=True))

    def _lost(self, line: bytes, rejected: Rejected) -> Rejected:
        """After a BDAT of no known size nobody can tell where commands go on, so none is read."""
        if line[:4].upper() == b"BDAT" and self.phase is not Phase.CLOSED:
            self.hang_up(server_replies.LOST_CHUNK)
        return rejected

    def _event(self, command: Command) -> ServerEvent:
        """Answer what needs no decision, and report the command."""
        self._redactor.after_auth = False
        command = server_rules.strip_untrusted(self, command)
        if isinstance(command, UNASKED):
            self._say(default_reply(self, command))
            self._advance(command)
        return command

    def _reject(self, line: str, reply: Reply, *, error: bool = False, times: int = 1) -> Rejected:
        self._errors += error
        if self._errors > self.limits.errors:
            reply = server_replies.ERRORS
        if reply.code == 421:
            self.hang_up(reply)
        else:
            for _ in range(times):
                self._say(reply, coded=line.partition(" ")[0].upper() not in _HELLOS)
        return Rejected(line, reply)

    # -- reading content ---------------------------------------------------------------------

    def _read_body(self) -> ServerEvent | None:
        """Content as it comes; or, once it is refused, nothing until its end is found."""
        transaction = self.transaction
        while piece := self._dots.read():
            transaction.size += len(piece)
            if self._body_fault() is None:
                return BodyChunk(piece)
        if not self._dots.done:
            return None
        if (reply := self._body_fault()) is None:
            return self._body_end()
        return self._reject_message(reply)

    def _body_fault(self) -> Reply | None:
        limit = self.limits.message_size
        if limit is not None and self.transaction.size > limit:
            return server_replies.TOO_BIG
        return server_replies.BARE_CR_OR_LF if self._dots.bare else None

    def _body_end(self) -> BodyEnd:
        self.owed = tuple(rcpt.path for rcpt in self.transaction.rcpts) if self.lmtp else ()
        return BodyEnd(self.transaction.size)

    def _reject_message(self, reply: Reply) -> Rejected:
        """Refuse a message whose end was read: in LMTP, for each recipient."""
        times = len(self.transaction.rcpts) if self.lmtp else 1
        self._reset(Phase.READY)
        return self._reject("", reply, times=times)

    def _begin_chunk(self, bdat: Bdat, refusal: tuple[str, Reply] | None = None) -> None:
        """Read the octets behind *bdat*; with a refusal, throw them away and then say it."""
        self._bdat, self._refusal = bdat, refusal
        self._chunk = ChunkReader(self._buffer, bdat.size)
        self._outer, self.phase = self.phase, Phase.CHUNK

    def _read_chunk(self) -> ServerEvent | None:
        """Octets, whatever they are (RFC 3030 2): nobody looks for lines in them."""
        while piece := self._chunk.read():
            if self._refusal is None:
                self.transaction.size += len(piece)
                return BodyChunk(piece)
        if not self._chunk.done:
            return None
        assert self._bdat is not None
        if self._refusal is not None:
            return self._reject_chunk(self._bdat, *self._refusal)
        return self._body_end() if self._bdat.last else ChunkEnd(self._bdat.size)

    def _reject_chunk(self, bdat: Bdat, line: str, reply: Reply) -> Rejected:
        """Say what was decided before its octets came. What had been accepted fails with it."""
        if self._outer in (Phase.MAIL, Phase.RCPT, Phase.CHUNKS):
            self._fail()
        else:
            self.phase = self._outer
        times = 1
        if bdat.last and self._failed is not None:
            times, self._failed = self._failed, None
        return self._reject(line, reply, times=times)

    def _fail(self) -> None:
        """A chunk was refused, and its transaction with it. In LMTP the last one, which may be on
        its way, still has a reply for each recipient, and none if there are none."""
        recipients = len(self.transaction.rcpts)
        self._reset(Phase.READY)
        self._failed = recipients if self.lmtp else None

    def _read_auth_response(self) -> ServerEvent | None:
        line = self._lines.read(self.limits.auth_line)
        if line is None:
            return None
        reply = server_replies.AUTH_CANCELLED
        if line is OVERLONG:
            reply = server_replies.AUTH_LINE_TOO_LONG
        elif line != b"*":
            try:
                return AuthResponse(Secret(decode_base64(line)))
            except GrammarError as error:
                reply = error.reply or server_replies.SYNTAX_ERROR
        rejected = self._reject("***", reply, error=True)
        if self.phase is not Phase.CLOSED:
            self._end_login(failed=self._login_refused)
        return rejected
