"""The client's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

import re
from collections import deque

from attrs import define, field, setters

from ..errors import GrammarError, LocalProtocolError, NotOffered, RemoteProtocolError
from ..events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..grammar.address import ForwardPath
from ..grammar.command import Command, Data, Ehlo, Expn, Helo, Mail, Quit, Rcpt, Vrfy
from ..grammar.extension import Extensions
from ..grammar.extension_command import Auth, Bdat, StartTLS, XClient
from ..grammar.offer_rules import not_offered_reason
from ..grammar.parameters import Body, MailParameters
from ..grammar.parse_context import ParseContext
from ..grammar.reply import Reply, parse_reply_line
from ..grammar.secret import Secret
from ..grammar.xtext import encode_base64
from ..limits import Leniencies, Limits, Timeouts, Tolerance
from ..wire.buffer import Buffer
from ..wire.chunks import CanonicalText
from ..wire.dots import DotWriter
from ..wire.lines import OVERLONG, LineReader
from .phases import COLUMNS, Phase
from .verbs import Verb, Vocabulary, own_verbs, row_of, vocabulary

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ClientProtocol:
    """One connection as a client sees it.

    Say things with :meth:`send`, :meth:`send_body`, :meth:`end_body`, :meth:`respond`; send what
    :meth:`data_to_send` gives; feed :meth:`receive` and take events with :meth:`next_event`. Each
    thing said enters a ledger, and its :class:`~.events.Answer` names it: replies are matched by
    counting, never by what they say (RFC 2920 3.1). *lmtp* speaks LMTP (RFC 2033). *secure*: TLS is
    active from the start. *verbs* are those of one's own.

    What is out of order, was not offered, or is too long raises
    :class:`~smtpproto.errors.LocalProtocolError`, and nothing is sent.
    """

    lmtp: bool = False
    secure: bool = False
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)

    phase: Phase = field(default=Phase.GREETING, init=False)
    """Where the session stands by the replies read so far."""
    extensions: Extensions = field(factory=Extensions, init=False)
    """What the last EHLO reply offered."""
    authenticated: bool = field(default=False, init=False)
    in_flight: int = field(default=0, init=False)
    """Octets of what is unanswered, for a bound on the window (RFC 2920 3.1)."""
    vocabulary: Vocabulary = field(init=False)

    _ledger: deque[Sent] = field(factory=lambda: deque([Sent(Step.GREETING)]), init=False)
    _expected: Phase = field(default=Phase.GREETING, init=False)  # if all in flight succeeds
    _parameters: MailParameters = field(factory=MailParameters, init=False)
    _accepted: list[ForwardPath] = field(factory=list, init=False)  # in the open transaction
    _buffer: Buffer = field(factory=Buffer, init=False)
    _lines: LineReader = field(init=False)
    _reply: list[bytes] = field(factory=list, init=False)
    _reply_size: int = field(default=0, init=False)
    _dots: DotWriter = field(factory=DotWriter, init=False)
    _text: CanonicalText = field(factory=CanonicalText, init=False)
    _output: list[bytes] = field(factory=list, init=False)
    _ended: bool = field(default=False, init=False)
    _reported: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self._buffer)
        self.vocabulary = vocabulary(lmtp=self.lmtp, own=self.verbs)

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
            context = ParseContext(leniencies=self.leniencies)
            reply = self._read_reply(context)
            if reply is not None:
                return self._take(reply, tuple(context.used))
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

    def allows(self, row: str) -> bool:
        """Whether a command is in order, if all in flight succeeds: its verb, or ``BDAT LAST``."""
        return isinstance(self.vocabulary.transitions.get((self._expected, row)), Phase)

    @property
    def ready(self) -> bool:
        """Whether a command may leave before the replies still to come (RFC 2920 3.1)."""
        if not self._ledger:
            return True
        return "PIPELINING" in self.extensions and self._goes_on(self._ledger[-1].what)

    def _goes_on(self, what: Command | Step) -> bool:
        """Whether more may follow in the same group. Not a chunk in LMTP: how many replies the last
        one gets, only those before it tell (RFC 2033 4.3)."""
        if isinstance(what, Bdat) and self.lmtp:
            return False
        if isinstance(what, Command):
            return self.vocabulary.verbs[what.verb].grouped
        return what is Step.BODY_END

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the server's next event, by phase (RFC 5321 4.5.3.2)."""
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
                seconds: float | None = getattr(times, self.vocabulary.verbs[verb].wait)
                return seconds

    # -- things to say -----------------------------------------------------------------------

    def send(self, command: Command) -> Sent:
        """Say *command*. Several may be on their way where PIPELINING was offered (RFC 2920)."""
        if isinstance(command, Bdat):
            raise LocalProtocolError("BDAT goes with its octets: send_chunk", command="BDAT")
        self._check_order(command)
        line = self._line(command)
        if isinstance(command, Mail):
            self._parameters = command.parameters
        self._expected = self._after(self._expected, command)
        return self._enter(command, line)

    def send_chunk(self, data: bytes, *, last: bool) -> tuple[Sent, ...]:
        """Say BDAT and the octets of one chunk (RFC 3030), with nothing between and nothing added.

        Gives what its replies will name: one entry, but for the last chunk in LMTP one for each
        recipient that was accepted. Raises LocalProtocolError, besides what :meth:`send` does, for
        octets that MAIL's BODY does not cover: a CR or LF alone unless it is BINARYMIME.
        """
        command = Bdat(len(data), last)
        self._check_order(command)
        if last and self.lmtp and (self._ledger or not self._accepted):
            raise LocalProtocolError("which recipients were accepted is not known", command="BDAT")
        line = self._line(command)
        self._check_octets(data)
        if self._parameters.body is not Body.BINARY_MIME:
            text = CanonicalText() if self._expected is Phase.RCPT else self._text
            try:
                text.check(data, last=last)
            except GrammarError as error:
                raise LocalProtocolError(error.message) from None
            self._text = text
        self._expected = self._after(self._expected, command)
        sent = self._enter_end(command, line) if last else (self._enter(command, line),)
        self._output.append(data)
        return sent

    def send_body(self, data: bytes) -> None:
        """Say a slice of content, after 354. Lines end with CRLF; dots are stuffed here.

        Raises LocalProtocolError for a CR or LF alone, and for octets above 127 unless MAIL said
        BODY=8BITMIME or SMTPUTF8 (RFC 5321 2.4).
        """
        self._check_phase(Phase.BODY)
        self._check_octets(data)
        try:
            self._output.append(self._dots.encode(data))
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None

    def end_body(self) -> tuple[Sent, ...]:
        """Say that the content is complete. Gives what the replies will name: one entry, or in LMTP
        one for each recipient that was accepted (RFC 2033 4.2)."""
        self._check_phase(Phase.BODY)
        try:
            line = self._dots.finish()
        except GrammarError as error:
            raise LocalProtocolError(error.message) from None
        self._expected = Phase.READY
        return self._enter_end(Step.BODY_END, line)

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
        self.secure, self.authenticated = True, False
        self._expected = self._start_again()

    # -- what may be said --------------------------------------------------------------------

    def _check_phase(self, phase: Phase) -> None:
        if self.phase is not phase or self._ledger:
            raise LocalProtocolError(f"not now: the phase is {self.phase.value}")

    def _check_order(self, command: Command) -> None:
        verb = command.verb
        if verb not in self.vocabulary.verbs:
            raise LocalProtocolError("not a verb of this session", command=verb)
        if self._expected not in COLUMNS:
            text = f"no command now: the phase is {self._expected.value}"
            raise LocalProtocolError(text, command=verb)
        cell = self.vocabulary.transitions[self._expected, row_of(command)]
        if isinstance(cell, Reply):
            raise LocalProtocolError(f"out of order: {cell.text}", command=verb)
        if not self.ready:
            raise LocalProtocolError("wait for the replies first", command=verb)
        if isinstance(command, Data) and self._parameters.body is Body.BINARY_MIME:
            raise LocalProtocolError("BODY=BINARYMIME needs BDAT (RFC 3030 3)", command=verb)

    def _check_octets(self, data: bytes) -> None:
        narrow = self._parameters.body in (None, Body.SEVEN_BIT) and not self._parameters.smtputf8
        if narrow and not data.isascii():
            raise LocalProtocolError("octets above 127, and MAIL did not say BODY=8BITMIME")

    def _line(self, command: Command) -> bytes:
        """The line of *command*, if it was offered and may be sent as it is."""
        self._check_offered(command)
        self._check_leniency(command)
        line = bytes(command) + b"\r\n"
        limit = self.extensions.line_limit(command.verb)
        if len(line) > limit:
            text = f"command line of more than {limit} octets"
            raise LocalProtocolError(text, command=command.verb)
        if _CONTROL.search(line, 0, len(line) - 2):  # whatever the values let through
            raise LocalProtocolError("control character in a command", command=command.verb)
        parameters = command.parameters if isinstance(command, Mail) else self._parameters
        utf8 = isinstance(command, Mail | Rcpt) and parameters.smtputf8
        utf8 = utf8 or (isinstance(command, Vrfy | Expn) and command.smtputf8)
        if not line.isascii() and not utf8:
            raise LocalProtocolError("not ASCII, and nothing said SMTPUTF8", command=command.verb)
        return line

    def _check_leniency(self, command: Command) -> None:
        """What only leniency made is sent only where it is granted here too."""
        if isinstance(command, Ehlo) and getattr(command.host, "loose", False):
            raise LocalProtocolError("a host name has no underscores", command=command.verb)
        if isinstance(command, Mail | Rcpt) and command.path.mailbox is not None:
            strict = self.leniencies.long_local_part is Tolerance.REJECT
            if command.path.mailbox.long and strict:
                raise LocalProtocolError("local-part of more than 64 octets", command=command.verb)

    def _check_offered(self, command: Command) -> None:
        offered, keyword = self.extensions, self.vocabulary.verbs[command.verb].keyword
        if keyword is not None and keyword not in offered:
            raise NotOffered(f"the server does not offer {keyword}", command=command.verb)
        if isinstance(command, Vrfy | Expn) and command.smtputf8 and "SMTPUTF8" not in offered:
            raise NotOffered("the server does not offer SMTPUTF8", command=command.verb)
        if isinstance(command, Auth):
            if self.authenticated:
                raise LocalProtocolError("already authenticated", command="AUTH")
            if command.mechanism not in offered.mechanisms:
                text = f"the server does not offer AUTH {command.mechanism}"
                raise NotOffered(text, command="AUTH")
        if isinstance(command, Mail | Rcpt) and (
            reason := not_offered_reason(command.parameters, offered)
        ):
            raise NotOffered(reason, command=command.verb)

    def _enter(self, what: Command | Step, octets: bytes) -> Sent:
        sent = Sent(what, len(octets))
        self._ledger.append(sent)
        self._output.append(octets)
        self.in_flight += len(octets)
        return sent

    def _enter_end(self, what: Command | Step, octets: bytes) -> tuple[Sent, ...]:
        """The end of a message: in LMTP, each recipient that was accepted gets a reply."""
        if not self.lmtp:
            return (self._enter(what, octets),)
        sent = tuple(Sent(what, 0, recipient) for recipient in self._accepted)
        self._ledger.extend(sent)
        self._output.append(octets)
        return sent

    # -- what replies lead to ----------------------------------------------------------------

    def _take(self, reply: Reply, leniencies: tuple[str, ...]) -> Answer | Unsolicited:
        if not self._ledger:
            if reply.code != 421:
                raise RemoteProtocolError("a reply that nothing was sent for", reply=reply)
            self._close()
            return Unsolicited(reply)
        sent = self._ledger.popleft()
        self.in_flight -= sent.octets
        if isinstance(sent.what, Mail):  # all of the transaction before it was answered
            self._accepted = []
        if reply.intermediate != self._wants_more(sent, reply):
            raise RemoteProtocolError(
                "a reply that makes no sense here", command=str(sent), reply=reply
            )
        self.phase = Phase.CLOSED if reply.code == 421 else self._phase_after(sent, reply)
        if not reply.positive or not self._ledger:
            self._expected = self.phase
            for other in self._ledger:
                self._expected = self._after(self._expected, other.what)
        return Answer(sent, reply, leniencies)

    def _close(self) -> None:
        self.phase = self._expected = Phase.CLOSED
        self._buffer.clear()

    def _wants_more(self, sent: Sent, reply: Reply) -> bool:
        """Whether yes to *sent* is 3yz; for AUTH it may be either. LMTP has no yes to DATA without
        recipients: nothing would be said of such a message (RFC 2033 4.2)."""
        match sent.what:
            case Data():
                return reply.positive and (not self.lmtp or bool(self._accepted))
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
            case Mail() if reply.positive:  # even behind a chunk that failed, if it was pipelined
                return Phase.MAIL
            case Bdat(last=True):
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
            case Rcpt(path):
                self._accepted.append(path)
            case Helo():
                self.extensions = Extensions()
            case Ehlo():
                self.extensions = self._offered(reply)
            case XClient(attributes):
                self.authenticated = isinstance(attributes.login, str)
                self._start_again()
            case StartTLS() if self._buffer:
                raise RemoteProtocolError(
                    "octets behind the reply to STARTTLS, in clear: somebody may be injecting them",
                    command="STARTTLS",
                    reply=reply,
                    check="who or what is between, on the way to the server",
                )

    def _offered(self, reply: Reply) -> Extensions:
        """What a reply to EHLO offers; REQUIRETLS is none in clear (RFC 8689 2)."""
        keywords = dict(Extensions.from_reply(reply).keywords)
        if not self.secure:
            keywords.pop("REQUIRETLS", None)
        return Extensions(keywords)

    def _start_again(self) -> Phase:
        """Forget what was known of the server; the session is as new."""
        self.phase, self.extensions = Phase.START, Extensions()
        return self.phase

    def _after(self, phase: Phase, what: Command | Step) -> Phase:
        """The phase that success of *what* leads to by the table; *phase* if there is none."""
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
            self._reply.append(line)
            self._reply_size += len(line)
            try:
                if not parse_reply_line(line)[1]:
                    lines, self._reply, self._reply_size = self._reply, [], 0
                    return Reply.from_lines(lines, context.tolerate)
            except GrammarError as error:
                raise RemoteProtocolError(error.message) from None
        return None
