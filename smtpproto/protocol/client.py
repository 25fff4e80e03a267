"""The client's side of SMTP, without I/O."""

from __future__ import annotations

import re
from collections import deque

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError, NotOffered, RemoteProtocolError
from ..grammar.command import Auth, Command, Data, Ehlo, Helo, Mail, Quit, Rcpt, StartTLS
from ..grammar.extension import EXTENSION_VERBS, Extensions
from ..grammar.parameters import Body, MailParameters
from ..grammar.reply import Reply, parse_reply_line
from ..grammar.xtext import encode_base64
from ..limits import Limits, Timeouts
from ..secret import Secret
from ..wire.buffer import Buffer
from ..wire.dots import DotWriter
from ..wire.lines import OVERLONG, LineReader
from .events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from .phases import COMMAND_PHASES, TRANSITIONS, Phase

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_MID_GROUP = frozenset({"MAIL", "RCPT", "RSET"})  # RFC 2920 3.1; all others end a group


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ClientProtocol:
    """One connection as a client sees it.

    Say things with :meth:`send`, :meth:`send_body`, :meth:`end_body`, :meth:`respond`; send what
    :meth:`data_to_send` gives; feed :meth:`receive` and take events with :meth:`next_event`. Each
    thing said enters a ledger, and its :class:`~.events.Answer` names it: replies are matched by
    counting, never by what they say (RFC 2920 3.1). *secure*: TLS is active from the start.

    What is out of order, was not offered, or is too long raises
    :class:`~smtpproto.errors.LocalProtocolError`, and nothing is sent.
    """

    secure: bool = False
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)

    phase: Phase = field(default=Phase.GREETING, init=False)
    """Where the session stands by the replies read so far."""
    extensions: Extensions = field(factory=Extensions, init=False)
    """What the last EHLO reply offered."""
    authenticated: bool = field(default=False, init=False)
    in_flight: int = field(default=0, init=False)
    """Octets of what is unanswered, for a bound on the window (RFC 2920 3.1)."""

    _ledger: deque[Sent] = field(factory=lambda: deque([Sent(Step.GREETING)]), init=False)
    _expected: Phase = field(default=Phase.GREETING, init=False)  # if all in flight succeeds
    _parameters: MailParameters = field(factory=MailParameters, init=False)
    _buffer: Buffer = field(factory=Buffer, init=False)
    _lines: LineReader = field(init=False)
    _reply: list[bytes] = field(factory=list, init=False)
    _reply_size: int = field(default=0, init=False)
    _dots: DotWriter = field(factory=DotWriter, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _reported: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self._buffer)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the server; b"" for the end of the connection."""
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif self.phase is not Phase.CLOSED:  # where nothing would ever read it
            self._buffer.feed(data)

    def next_event(self) -> ClientEvent | None:
        """Give the next event, or None if more octets are needed or the end was reported.

        Raises RemoteProtocolError for what is no reply, for one that nothing was sent for, for one
        that makes no sense there, and for octets behind the 220 to STARTTLS.
        """
        try:
            reply = self._read_reply()
            if reply is not None:
                return self._take(reply)
        except RemoteProtocolError:
            self._close()
            raise
        if (self._ended or self.phase is Phase.CLOSED) and not self._reported:
            self._reported = True
            self._close()
            return Disconnected(tuple(self._ledger))
        return None

    def data_to_send(self) -> bytes:
        """Give the octets for the server that have gathered since the last call."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    @property
    def unanswered(self) -> tuple[Sent, ...]:
        """The ledger: what was sent and has no reply yet, oldest first."""
        return tuple(self._ledger)

    def allows(self, verb: str) -> bool:
        """Whether a command is in order, if all in flight succeeds."""
        return isinstance(TRANSITIONS.get((self._expected, verb)), Phase)

    @property
    def ready(self) -> bool:
        """Whether a command may leave before the replies still to come (RFC 2920 3.1)."""
        if not self._ledger:
            return True
        last = self._ledger[-1].what
        mid_group = isinstance(last, Command) and last.verb in _MID_GROUP
        return "PIPELINING" in self.extensions and (mid_group or last is Step.BODY_END)

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the server's next event, by phase (RFC 5321 4.5.3.2)."""
        times = self.timeouts
        if not self._ledger:
            return times.tls if self.phase is Phase.TLS else times.block
        match self._ledger[0].what:
            case Step.GREETING:
                return times.greeting
            case Step.BODY_END:
                return times.final
            case Step.AUTH_RESPONSE:
                return times.auth
            case Command(verb=verb):
                return _TIMEOUTS[verb](times) if verb in _TIMEOUTS else times.other

    # -- things to say -----------------------------------------------------------------------

    def send(self, command: Command) -> Sent:
        """Say *command*. Several may be on their way where PIPELINING was offered (RFC 2920)."""
        self._check_order(command)
        self._check_offered(command)
        line = bytes(command) + b"\r\n"
        limit = self.extensions.line_limit(command.verb)
        if len(line) > limit:
            raise LocalProtocolError(f"command line of more than {limit} octets")
        if _CONTROL.search(line, 0, len(line) - 2):  # whatever the values let through
            raise LocalProtocolError("control character in a command", command=command.verb)
        if isinstance(command, Mail):
            self._parameters = command.parameters
        utf8 = isinstance(command, Mail | Rcpt) and self._parameters.smtputf8
        if not line.isascii() and not utf8:
            raise LocalProtocolError("not ASCII, and MAIL did not say SMTPUTF8")
        self._expected = self._after(self._expected, command)
        return self._enter(command, line)

    def send_body(self, data: bytes) -> None:
        """Say a slice of content, after 354. Lines end with CRLF; dots are stuffed here.

        Raises LocalProtocolError for a CR or LF alone, and for octets above 127 unless MAIL said
        BODY=8BITMIME or SMTPUTF8 (RFC 5321 2.4).
        """
        self._check_phase(Phase.BODY)
        eight_bit = self._parameters.body is Body.EIGHT_BIT_MIME or self._parameters.smtputf8
        if not eight_bit and not data.isascii():
            raise LocalProtocolError("octets above 127, and MAIL did not say BODY=8BITMIME")
        try:
            self._output.append(self._dots.encode(data))
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None

    def end_body(self) -> Sent:
        """Say that the content is complete."""
        self._check_phase(Phase.BODY)
        try:
            line = self._dots.finish()
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None
        self._expected = Phase.READY
        return self._enter(Step.BODY_END, line)

    def respond(self, response: Secret | None) -> Sent:
        """Say the next response of a SASL exchange, after 334; None cancels (RFC 4954 4)."""
        self._check_phase(Phase.AUTH)
        line = b"*" if response is None else encode_base64(response.reveal())
        self._expected = Phase.READY
        return self._enter(Step.AUTH_RESPONSE, line + b"\r\n")

    def tls_started(self) -> None:
        """Tell that the handshake is done: all that was known is forgotten (RFC 3207 4.2)."""
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("no handshake was agreed")
        self.phase = self._expected = Phase.START
        self.secure, self.authenticated, self.extensions = True, False, Extensions()

    # -- what may be said --------------------------------------------------------------------

    def _check_phase(self, phase: Phase) -> None:
        if self.phase is not phase or self._ledger:
            raise LocalProtocolError(f"not now: the phase is {self.phase.value}")

    def _check_order(self, command: Command) -> None:
        if self._expected not in COMMAND_PHASES:
            raise LocalProtocolError(f"no command now: the phase is {self._expected.value}")
        cell = TRANSITIONS[self._expected, command.verb]
        if isinstance(cell, Reply):
            raise LocalProtocolError(f"out of order: {cell.text}", command=command.verb)
        if not self.ready:
            raise LocalProtocolError("wait for the replies first", command=command.verb)

    def _check_offered(self, command: Command) -> None:
        offered = self.extensions
        if command.verb in EXTENSION_VERBS and command.verb not in offered.verbs:
            raise NotOffered(f"the server does not offer {command.verb}")
        if isinstance(command, Auth):
            if self.authenticated:
                raise LocalProtocolError("already authenticated")
            if command.mechanism not in offered.mechanisms:
                raise NotOffered(f"the server does not offer AUTH {command.mechanism}")
        if isinstance(command, Mail | Rcpt):
            for parameter in command.parameters.parameters():
                if parameter.keyword not in offered.parameters[command.verb]:
                    raise NotOffered(f"the server does not offer {parameter.keyword}")

    def _enter(self, what: Command | Step, line: bytes) -> Sent:
        sent = Sent(what, len(line))
        self._ledger.append(sent)
        self._output.append(line)
        self.in_flight += len(line)
        return sent

    # -- what replies lead to ----------------------------------------------------------------

    def _take(self, reply: Reply) -> Answer | Unsolicited:
        if not self._ledger:
            if reply.code != 421:
                raise RemoteProtocolError("a reply that nothing was sent for", reply=reply)
            self._close()
            return Unsolicited(reply)
        sent = self._ledger.popleft()
        self.in_flight -= sent.octets
        if reply.intermediate != self._wants_more(sent, reply):
            raise RemoteProtocolError(
                "a reply that makes no sense here", command=str(sent), reply=reply
            )
        self.phase = Phase.CLOSED if reply.code == 421 else self._phase_after(sent, reply)
        if not reply.positive or not self._ledger:
            self._expected = self.phase
            for other in self._ledger:
                self._expected = self._after(self._expected, other.what)
        return Answer(sent, reply)

    def _close(self) -> None:
        self.phase = self._expected = Phase.CLOSED
        self._buffer.clear()

    @staticmethod
    def _wants_more(sent: Sent, reply: Reply) -> bool:
        """Whether yes to *sent* is 3yz; for AUTH it may be either."""
        match sent.what:
            case Data():
                return reply.positive
            case Auth() | Step.AUTH_RESPONSE:
                return reply.intermediate
        return False

    def _phase_after(self, sent: Sent, reply: Reply) -> Phase:
        what = sent.what
        match what:
            case Step.GREETING:
                return Phase.START if reply.positive else Phase.REFUSED
            case Step.BODY_END:
                return Phase.READY
            case Quit():
                return Phase.CLOSED
            case Data() if reply.positive:
                return self._body()  # even where no recipient was accepted
            case Auth() | Step.AUTH_RESPONSE:
                self.authenticated = reply.positive and not reply.intermediate
                return Phase.AUTH if reply.intermediate else Phase.READY
        if not reply.positive:
            return self.phase
        self._succeeded(what, reply)
        return self._after(self.phase, what)

    def _body(self) -> Phase:
        self._dots = DotWriter()
        return Phase.BODY

    def _succeeded(self, command: Command, reply: Reply) -> None:
        match command:
            case Helo():
                self.extensions = Extensions()
            case Ehlo():
                self.extensions = Extensions.from_reply(reply)
            case StartTLS() if self._buffer:
                raise RemoteProtocolError(
                    "octets behind the reply to STARTTLS, in clear: somebody may be injecting them",
                    command="STARTTLS",
                    reply=reply,
                )

    @staticmethod
    def _after(phase: Phase, what: Command | Step) -> Phase:
        """The phase that success of *what* leads to by the table; *phase* if there is none."""
        if what is Step.BODY_END:
            return Phase.READY
        cell = TRANSITIONS.get((phase, what.verb)) if isinstance(what, Command) else None
        return cell if isinstance(cell, Phase) else phase

    # -- reading -----------------------------------------------------------------------------

    def _read_reply(self) -> Reply | None:
        while self.phase is not Phase.CLOSED:
            line = self._lines.read(self.limits.reply_line)
            if line is None:
                return None
            if line is OVERLONG or self._reply_size + len(line) > self.limits.reply:
                raise RemoteProtocolError("a reply that is too long")
            self._reply.append(line)
            self._reply_size += len(line)
            try:
                if not parse_reply_line(line)[1]:
                    reply = Reply.from_lines(self._reply)
                    self._reply, self._reply_size = [], 0
                    return reply
            except GrammarError as error:
                raise RemoteProtocolError(error.message) from None
        return None


_TIMEOUTS = {
    "EHLO": lambda times: times.hello,
    "HELO": lambda times: times.hello,
    "AUTH": lambda times: times.auth,
    "MAIL": lambda times: times.mail,
    "RCPT": lambda times: times.rcpt,
    "DATA": lambda times: times.data,
    "QUIT": lambda times: times.quit,
}
