"""The server's side of SMTP, without I/O."""

from __future__ import annotations

from attrs import define, evolve, field, setters

from ..errors import GrammarError, LocalProtocolError
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import (
    COMMANDS,
    Auth,
    Command,
    Data,
    Ehlo,
    Helo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTLS,
    parse_command,
    read_verb,
)
from ..grammar.domain import Host, own_name
from ..grammar.extension import EXTENSION_VERBS, Extensions
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.status import EnhancedCode
from ..grammar.xtext import decode_base64, encode_base64
from ..limits import COMMAND_LINE, Limits, Timeouts
from ..mail.envelope import Envelope
from ..secret import Secret
from ..wire.buffer import Buffer
from ..wire.dots import DotReader
from ..wire.lines import OVERLONG, LineReader
from . import replies
from .events import (
    AuthResponse,
    BodyChunk,
    BodyEnd,
    Connected,
    Disconnected,
    Question,
    Rejected,
    ServerEvent,
)
from .phases import COMMAND_PHASES, HELLO_FIRST, NO_SERVICE, TRANSITIONS, Phase

_BEFORE_TLS = frozenset({"EHLO", "NOOP", "QUIT", "STARTTLS"})  # RFC 3207 4
_BEFORE_AUTH = frozenset({"AUTH", "EHLO", "HELO", "NOOP", "QUIT", "RSET", "STARTTLS"})  # 4954 6
_UNCODED = (Connected, Ehlo)  # answered without enhanced code (RFC 2034 3)
_HELLOS = frozenset({"EHLO", "HELO"})  # so are these where they are refused unasked


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ServerProtocol:
    """One connection as a server sees it.

    Feed :meth:`receive`; take events with :meth:`next_event` until it gives None; then send what
    :meth:`data_to_send` gives. Most events are questions: no further event is given until
    :meth:`answer` was called, because the answer decides how the very next octets are read. What
    needs no decision is answered at once, and reported as :class:`~.events.Rejected` if refused.

    *starttls* offers STARTTLS; *secure* says that TLS is active from the start. *mechanisms* are
    offered for AUTH, in clear only if *auth_in_clear*. *require_tls* and *require_auth* answer 530
    to what comes without.
    """

    hostname: Host = field(converter=own_name)
    starttls: bool = False
    secure: bool = False
    mechanisms: tuple[str, ...] = ()
    auth_in_clear: bool = False
    require_tls: bool = False
    require_auth: bool = False
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)

    phase: Phase = field(default=Phase.GREETING, init=False)
    authenticated: bool = field(default=False, init=False)
    question: Question | None = field(default=None, init=False)
    """The event that waits for :meth:`answer`."""
    offered: Extensions = field(init=False)
    """What EHLO offers now."""

    _negotiated: Extensions = field(factory=Extensions, init=False)
    _mail: Mail | None = field(default=None, init=False)
    _recipients: list[ForwardPath] = field(factory=list, init=False)
    _buffer: Buffer = field(factory=Buffer, init=False)
    _lines: LineReader = field(init=False)
    _dots: DotReader = field(init=False)
    _size: int = field(default=0, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _after_auth: bool = field(default=False, init=False)
    _errors: int = field(default=0, init=False)
    _failed_logins: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self._buffer)
        self._dots = DotReader(self._buffer)
        self.offered = self._offer()

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
        event = self._read()
        if event is None and self._ended and self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            return Disconnected()
        if isinstance(event, Question):
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

    @property
    def envelope(self) -> Envelope:
        """The open transaction, as far as it was accepted."""
        if self._mail is None:
            return Envelope(None, ())
        return Envelope(self._mail.path, self._recipients, self._mail.parameters)

    def _offer(self) -> Extensions:
        size = "" if self.limits.message_size is None else str(self.limits.message_size)
        keywords = {"PIPELINING": "", "SIZE": size, "8BITMIME": "", "SMTPUTF8": ""}
        keywords |= {"ENHANCEDSTATUSCODES": "", "HELP": ""}
        if self.starttls and not self.secure:
            keywords["STARTTLS"] = ""
        if self.mechanisms and (self.secure or self.auth_in_clear):
            keywords["AUTH"] = " ".join(self.mechanisms)
        return Extensions(keywords)

    # -- answers -----------------------------------------------------------------------------

    def answer(self, reply: Reply | None = None) -> None:
        """Answer the question last given; None is the usual yes.

        A negative reply refuses. Raises LocalProtocolError if no question is open, or if the reply
        is positive but not one for that question.
        """
        question = self.question
        if question is None:
            raise LocalProtocolError("no question is open")
        if reply is None:
            reply = replies.USUAL[type(question)]
        if reply.positive and reply.code not in replies.YES[type(question)]:
            raise LocalProtocolError(f"{reply.code} does not answer {type(question).__name__}")
        if isinstance(question, StartTLS) and reply.positive and self._buffer:
            reply = replies.INJECTION
        self._say(reply, question)
        self.question = None
        if reply.positive:
            self._accepted(question, reply)
        else:
            self._refused(question, reply)

    def challenge(self, data: bytes) -> None:
        """Answer Auth or AuthResponse with 334 and a SASL challenge (RFC 4954 4)."""
        self.answer(Reply(334, None, encode_base64(data).decode()))

    def hang_up(self, reply: Reply) -> None:
        """Say *reply*, a 421, and end the session (RFC 5321 3.8). An open question is dropped."""
        self.question = None
        self._say(reply)
        self.phase = Phase.CLOSED

    def tls_started(self) -> None:
        """Tell that the handshake is done: the session is as new (RFC 3207 4.2)."""
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("no handshake was agreed")
        self.secure, self.authenticated = True, False
        self.offered, self._negotiated = self._offer(), Extensions()
        self._reset(Phase.START)

    # -- what answers lead to ----------------------------------------------------------------

    def _accepted(self, question: Question, reply: Reply) -> None:
        match question:
            case Connected():
                self.phase = Phase.START
            case Auth() | AuthResponse():
                self.authenticated = reply.code == 235
                self.phase = Phase.READY if self.authenticated else Phase.AUTH
            case BodyEnd():
                self._reset(Phase.READY)
            case _:
                self._advance(question)

    def _advance(self, command: Command) -> None:
        """Follow the table after a command that was accepted."""
        phase = TRANSITIONS[self.phase, command.verb]
        assert isinstance(phase, Phase)
        self.phase = phase
        match command:
            case Ehlo():
                self._negotiated = Extensions() if isinstance(command, Helo) else self.offered
                self._reset(phase)
            case Rset():
                self._reset(phase)
            case Mail():
                self._mail = command
            case Rcpt(path):
                self._recipients.append(path)
            case Data():
                self._dots, self._size = DotReader(self._buffer), 0

    def _refused(self, question: Question, reply: Reply) -> None:
        match question:
            case Connected():
                self.phase = Phase.REFUSED
            case Auth() | AuthResponse():
                self.phase, self._after_auth = Phase.READY, True
                self._failed_logins += reply.permanent
            case BodyEnd():
                self._reset(Phase.READY)
        if reply.code == 421:
            self.phase = Phase.CLOSED
        elif self._failed_logins >= self.limits.failed_logins:
            self.hang_up(replies.LOGINS)

    def _reset(self, phase: Phase) -> None:
        self.phase, self._mail = phase, None
        self._recipients = []

    def _say(self, reply: Reply, question: Question | None = None, *, coded: bool = True) -> None:
        """Queue *reply* in the form this place wants: named, coded, in ASCII."""
        lines = list(reply.ascii().lines)
        if reply.code in (220, 221, 421) and not isinstance(question, StartTLS):
            lines[0] = f"{self.hostname} {lines[0]}"
        if isinstance(question, Ehlo) and reply.positive:
            lines = [f"{self.hostname} {lines[0]}"[:500]]  # one line: what follows are keywords
            lines += [] if isinstance(question, Helo) else self.offered.lines()
        enhanced = reply.enhanced
        if not coded or isinstance(question, _UNCODED) or reply.intermediate:
            enhanced = None
        elif enhanced is None:
            enhanced = EnhancedCode(reply.code // 100, 0, 0)
        if enhanced != reply.enhanced or tuple(lines) != reply.lines:
            reply = Reply(reply.code, enhanced, lines)
        self._output.append(bytes(reply))

    # -- reading, by phase -------------------------------------------------------------------

    def _read(self) -> ServerEvent | None:
        if self.phase in COMMAND_PHASES:
            return self._read_command()
        match self.phase:
            case Phase.GREETING:
                return Connected(early_talk=bool(self._buffer))
            case Phase.BODY:
                return self._read_body()
            case Phase.AUTH:
                return self._read_auth_response()
            case _:
                return None

    def _read_command(self) -> ServerEvent | None:
        line = self._lines.read(self.limits.auth_line)  # the longest there is; by verb below
        if line is None:
            return None
        if line is OVERLONG or self._too_long(line):
            return self._reject("", replies.LINE_TOO_LONG, error=True)
        try:
            verb = read_verb(line)
            if (refusal := self._out_of_order(verb)) is not None:
                return self._reject(self._shown(line), refusal)
            command = parse_command(line, self._negotiated.parameters.get(verb))
        except GrammarError as error:
            return self._reject(self._shown(line), _with_detail(error), error=True)
        if (refusal := self._unacceptable(command)) is not None:
            return self._reject(self._shown(line), refusal)
        return self._event(command)

    def _shown(self, line: bytes) -> str:
        """A refused line as it may be shown: what stands behind AUTH may be a password, and so may
        a line after an AUTH that was refused, from a client that goes on all the same."""
        verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
        if verb[:4] == b"AUTH":
            self._after_auth = True
            return "AUTH ***"
        known = verb.decode("latin-1") in COMMANDS
        return "***" if self._after_auth and not known else printable(line)

    def _too_long(self, line: bytes) -> bool:
        if len(line) + 2 <= COMMAND_LINE:
            return False
        verb = line[:5].rstrip().upper().decode("latin-1")
        limit = self.limits.auth_line if verb == "AUTH" else self.offered.line_limit(verb)
        return len(line) + 2 > limit

    def _out_of_order(self, verb: str) -> Reply | None:
        """Why this verb may not be used now, whatever its argument."""
        cell = TRANSITIONS[self.phase, verb]
        if cell is NO_SERVICE:
            return cell
        if self.require_tls and not self.secure and verb not in _BEFORE_TLS:
            return replies.NEED_TLS
        if self.require_auth and not self.authenticated and verb not in _BEFORE_AUTH:
            return replies.NEED_AUTH
        if verb in EXTENSION_VERBS and (refusal := self._unavailable(verb)) is not None:
            return refusal
        return cell if isinstance(cell, Reply) else None

    def _unavailable(self, verb: str) -> Reply | None:
        """Why a verb that an extension adds may not be used."""
        if verb == "STARTTLS" and self.secure:
            return replies.TLS_ACTIVE
        if verb == "AUTH" and self.authenticated:
            return replies.AUTH_DONE
        if verb == "AUTH" and self.mechanisms and not (self.secure or self.auth_in_clear):
            return replies.AUTH_IN_CLEAR
        if verb not in self.offered.verbs:
            return replies.NOT_IMPLEMENTED
        return None if verb in self._negotiated.verbs else HELLO_FIRST  # HELO negotiates nothing

    def _unacceptable(self, command: Command) -> Reply | None:
        """Why a command that is well-formed and in order is refused without asking."""
        match command:
            case Mail():
                return self._unacceptable_sender(command)
            case Rcpt():
                return self._unacceptable_recipient(command)
            case Auth(mechanism) if mechanism not in self.mechanisms:
                return replies.NO_MECHANISM
            case StartTLS() if self._buffer:
                return replies.INJECTION
        return None

    def _unacceptable_sender(self, mail: Mail) -> Reply | None:
        if not mail.path.isascii and not mail.parameters.smtputf8:
            return replies.ASCII_SENDER
        limit = self.limits.message_size
        too_big = limit is not None and (mail.parameters.size or 0) > limit
        return replies.TOO_BIG if too_big else None

    def _unacceptable_recipient(self, rcpt: Rcpt) -> Reply | None:
        if not rcpt.path.isascii and not (self._mail and self._mail.parameters.smtputf8):
            return replies.ASCII_RECIPIENT
        too_many = len(self._recipients) >= self.limits.recipients
        return replies.TOO_MANY_RECIPIENTS if too_many else None

    def _event(self, command: Command) -> ServerEvent:
        """Answer what needs no decision, and report the command."""
        self._after_auth = False
        if isinstance(command, Mail) and command.parameters.auth and not self.authenticated:
            # What a client that has not logged in says of others is not believed (RFC 4954 5).
            command = Mail(command.path, evolve(command.parameters, auth=ReversePath(None)))
        match command:
            case Rset() | Noop():
                self._say(Reply(250, "2.0.0", "OK"))
                self._advance(command)
            case Quit():
                self._say(replies.GOODBYE)
                self._advance(command)
        assert isinstance(command, ServerEvent)
        return command

    def _reject(self, line: str, reply: Reply, *, error: bool = False) -> Rejected:
        self._errors += error
        if self._errors > self.limits.errors:
            reply = replies.ERRORS
        if reply.code == 421:
            self.hang_up(reply)
        else:
            self._say(reply, coded=line.partition(" ")[0].upper() not in _HELLOS)
        return Rejected(line, reply)

    def _read_body(self) -> ServerEvent | None:
        """Content as it comes; or, once it is refused, nothing until its end is found."""
        while piece := self._dots.read():
            self._size += len(piece)
            if self._body_fault() is None:
                return BodyChunk(piece)
        if not self._dots.done:
            return None
        if (reply := self._body_fault()) is None:
            return BodyEnd(self._size)
        self._reset(Phase.READY)
        return self._reject("", reply)

    def _body_fault(self) -> Reply | None:
        limit = self.limits.message_size
        if limit is not None and self._size > limit:
            return replies.TOO_BIG
        return replies.BARE_CR_OR_LF if self._dots.bare else None

    def _read_auth_response(self) -> ServerEvent | None:
        line = self._lines.read(self.limits.auth_line)
        if line is None:
            return None
        reply = replies.AUTH_LINE_TOO_LONG if line is OVERLONG else replies.AUTH_CANCELLED
        if line is not OVERLONG and line != b"*":
            try:
                return AuthResponse(Secret(decode_base64(line)))
            except GrammarError as error:
                reply = error.reply or replies.SYNTAX_ERROR
        self.phase, self._after_auth = Phase.READY, True
        return self._reject("***", reply, error=True)


def _with_detail(error: GrammarError) -> Reply:
    """The reply that the error suggests, saying also what was wrong and where."""
    reply = error.reply or replies.SYNTAX_ERROR
    return Reply(reply.code, reply.enhanced, f"{reply.text}: {printable(str(error))}")
