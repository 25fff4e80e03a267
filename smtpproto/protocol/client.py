"""The client's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

from collections import deque
from typing import Any, Unpack, cast

from attrs import define, field, setters

from ..client_events import Answer, ClientEvent, Disconnected, Sent, Step, Unsolicited
from ..errors import LocalProtocolError, NotOffered, RemoteProtocolError
from ..grammar.address import ForwardPath
from ..grammar.command import Command
from ..grammar.extension import Extensions
from ..grammar.extension_command import Bdat
from ..grammar.parameters import Body, MailParameters
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import encode_base64
from ..option_types import require_type
from ..wire.chunks import CanonicalText
from ..wire.dots import DotWriter
from .client_rules import check_octets, code_fits, line_of, read_offer
from .ledger import Entry, Ledger
from .phases import Phase
from .reply_reader import ReplyReader
from .settings import ClientMachineOptions, ClientSettings, settings_of
from .verbs import Vocabulary, row_of, vocabulary

_NOTHING_OFFERED, _NO_PARAMETERS = Extensions(), MailParameters()
# Where a refusal changes the phase.
_AFTER_REFUSAL = {
    "GREETING": Phase.REFUSED,
    "BDAT": Phase.FAILED,
    "BDAT LAST": Phase.FAILED,
    "BODY_END": Phase.READY,
    "QUIT": Phase.CLOSED,
}


@define(eq=False, init=False, repr=False, on_setattr=setters.NO_OP)
class ClientProtocol:
    """One connection, seen from the client.

    Send with :meth:`send`, :meth:`send_chunk`, :meth:`send_body`, :meth:`end_body` and
    :meth:`respond`, and write to the server what :meth:`data_to_send` returns. Pass what the server
    sends to :meth:`receive`, and take events from :meth:`next_event`. Everything sent that awaits
    a reply enters a ledger; its :class:`~.events.Answer` names the entry. Replies are matched as
    they arrive, by counting, never by their text (RFC 2920 3.1). A reply that was received before
    the last octet of what it would answer was taken from :meth:`data_to_send` is a protocol error;
    so pass on what has arrived before you send more.

    The options are those of :class:`~.settings.ClientSettings`; connections that share one pass
    it as *settings* instead. *lmtp*: speak LMTP (RFC 2033). *secure*: TLS is active from the start.
    A command that is out of order, was not offered or is too long raises
    :class:`~smtpproto.errors.LocalProtocolError`; nothing is sent then.
    """

    settings: ClientSettings
    lmtp: bool
    vocabulary: Vocabulary
    secure: bool
    phase: Phase = Phase.GREETING
    """The phase that the replies received so far have led to."""
    extensions: Extensions = _NOTHING_OFFERED
    """The offer in the last EHLO reply."""
    authenticated: bool = False

    _parameters: MailParameters = _NO_PARAMETERS
    _recipients: list[ForwardPath] = field(factory=list)  # of LMTP, accepted since MAIL
    _reader: ReplyReader = field(init=False)
    _ledger: Ledger = field(init=False)
    _dots: DotWriter = field(factory=DotWriter)
    _text_checker: CanonicalText = field(factory=CanonicalText)  # of chunks
    _answered: deque[Sent] = field(factory=deque)  # not reported yet
    _last: Reply | RemoteProtocolError | None = None  # what ended the session, after the answers
    _ended: bool = False  # nothing more is read
    _reported: bool = False

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        lmtp: bool = False,
        secure: bool = False,
        **options: Unpack[ClientMachineOptions],
    ) -> None:
        if settings is None:
            require_type("lmtp", lmtp, bool, "True or False")
            require_type("secure", secure, bool, "True or False")
        settings = settings_of(ClientSettings, settings, options, "lmtp", "secure")
        words = vocabulary(lmtp=lmtp, own=settings.verbs)
        cast("Any", self).__attrs_init__(settings, lmtp, words, secure)
        self._reader = ReplyReader(settings.limits, settings.leniencies)
        self._ledger = Ledger(words)

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the server; b"" is the end of the connection. Raises LocalProtocolError
        between the 220 to STARTTLS and :meth:`tls_started`."""
        if type(data) is not bytes:
            require_type("data", data, bytes | bytearray | memoryview, "octets")
            data = bytes(data)
        if self.phase is Phase.TLS and data:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        if not data:
            self._ended = True
        elif not (self._ended or self.phase is Phase.CLOSED):
            try:
                self._read(data)
            except RemoteProtocolError as error:
                self._stop(error)

    def _read(self, data: bytes) -> None:
        reader = self._reader
        for line in reader.lines(data, self._ledger.taken):
            if (reply := reader.read(line)) is not None:
                self._take(reply)
                if self._ended or self.phase is Phase.CLOSED:  # nothing reads the rest
                    return
        reader.check_rest()

    def next_event(self) -> ClientEvent | None:
        """Return the next event, or None if more octets are needed or the end was reported.

        Raises RemoteProtocolError for octets that are not a reply, for a reply that answers nothing
        or comes before what it would answer was sent, for a reply that is too long or whose code
        does not fit, and for octets after the 220 to STARTTLS.
        """
        if self._answered:
            sent = self._answered.popleft()
            assert sent.reply is not None
            return Answer(sent, sent.reply, sent.leniencies)
        if self._last is not None:
            return self._end_session(self._last)
        if (self._ended or self.phase is Phase.CLOSED) and not self._reported:
            self._reported = True
            unfinished = "" if self.phase is Phase.CLOSED else self.unfinished_reply
            self._close()
            return Disconnected(self.unanswered, unfinished)
        return None

    def answered(self) -> deque[Sent]:
        """Return the entries of all answers that :meth:`next_event` would return before any other
        event."""
        answered, self._answered = self._answered, deque()
        return answered

    def data_to_send(self, *, all_but: int = 0) -> bytes:
        """Return the octets for the server that have gathered since the last call; keep back the
        last *all_but* of them until the next call."""
        ledger = self._ledger
        data, ledger.output = b"".join(ledger.output), []
        if data and all_but:
            data, rest = data[:-all_but], data[-all_but:]
            ledger.output.append(rest)
        ledger.taken += len(data)
        return data

    def write_failed(self, data: bytes) -> None:
        """Note that *data*, the octets taken last, could not be written as a whole.

        What the server sends after this cannot answer anything that ends in them. If the server has
        received them all the same, their outcome is unknown.
        """
        self._ledger.taken -= len(data)

    @property
    def unanswered(self) -> tuple[Sent, ...]:
        """The ledger: everything sent that has no reply yet, oldest first."""
        return tuple(self._ledger.entries)

    @property
    def awaits_reply(self) -> bool:
        """Whether anything sent has no reply yet."""
        return bool(self._ledger.entries)

    @property
    def has_output(self) -> bool:
        """Whether :meth:`data_to_send` would return anything."""
        return any(self._ledger.output)

    @property
    def unfinished_reply(self) -> str:
        """The start of a reply whose end has not arrived, escaped; "" if there is none."""
        return self._reader.unfinished

    @property
    def in_flight(self) -> int:
        """Octets of the commands without a reply, to bound the pipelining window (RFC 2920 3.1)."""
        return self._ledger.in_flight

    def allows(self, row: str) -> bool:
        """Return whether the command *row* (a verb, or ``BDAT LAST``) is in order if all replies
        in flight are positive."""
        return isinstance(self.vocabulary.transitions.get((self._ledger.leads_to, row)), Phase)

    @property
    def ready(self) -> bool:
        """Whether a command may be sent before the outstanding replies (RFC 2920 3.1)."""
        entries = self._ledger.entries
        if not entries:
            return True
        return entries[-1].grouped and "PIPELINING" in self.extensions.keywords

    @property
    def has_room(self) -> bool:
        """Whether one more command may be sent now, within the window (``Limits.window``)."""
        return self._ledger.in_flight < self.settings.limits.window and self.ready

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the server's next event, by phase (RFC 5321 4.5.3.2), or None."""
        name = "tls" if self.phase is Phase.TLS else "block"
        if self._ledger.entries:
            name = self._ledger.entries[0].timeout
        seconds: float | None = getattr(self.settings.timeouts, name)
        return seconds

    # -- sending -----------------------------------------------------------------------------

    def send(self, command: Command) -> Sent:
        """Send *command* and return its ledger entry. Several commands may be in flight if the
        server offered PIPELINING (RFC 2920)."""
        if not isinstance(command, Command):
            require_type("command", command, Command, "a Command, for example commands.Noop()")
        verb = command.verb
        if verb == "BDAT":
            raise LocalProtocolError("send BDAT and its octets with send_chunk", command=verb)
        phase = self._check_order(command, verb)
        line = line_of(command, self.extensions, self.settings.leniencies, self._parameters)
        if verb == "MAIL":
            self._parameters = command.parameters  # type: ignore[attr-defined]
        (sent,) = self._ledger.append(command, verb, phase, (line,))
        return sent

    def send_chunk(self, data: bytes, *, last: bool) -> tuple[Sent, ...]:
        """Send BDAT and the octets of one chunk, unchanged (RFC 3030).

        Return the entries that its replies will name: one, or for the last chunk in LMTP one for
        each accepted recipient. Besides what :meth:`send` raises, raises LocalProtocolError for
        octets that MAIL's BODY does not cover: a bare CR or LF needs BODY=BINARYMIME.
        """
        command, before = Bdat(len(data), last), self._ledger.leads_to
        row = row_of(command)
        phase = self._check_order(command, row)
        if last and self.lmtp and (self._ledger.entries or not self._recipients):
            text = "the accepted recipients are not known; wait for the replies to RCPT"
            raise LocalProtocolError(text, command="BDAT")
        check_octets(data, self._parameters)
        if self._parameters.body is not Body.BINARY_MIME:
            if before is Phase.RCPT:  # this is the first chunk
                self._text_checker = CanonicalText()
            self._text_checker.check(data, last=last)
        recipients = self._recipients if last and self.lmtp else None
        return self._ledger.append(command, row, phase, (command.line, data), recipients)

    def send_body(self, data: bytes, *, lines: bool = False) -> None:
        """Send a slice of content after 354. Its lines end with CRLF; dots are stuffed here.

        Raises LocalProtocolError for a bare CR or LF, and for octets above 127 unless MAIL had
        BODY=8BITMIME or SMTPUTF8 (RFC 5321 2.4). *lines* says that the caller has made the lines,
        so that CR and LF need no check, and that *data* does not end between CR and LF.
        """
        self._check_phase(Phase.BODY)
        check_octets(data, self._parameters)
        self._ledger.queue(self._dots.encode(data, lines=lines))

    def end_body(self) -> tuple[Sent, ...]:
        """Send the final dot. Return the entries that its replies will name: one, or in LMTP one
        for each accepted recipient (RFC 2033 4.2)."""
        self._check_phase(Phase.BODY)
        octets, recipients = (self._dots.finish(),), self._recipients if self.lmtp else None
        return self._ledger.append(Step.BODY_END, "BODY_END", Phase.READY, octets, recipients)

    def respond(self, response: Secret | None) -> Sent:
        """Send the next response of a SASL exchange after 334; None cancels it (RFC 4954 4)."""
        self._check_phase(Phase.AUTH)
        line = b"*" if response is None else encode_base64(response.reveal())
        octets = (line, b"\r\n")
        (sent,) = self._ledger.append(Step.AUTH_RESPONSE, "AUTH_RESPONSE", Phase.READY, octets)
        return sent

    def tls_started(self) -> None:
        """Forget the session after the TLS handshake, as RFC 3207 4.2 requires."""
        if self.phase is not Phase.TLS:
            raise LocalProtocolError("STARTTLS has no 220 reply yet")
        self.secure, self.authenticated = True, False
        self.phase, self.extensions = Phase.START, _NOTHING_OFFERED
        self._ledger.leads_to = Phase.START

    def _check_phase(self, phase: Phase) -> None:
        if self.phase is not phase or self._ledger.entries:
            raise LocalProtocolError(f"not allowed in the phase {self.phase.value!r}")

    def _check_order(self, command: Command, row: str) -> Phase:
        """Return the phase after success of *command* and all before it.

        Raises LocalProtocolError if *command* must not be sent now, and NotOffered if the server
        does not offer it.
        """
        before, verb = self._ledger.leads_to, command.verb
        cell = self.vocabulary.transitions.get((before, row))
        if verb not in self.vocabulary.verbs:
            text = "not a verb of this session"
        elif cell is None:
            text = f"no command is allowed in the phase {before.value!r}"
        elif isinstance(cell, Reply):
            text = f"out of order: {cell.text}"
        elif not self.ready:
            text = "wait for the outstanding replies first"
        elif verb == "AUTH" and self.authenticated:
            text = "already authenticated"
        else:
            keyword = self.vocabulary.verbs[verb].keyword
            if keyword is None or keyword in self.extensions.keywords:
                return cell
            raise NotOffered(f"the server does not offer {keyword}", command=verb)
        raise LocalProtocolError(text, command=verb)

    # -- effects of replies ------------------------------------------------------------------

    def _take(self, reply: Reply) -> None:
        """Match *reply* with the oldest entry, if that was sent before the reply began."""
        ledger, reader = self._ledger, self._reader
        entries = ledger.entries
        if not entries or entries[0].end > reader.sent_before:
            self._stop(reply)
            return
        sent = entries.popleft()
        ledger.in_flight -= sent.octets
        reader.sent_before = ledger.taken
        if 300 <= reply.code < 400 or sent.row == "DATA":  # no other reply is of the wrong kind
            content = not self.lmtp or bool(self._recipients)
            if not code_fits(sent.row, reply.code, content=content):
                text = "a reply whose code does not fit the command"
                raise RemoteProtocolError(text, command=str(sent), reply=reply)
        phase = Phase.CLOSED if reply.code == 421 else self._phase_after(sent, reply)
        self.phase = phase
        if phase is not sent.leads_to:
            ledger.redirect(phase)
        sent.reply = reply
        if reader.used:
            sent.leniencies = tuple(reader.used)
            reader.used.clear()
        self._answered.append(sent)

    def _stop(self, last: Reply | RemoteProtocolError) -> None:
        """Read nothing more; *last* is a reply that answers nothing, or an error."""
        self._last, self._ended = last, True
        self._reader.clear()

    def _end_session(self, last: Reply | RemoteProtocolError) -> Unsolicited:
        """Close the session. Raise the error that ended it, or return the 421 that did."""
        self._last = None
        self._close()
        if isinstance(last, RemoteProtocolError):
            raise last
        if last.code == 421:
            return Unsolicited(last)
        text = "a reply that answers no command"
        if self._ledger.entries:
            text = "a reply that came before the command it would answer"
        raise RemoteProtocolError(text, reply=last)

    def _close(self) -> None:
        self.phase = self._ledger.leads_to = Phase.CLOSED
        self._reader.clear()

    def _phase_after(self, sent: Entry, reply: Reply) -> Phase:
        """Apply the effects of *reply* to *sent*; return the phase that it leads to."""
        accepted = reply.code < 400
        match sent.row:
            case "RCPT":
                if accepted and self.lmtp:
                    self._recipients.append(sent.what.path)  # type: ignore[union-attr]
            case "MAIL":  # the transaction before it has all its replies
                self._recipients = []
                if accepted:  # also after a failed chunk, if MAIL was pipelined
                    return Phase.MAIL
            case "DATA" if accepted:  # even if no recipient was accepted
                self._dots = DotWriter()
                return Phase.BODY
            case "GREETING" if accepted:
                return Phase.START
            case "BDAT LAST" if accepted or self.lmtp:  # also after a refused chunk
                return Phase.READY
            case "AUTH" | "AUTH_RESPONSE":
                self.authenticated = reply.code < 300
                return Phase.AUTH if 300 <= reply.code < 400 else Phase.READY
            case "EHLO" | "LHLO" | "HELO" | "XCLIENT" | "STARTTLS" if accepted:
                self._apply_success(sent, reply)
        return sent.leads_to if accepted else _AFTER_REFUSAL.get(sent.row, self.phase)

    def _apply_success(self, sent: Entry, reply: Reply) -> None:
        """Apply the effects of success on the session, besides those on the phase."""
        what: Any = sent.what
        match sent.row:
            case "EHLO" | "LHLO":
                ignored, tolerate = self.settings.ignore_extensions, self._reader.tolerate
                self.extensions = read_offer(reply, tolerate, self.secure, ignored)
            case "HELO":
                self.extensions = _NOTHING_OFFERED
            case "XCLIENT":
                self.authenticated = isinstance(what.attributes.login, str)
                self.extensions = _NOTHING_OFFERED
            case "STARTTLS" if self._reader.has_unread:
                error = RemoteProtocolError(
                    "octets in clear after 220 to STARTTLS; an attacker may be injecting them",
                    command="STARTTLS",
                    reply=reply,
                    check="the network between this client and the server",
                )
                error.fault = "starttls-injection"
                raise error
