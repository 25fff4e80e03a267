"""The client's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

import re
from collections import deque

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError, RemoteProtocolError
from ..events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Expn, Helo, Mail, Quit, Rcpt, Vrfy
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth, Bdat, StartTLS, XClient
from ..grammar.parameters import Body, MailParameters
from ..grammar.parse_context import ParseContext
from ..grammar.reply import Reply, parse_reply_line
from ..grammar.secret import Secret
from ..grammar.xtext import encode_base64
from ..limits import Leniencies, Limits, Timeouts
from ..wire.buffer import Buffer
from ..wire.chunks import CanonicalText
from ..wire.dots import DotWriter
from ..wire.lines import OVERLONG, LineReader
from .client_rules import check_leniencies, check_offered, read_offer
from .phases import COLUMNS, Phase
from .verbs import Verb, Vocabulary, own_verbs, row_of, vocabulary

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ClientProtocol:
    """One connection, seen from the client.

    Send with :meth:`send`, :meth:`send_chunk`, :meth:`send_body`, :meth:`end_body` and
    :meth:`respond`, and write to the server what :meth:`data_to_send` returns. Pass what the server
    sends to :meth:`receive`, and take events from :meth:`next_event`. Everything sent that awaits
    a reply enters a ledger; its :class:`~.events.Answer` names the entry. Replies are matched by
    counting, never by their text (RFC 2920 3.1).

    *lmtp*: speak LMTP (RFC 2033). *secure*: TLS is active from the start. *verbs*: additional
    verbs. A command that is out of order, was not offered or is too long raises
    :class:`~smtpproto.errors.LocalProtocolError`; nothing is sent then.
    """

    lmtp: bool = False
    secure: bool = False
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)

    phase: Phase = field(default=Phase.GREETING, init=False)
    """The phase that the replies read so far have led to."""
    extensions: Extensions = field(factory=Extensions, init=False)
    """The offer in the last EHLO reply."""
    authenticated: bool = field(default=False, init=False)
    in_flight: int = field(default=0, init=False)
    """Octets of the commands without a reply, to bound the pipelining window (RFC 2920 3.1)."""
    vocabulary: Vocabulary = field(init=False)

    _ledger: deque[Sent] = field(factory=lambda: deque([Sent(Step.GREETING)]), init=False)
    _expected_phase: Phase = field(default=Phase.GREETING, init=False)  # if all in flight succeeds
    _parameters: MailParameters = field(factory=MailParameters, init=False)
    _recipients: list[ForwardPath] = field(factory=list, init=False)  # accepted since MAIL
    _buffer: Buffer = field(factory=Buffer, init=False)
    _lines: LineReader = field(init=False)
    _reply_lines: list[bytes] = field(factory=list, init=False)
    _reply_size: int = field(default=0, init=False)
    _dots: DotWriter = field(factory=DotWriter, init=False)
    _text_checker: CanonicalText = field(factory=CanonicalText, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _reported: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self._buffer)
        self.vocabulary = vocabulary(lmtp=self.lmtp, own=self.verbs)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the server; b"" is the end of the connection. Raises LocalProtocolError
        between the 220 to STARTTLS and :meth:`tls_started`."""
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif self.phase is not Phase.CLOSED:  # after the end nothing reads them
            self._buffer.feed(data)

    def next_event(self) -> ClientEvent | None:
        """Return the next event, or None if more octets are needed or the end was reported.

        Raises RemoteProtocolError for octets that are not a reply, for a reply that answers nothing
        or whose code does not fit, and for octets after the 220 to STARTTLS.
        """
        try:
            context = ParseContext(leniencies=self.leniencies)
            reply = self._read_reply(context)
            if reply is not None:
                return self._take_reply(reply, tuple(context.used))
        except RemoteProtocolError:
            self._close()
            raise
        if (self._ended or self.phase is Phase.CLOSED) and not self._reported:
            self._reported = True
            self._close()
            return Disconnected(tuple(self._ledger))
        return None

    def data_to_send(self) -> bytes:
        """Return the octets for the server that have gathered since the last call."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    @property
    def unanswered(self) -> tuple[Sent, ...]:
        """The ledger: everything sent that has no reply yet, oldest first."""
        return tuple(self._ledger)

    def allows(self, row: str) -> bool:
        """Return whether the command *row* (a verb, or ``BDAT LAST``) is in order if all replies
        in flight are positive."""
        return isinstance(self.vocabulary.transitions.get((self._expected_phase, row)), Phase)

    @property
    def ready(self) -> bool:
        """Whether a command may be sent before the outstanding replies (RFC 2920 3.1)."""
        if not self._ledger:
            return True
        return "PIPELINING" in self.extensions and self._may_precede(self._ledger[-1].what)

    def _may_precede(self, what: Command | Step) -> bool:
        """Return whether more may follow *what* in the same group. In LMTP nothing follows a chunk:
        how many replies the last one has is known after the replies before it (RFC 2033 4.3)."""
        if isinstance(what, Bdat) and self.lmtp:
            return False
        if isinstance(what, Command):
            return self.vocabulary.verbs[what.verb].grouped
        return what is Step.BODY_END

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the server's next event, by phase (RFC 5321 4.5.3.2), or None."""
        times = self.timeouts
        if not self._ledger:
            return times.tls if self.phase is Phase.TLS else times.block
        match self._ledger[0].what:
            case Step.GREETING:
                return times.greeting
            case Step.BODY_END | Bdat(last=True):
                return times.final
            case Step.AUTH_RESPONSE:
                return times.auth
            case Command(verb=verb):
                seconds: float | None = getattr(times, self.vocabulary.verbs[verb].timeout)
                return seconds

    # -- sending -----------------------------------------------------------------------------

    def send(self, command: Command) -> Sent:
        """Send *command* and return its ledger entry. Several commands may be in flight if the
        server offered PIPELINING (RFC 2920)."""
        if isinstance(command, Bdat):
            raise LocalProtocolError("send BDAT and its octets with send_chunk", command="BDAT")
        self._check_order(command)
        line = self._checked_line(command)
        if isinstance(command, Mail):
            self._parameters = command.parameters
        self._expected_phase = self._phase_by_table(self._expected_phase, command)
        return self._record(command, line)

    def send_chunk(self, data: bytes, *, last: bool) -> tuple[Sent, ...]:
        """Send BDAT and the octets of one chunk, unchanged (RFC 3030).

        Return the entries that its replies will name: one, or for the last chunk in LMTP one for
        each accepted recipient. Besides what :meth:`send` raises, raises LocalProtocolError for
        octets that MAIL's BODY does not cover: a bare CR or LF needs BODY=BINARYMIME.
        """
        command = Bdat(len(data), last)
        self._check_order(command)
        if last and self.lmtp and (self._ledger or not self._recipients):
            text = "the accepted recipients are not known; wait for the replies to RCPT"
            raise LocalProtocolError(text, command="BDAT")
        line = self._checked_line(command)
        self._check_octets(data)
        if self._parameters.body is not Body.BINARY_MIME:
            checker = CanonicalText() if self._expected_phase is Phase.RCPT else self._text_checker
            try:
                checker.check(data, last=last)
            except GrammarError as error:
                raise LocalProtocolError(error.message) from None
            self._text_checker = checker
        self._expected_phase = self._phase_by_table(self._expected_phase, command)
        sent = self._record_end(command, line) if last else (self._record(command, line),)
        self._output.append(data)
        return sent

    def send_body(self, data: bytes) -> None:
        """Send a slice of content after 354. Its lines end with CRLF; dots are stuffed here.

        Raises LocalProtocolError for a bare CR or LF, and for octets above 127 unless MAIL had
        BODY=8BITMIME or SMTPUTF8 (RFC 5321 2.4).
        """
        self._check_phase(Phase.BODY)
        self._check_octets(data)
        try:
            self._output.append(self._dots.encode(data))
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None

    def end_body(self) -> tuple[Sent, ...]:
        """Send the final dot. Return the entries that its replies will name: one, or in LMTP one
        for each accepted recipient (RFC 2033 4.2)."""
        self._check_phase(Phase.BODY)
        try:
            line = self._dots.finish()
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None
        self._expected_phase = Phase.READY
        return self._record_end(Step.BODY_END, line)

    def respond(self, response: Secret | None) -> Sent:
        """Send the next response of a SASL exchange after 334; None cancels it (RFC 4954 4)."""
        self._check_phase(Phase.AUTH)
        line = b"*" if response is None else encode_base64(response.reveal())
        self._expected_phase = Phase.READY
        return self._record(Step.AUTH_RESPONSE, line + b"\r\n")

    def tls_started(self) -> None:
        """Forget the session after the TLS handshake, as RFC 3207 4.2 requires."""
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("STARTTLS has no 220 reply yet")
        self.secure, self.authenticated = True, False
        self._expected_phase = self._restart_session()

    # -- checks before sending ---------------------------------------------------------------

    def _check_phase(self, phase: Phase) -> None:
        if self.phase is not phase or self._ledger:
            raise LocalProtocolError(f"not allowed in the phase {self.phase.value!r}")

    def _check_order(self, command: Command) -> None:
        verb = command.verb
        if verb not in self.vocabulary.verbs:
            raise LocalProtocolError("not a verb of this session", command=verb)
        if self._expected_phase not in COLUMNS:
            text = f"no command is allowed in the phase {self._expected_phase.value!r}"
            raise LocalProtocolError(text, command=verb)
        cell = self.vocabulary.transitions[self._expected_phase, row_of(command)]
        if isinstance(cell, Reply):
            raise LocalProtocolError(f"out of order: {cell.text}", command=verb)
        if not self.ready:
            raise LocalProtocolError("wait for the outstanding replies first", command=verb)
        if isinstance(command, Data) and self._parameters.body is Body.BINARY_MIME:
            raise LocalProtocolError("BODY=BINARYMIME needs BDAT (RFC 3030 3)", command=verb)

    def _check_octets(self, data: bytes) -> None:
        parameters = self._parameters
        ascii_only = parameters.body in (None, Body.SEVEN_BIT) and not parameters.smtputf8
        if ascii_only and not data.isascii():
            raise LocalProtocolError("octets above 127; send MAIL with BODY=8BITMIME or SMTPUTF8")

    def _checked_line(self, command: Command) -> bytes:
        """Return the line of *command*. Raise LocalProtocolError if it must not be sent."""
        check_offered(command, self.vocabulary.verbs[command.verb].keyword, self.extensions)
        if isinstance(command, Auth) and self.authenticated:
            raise LocalProtocolError("already authenticated", command="AUTH")
        check_leniencies(command, self.leniencies)
        line = bytes(command) + b"\r\n"
        limit = self.extensions.line_limit(command.verb)
        if len(line) > limit:
            text = f"command line of {len(line)} octets; the limit is {limit}"
            raise LocalProtocolError(text, command=command.verb)
        if _CONTROL.search(line, 0, len(line) - 2):  # an application's own verb may contain any
            raise LocalProtocolError("control character in a command", command=command.verb)
        parameters = command.parameters if isinstance(command, Mail) else self._parameters
        utf8 = isinstance(command, Mail | Rcpt) and parameters.smtputf8
        utf8 = utf8 or (isinstance(command, Vrfy | Expn) and command.smtputf8)
        if not line.isascii() and not utf8:
            raise LocalProtocolError("not ASCII; this needs SMTPUTF8", command=command.verb)
        return line

    def _record(self, what: Command | Step, octets: bytes) -> Sent:
        sent = Sent(what, len(octets))
        self._ledger.append(sent)
        self._output.append(octets)
        self.in_flight += len(octets)
        return sent

    def _record_end(self, what: Command | Step, octets: bytes) -> tuple[Sent, ...]:
        """Record the end of a message. In LMTP each accepted recipient has a reply of its own."""
        if not self.lmtp:
            return (self._record(what, octets),)
        sent = tuple(Sent(what, 0, recipient) for recipient in self._recipients)
        self._ledger.extend(sent)
        self._output.append(octets)
        return sent

    # -- effects of replies ------------------------------------------------------------------

    def _take_reply(self, reply: Reply, leniencies: tuple[str, ...]) -> Answer | Unsolicited:
        if not self._ledger:
            if reply.code != 421:
                raise RemoteProtocolError("a reply that answers no command", reply=reply)
            self._close()
            return Unsolicited(reply)
        sent = self._ledger.popleft()
        self.in_flight -= sent.octets
        if isinstance(sent.what, Mail):  # the transaction before it has all its replies
            self._recipients = []
        if reply.intermediate != self._expects_intermediate(sent, reply):
            text = "a reply whose code does not fit the command"
            raise RemoteProtocolError(text, command=str(sent), reply=reply)
        self.phase = Phase.CLOSED if reply.code == 421 else self._phase_after(sent, reply)
        if not reply.positive or not self._ledger:
            self._expected_phase = self.phase
            for other in self._ledger:
                self._expected_phase = self._phase_by_table(self._expected_phase, other.what)
        return Answer(sent, reply, leniencies)

    def _close(self) -> None:
        self.phase = self._expected_phase = Phase.CLOSED
        self._buffer.clear()

    def _expects_intermediate(self, sent: Sent, reply: Reply) -> bool:
        """Return whether a positive reply to *sent* is 3yz; AUTH may have either kind. In LMTP 354
        is wrong without an accepted recipient: the message would have no reply (RFC 2033 4.2)."""
        match sent.what:
            case Data():
                return reply.positive and (not self.lmtp or bool(self._recipients))
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
            case Bdat(last=last) if not reply.positive and not (self.lmtp and last):
                return Phase.FAILED
            case Mail() if reply.positive:  # also after a failed chunk, if MAIL was pipelined
                return Phase.MAIL
            case Bdat(last=True):
                return Phase.READY
            case Quit():
                return Phase.CLOSED
            case Data() if reply.positive:
                return self._begin_body()  # even if no recipient was accepted
            case Auth() | Step.AUTH_RESPONSE:
                self.authenticated = reply.positive and not reply.intermediate
                return Phase.AUTH if reply.intermediate else Phase.READY
        if not reply.positive:
            return self.phase
        self._apply_success(what, reply)
        return self._phase_by_table(self.phase, what)

    def _begin_body(self) -> Phase:
        self._dots = DotWriter()
        return Phase.BODY

    def _apply_success(self, command: Command, reply: Reply) -> None:
        match command:
            case Rcpt(path):
                self._recipients.append(path)
            case Helo():
                self.extensions = Extensions()
            case Ehlo():
                self.extensions = read_offer(reply, secure=self.secure)
            case XClient(attributes):
                self.authenticated = isinstance(attributes.login, str)
                self._restart_session()
            case StartTLS() if self._buffer:
                raise RemoteProtocolError(
                    "octets in clear after 220 to STARTTLS; an attacker may be injecting them",
                    command="STARTTLS",
                    reply=reply,
                    check="the network between this client and the server",
                )

    def _restart_session(self) -> Phase:
        """Forget the server's offer and return to the phase before EHLO."""
        self.phase, self.extensions = Phase.START, Extensions()
        return self.phase

    def _phase_by_table(self, phase: Phase, what: Command | Step) -> Phase:
        """Return the phase after success of *what*, or *phase* if the table has none."""
        if what is Step.BODY_END:
            return Phase.READY
        row = row_of(what) if isinstance(what, Command) else ""
        cell = self.vocabulary.transitions.get((phase, row))
        return cell if isinstance(cell, Phase) else phase

    # -- reading -----------------------------------------------------------------------------

    def _read_reply(self, context: ParseContext) -> Reply | None:
        while self.phase is not Phase.CLOSED:
            line = self._lines.read(self.limits.reply_line)
            if line is None:
                return None
            if line is OVERLONG or self._reply_size + len(line) > self.limits.reply:
                raise RemoteProtocolError("a reply that is too long")
            self._reply_lines.append(line)
            self._reply_size += len(line)
            try:
                if not parse_reply_line(line)[1]:
                    lines, self._reply_lines, self._reply_size = self._reply_lines, [], 0
                    return Reply.from_lines(lines, context.tolerate)
            except GrammarError as error:
                raise RemoteProtocolError(error.message) from None
        return None
