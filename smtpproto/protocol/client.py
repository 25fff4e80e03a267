"""The client's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError, RemoteProtocolError
from ..events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Helo, Mail, Quit, Rcpt
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth, Bdat, StartTLS, XClient
from ..grammar.parameters import Body, MailParameters
from ..grammar.parse_context import ParseContext
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import encode_base64
from ..limits import Leniencies, Limits, Timeouts
from ..option_types import checked, require_type
from ..wire.chunks import CanonicalText
from ..wire.dots import DotWriter
from .client_rules import check_leniencies, check_octets, check_offered, line_of, read_offer
from .ledger import Ledger
from .phases import COLUMNS, Phase
from .reply_reader import ReplyReader
from .verbs import Verb, Vocabulary, own_verbs, row_of, vocabulary


@checked
@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ClientProtocol:
    """One connection, seen from the client.

    Send with :meth:`send`, :meth:`send_chunk`, :meth:`send_body`, :meth:`end_body` and
    :meth:`respond`, and write to the server what :meth:`data_to_send` returns. Pass what the server
    sends to :meth:`receive`, and take events from :meth:`next_event`. Everything sent that awaits
    a reply enters a ledger; its :class:`~.events.Answer` names the entry. Replies are matched by
    counting, never by their text (RFC 2920 3.1). A reply that was received before the last octet of
    what it would answer was taken from :meth:`data_to_send` is a protocol error; so pass on what
    has arrived before you send more.

    *lmtp*: speak LMTP (RFC 2033). *secure*: TLS is active from the start. *verbs*: additional
    verbs. *ignore_extensions*: keywords to treat as not offered. A command that is out of order,
    was not offered or is too long raises :class:`~smtpproto.errors.LocalProtocolError`; nothing is
    sent then.
    """

    lmtp: bool = False
    secure: bool = False
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)
    ignore_extensions: frozenset[str] = frozenset()

    phase: Phase = field(default=Phase.GREETING, init=False)
    """The phase that the replies read so far have led to."""
    extensions: Extensions = field(factory=Extensions, init=False)
    """The offer in the last EHLO reply."""
    authenticated: bool = field(default=False, init=False)
    vocabulary: Vocabulary = field(init=False)

    _ledger: Ledger = field(factory=Ledger, init=False)
    _parameters: MailParameters = field(factory=MailParameters, init=False)
    _recipients: list[ForwardPath] = field(factory=list, init=False)  # accepted since MAIL
    _reader: ReplyReader = field(init=False)
    _dots: DotWriter = field(factory=DotWriter, init=False)
    _text_checker: CanonicalText = field(factory=CanonicalText, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _queued: int = field(default=0, init=False)  # octets ever put into the output
    _taken: int = field(default=0, init=False)  # octets of them that the caller has taken
    _ended: bool = field(default=False, init=False)
    _reported: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = ReplyReader(self.limits)
        self.vocabulary = vocabulary(lmtp=self.lmtp, own=self.verbs)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the server; b"" is the end of the connection. Raises LocalProtocolError
        between the 220 to STARTTLS and :meth:`tls_started`."""
        require_type("data", data, bytes | bytearray | memoryview, "octets")
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif self.phase is not Phase.CLOSED:  # after the end nothing reads them
            self._reader.feed(data)

    def next_event(self) -> ClientEvent | None:
        """Return the next event, or None if more octets are needed or the end was reported.

        Raises RemoteProtocolError for octets that are not a reply, for a reply that answers nothing
        or comes before what it would answer was sent, for a reply that is too long or whose code
        does not fit, and for octets after the 220 to STARTTLS.
        """
        try:
            context = ParseContext(leniencies=self.leniencies)
            reply = None if self.phase is Phase.CLOSED else self._reader.read(context)
            if reply is not None:
                return self._take_reply(reply, context)
        except RemoteProtocolError:
            self._close()
            raise
        if (self._ended or self.phase is Phase.CLOSED) and not self._reported:
            self._reported = True
            unfinished = "" if self.phase is Phase.CLOSED else self.unfinished_reply
            self._close()
            return Disconnected(self.unanswered, unfinished)
        return None

    def data_to_send(self, *, all_but: int = 0) -> bytes:
        """Return the octets for the server that have gathered since the last call; keep back the
        last *all_but* of them until the next call."""
        data = b"".join(self._output)
        self._output.clear()
        if data and all_but:
            data, rest = data[:-all_but], data[-all_but:]
            self._output.append(rest)
        self._taken += len(data)
        self._ledger.note_sent(self._taken, self._reader.received)
        return data

    @property
    def unanswered(self) -> tuple[Sent, ...]:
        """The ledger: everything sent that has no reply yet, oldest first."""
        return self._ledger.sent

    @property
    def awaits_reply(self) -> bool:
        """Whether anything sent has no reply yet."""
        return bool(self._ledger)

    @property
    def has_output(self) -> bool:
        """Whether :meth:`data_to_send` would return anything."""
        return bool(self._output)

    @property
    def unfinished_reply(self) -> str:
        """The start of a reply whose end has not arrived, escaped; "" if there is none."""
        return self._reader.unfinished

    @property
    def in_flight(self) -> int:
        """Octets of the commands without a reply, to bound the pipelining window (RFC 2920 3.1)."""
        return self._ledger.in_flight

    @property
    def _expected_phase(self) -> Phase:
        """The phase that everything in flight leads to if it succeeds."""
        if self.phase is Phase.CLOSED:
            return Phase.CLOSED
        return self._ledger.expected_phase(self.phase)

    def allows(self, row: str) -> bool:
        """Return whether the command *row* (a verb, or ``BDAT LAST``) is in order if all replies
        in flight are positive."""
        return isinstance(self.vocabulary.transitions.get((self._expected_phase, row)), Phase)

    @property
    def ready(self) -> bool:
        """Whether a command may be sent before the outstanding replies (RFC 2920 3.1)."""
        if not self._ledger:
            return True
        return "PIPELINING" in self.extensions and self._may_precede(self._ledger.newest.what)

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
        match self._ledger.oldest.what:
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
        require_type("command", command, Command, "a Command, for example commands.Noop()")
        if isinstance(command, Bdat):
            raise LocalProtocolError("send BDAT and its octets with send_chunk", command="BDAT")
        self._check_order(command)
        line = self._checked_line(command)
        if isinstance(command, Mail):
            self._parameters = command.parameters
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
        check_octets(data, self._parameters)
        if self._parameters.body is not Body.BINARY_MIME:
            checker = CanonicalText() if self._expected_phase is Phase.RCPT else self._text_checker
            try:
                checker.check(data, last=last)
            except GrammarError as error:
                raise LocalProtocolError(error.message) from None
            self._text_checker = checker
        if last:
            return self._record_end(command, line, data)
        return (self._record(command, line, data),)

    def send_body(self, data: bytes) -> None:
        """Send a slice of content after 354. Its lines end with CRLF; dots are stuffed here.

        Raises LocalProtocolError for a bare CR or LF, and for octets above 127 unless MAIL had
        BODY=8BITMIME or SMTPUTF8 (RFC 5321 2.4).
        """
        self._check_phase(Phase.BODY)
        check_octets(data, self._parameters)
        try:
            self._queue(self._dots.encode(data))
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
        return self._record_end(Step.BODY_END, line)

    def respond(self, response: Secret | None) -> Sent:
        """Send the next response of a SASL exchange after 334; None cancels it (RFC 4954 4)."""
        self._check_phase(Phase.AUTH)
        line = b"*" if response is None else encode_base64(response.reveal())
        return self._record(Step.AUTH_RESPONSE, line + b"\r\n")

    def tls_started(self) -> None:
        """Forget the session after the TLS handshake, as RFC 3207 4.2 requires."""
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("STARTTLS has no 220 reply yet")
        self.secure, self.authenticated = True, False
        self._restart_session()

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

    def _checked_line(self, command: Command) -> bytes:
        """Return the line of *command*. Raise LocalProtocolError if it must not be sent."""
        if isinstance(command, Auth) and self.authenticated:
            raise LocalProtocolError("already authenticated", command="AUTH")
        check_offered(command, self.vocabulary.verbs[command.verb].keyword, self.extensions)
        check_leniencies(command, self.leniencies)
        return line_of(command, self.extensions, self._parameters)

    def _queue(self, octets: bytes) -> None:
        self._output.append(octets)
        self._queued += len(octets)

    def _record(self, what: Command | Step, *octets: bytes) -> Sent:
        """Queue *octets*, of which the first are a line, and enter *what* into the ledger."""
        sent = Sent(what, len(octets[0]))
        self._enter((sent,), *octets)
        return sent

    def _record_end(self, what: Command | Step, *octets: bytes) -> tuple[Sent, ...]:
        """Record the end of a message. In LMTP each accepted recipient has a reply of its own."""
        if not self.lmtp:
            return (self._record(what, *octets),)
        sent = tuple(Sent(what, 0, recipient) for recipient in self._recipients)
        self._enter(sent, *octets)
        return sent

    def _enter(self, entries: tuple[Sent, ...], *octets: bytes) -> None:
        for piece in octets:
            self._queue(piece)
        received = self._reader.received
        for sent in entries:
            phase = self._phase_by_table(self._expected_phase, sent.what)
            self._ledger.append(sent, phase, end=self._queued, received=received)

    # -- effects of replies ------------------------------------------------------------------

    def _take_reply(self, reply: Reply, context: ParseContext) -> Answer | Unsolicited:
        sent = self._ledger.take_answered(self._reader.begin)
        if sent is None:
            if reply.code != 421:
                text = "a reply that answers no command"
                if self._ledger:
                    text = "a reply that came before the command it would answer"
                raise RemoteProtocolError(text, reply=reply)
            self._close()
            return Unsolicited(reply)
        if isinstance(sent.what, Mail):  # the transaction before it has all its replies
            self._recipients = []
        if reply.intermediate != self._expects_intermediate(sent, reply):
            text = "a reply whose code does not fit the command"
            raise RemoteProtocolError(text, command=str(sent), reply=reply)
        self.phase = Phase.CLOSED if reply.code == 421 else self._phase_after(sent, reply, context)
        self._ledger.follow(self.phase, self._phase_by_table)
        return Answer(sent, reply, tuple(context.used))

    def _close(self) -> None:
        self.phase = Phase.CLOSED
        self._reader.clear()

    def _expects_intermediate(self, sent: Sent, reply: Reply) -> bool:
        """Return whether a positive reply to *sent* is 3yz; AUTH may have either kind. In LMTP 354
        is wrong without an accepted recipient: the message would have no reply (RFC 2033 4.2)."""
        match sent.what:
            case Data():
                return reply.positive and (not self.lmtp or bool(self._recipients))
            case Auth() | Step.AUTH_RESPONSE:
                return reply.intermediate
        return False

    def _phase_after(self, sent: Sent, reply: Reply, context: ParseContext) -> Phase:
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
        self._apply_success(what, reply, context)
        return self._phase_by_table(self.phase, what)

    def _begin_body(self) -> Phase:
        self._dots = DotWriter()
        return Phase.BODY

    def _apply_success(self, command: Command, reply: Reply, context: ParseContext) -> None:
        match command:
            case Rcpt(path):
                self._recipients.append(path)
            case Helo():
                self.extensions = Extensions()
            case Ehlo():
                self.extensions = self._offer_in(reply, context)
            case XClient(attributes):
                self.authenticated = isinstance(attributes.login, str)
                self._restart_session()
            case StartTLS() if self._reader.has_unread:
                raise RemoteProtocolError(
                    "octets in clear after 220 to STARTTLS; an attacker may be injecting them",
                    command="STARTTLS",
                    reply=reply,
                    check="the network between this client and the server",
                )

    def _offer_in(self, reply: Reply, context: ParseContext) -> Extensions:
        ignored = self.ignore_extensions
        return read_offer(reply, context, secure=self.secure, ignored=ignored)

    def _restart_session(self) -> None:
        """Forget the server's offer and return to the phase before EHLO."""
        self.phase, self.extensions = Phase.START, Extensions()

    def _phase_by_table(self, phase: Phase, what: Command | Step) -> Phase:
        """Return the phase after success of *what*, or *phase* if the table has none."""
        if isinstance(what, Step):
            return Phase.READY
        cell = self.vocabulary.transitions.get((phase, row_of(what)))
        return cell if isinstance(cell, Phase) else phase
