"""The server's side of SMTP and LMTP, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

from .. import events
from ..errors import GrammarError, LocalProtocolError
from ..events import ANSWERED_BY_MACHINE, NOT_QUESTIONS, Question, ServerEvent
from ..grammar.command_line import read_verb
from ..grammar.extension import LONGEST_LINE
from ..grammar.extension_command import Auth, Bdat, ChunkError, StartTLS
from ..grammar.reply import Reply
from ..grammar.xtext import encode_base64
from ..option_types import require_type
from ..wire.lines import OVERLONG, LineReader
from . import command_lines, server_replies
from .phases import COLUMNS, Phase
from .reply_format import error_reply, format_reply, in_allowed_characters, name_of
from .server_rules import (
    RULES,
    check,
    check_answer,
    check_injection,
    default_reply,
    strip_untrusted,
)
from .server_state import AFTER_ACCEPTING, ServerState
from .settings import settings_of
from .terms import MachineOptions, ServerSettings, Terms, check_order, terms_of
from .transaction import NO_TRANSACTION, IncomingContent, Transaction


class ServerProtocol(ServerState):
    """One connection, seen from the server.

    Pass what the client sends to :meth:`receive`, take events from :meth:`next_event` until it
    returns None, then write to the client what :meth:`data_to_send` returns. Most events are
    questions: the next event comes only after :meth:`answer`, because the answer decides how the
    next octets are read. The machine itself answers what needs no decision, and reports what it
    refuses as :class:`~.events.Rejected`.

    The options are those of :class:`~.terms.ServerSettings`; connections that share one pass it
    as *settings* instead. *starttls*: offer STARTTLS. *secure*: TLS is active from the start.
    *mechanisms*: those to offer for AUTH; without TLS only with the option *auth_in_clear*.
    *offering*: keywords with their parameters, to offer on this connection besides those of the
    option *extensions*.
    Raises ValueError if these contradict each other or an RFC.
    """

    __slots__ = ("_ended", "_lines", "_output", "_queued_event", "question")

    # Attributes of the base class that are set here too, for type checkers that infer nothing.
    after_refused_login: bool
    phase: Phase
    replies_due: int
    transaction: Transaction

    def __init__(
        self,
        settings: ServerSettings | None = None,
        *,
        starttls: bool = False,
        secure: bool = False,
        mechanisms: tuple[str, ...] = (),
        offering: tuple[tuple[str, str | None], ...] = (),
        **options: Unpack[MachineOptions],
    ) -> None:
        standing: dict[str, Any] = {"starttls": starttls, "secure": secure}
        standing |= {"mechanisms": mechanisms, "offering": offering}
        made = settings_of(ServerSettings, settings, options, *standing)
        shared = made is settings  # and so their arguments were checked
        terms = terms_of(made, standing) if shared else Terms(settings=made, **standing)
        super().__init__(terms)
        self.question: Question | None = None
        """The event that waits for :meth:`answer`."""
        self._lines = LineReader(self.buffer)
        self._queued_event: ServerEvent | None = None
        self._output = bytearray()
        self._ended = False

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the client's next event (RFC 5321 4.5.3.2.7), or None."""
        times = self.settings.timeouts
        return times.tls if self.phase is Phase.TLS else times.command

    # -- octets in, events out, octets out ---------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the client; b"" is the end of the connection.

        Raises LocalProtocolError between the 220 to STARTTLS and :meth:`tls_started`.
        """
        if type(data) is not bytes:
            require_type("data", data, bytes | bytearray | memoryview, "octets")
            data = bytes(data)
        if not data:
            self._ended = True
        elif self.phase is Phase.TLS:
            raise LocalProtocolError("octets that arrive during the handshake belong to TLS")
        elif self.phase is not Phase.CLOSED:  # after the end nothing reads them
            buffer = self.buffer
            buffer.data, buffer.at = buffer.data[buffer.at :] + data, 0  # as Buffer.feed does

    def next_event(self) -> ServerEvent | None:
        """Return the next event, or None if more octets are needed or the session is over.

        Raises LocalProtocolError while a question is open.
        """
        if self.question is not None:
            raise LocalProtocolError(f"answer {type(self.question).__name__} first")
        event = self._queued_event
        if event is not None:
            self._queued_event = None
        elif self.phase in _READERS:
            event = _READERS[self.phase](self)
        if event is None:
            if not self._ended or self.phase is Phase.CLOSED:
                return None
            self.phase, event = Phase.CLOSED, events.Disconnected()
        if type(event) in ANSWERED_BY_MACHINE:
            self.question = event  # type: ignore[assignment]
            self.answer()
        elif type(event) not in NOT_QUESTIONS:
            self.question = event  # type: ignore[assignment]
        return event

    def data_to_send(self) -> bytes:
        """Return the octets for the client that have gathered since the last call."""
        data, self._output = bytes(self._output), bytearray()
        return data

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
        kind, known = type(question), self.terms.default_octets
        if question is None or reply is not None or kind not in known:
            self._answer_in_full(question, reply)
            return
        self._output += known[kind]
        self.question = None
        if kind in AFTER_ACCEPTING:
            AFTER_ACCEPTING[kind](self, question)

    def _answer_in_full(self, question: Question | None, given: Reply | None) -> None:
        """Answer with a reply that is not known in advance."""
        if question is None:
            raise LocalProtocolError("no question is open")
        reply = default_reply(self.terms, question) if given is None else given
        check_answer(self.terms, question, reply)
        if type(question) is StartTLS and reply.positive:
            reply = check_injection(self, question) or reply
        reply = self.budget.count_answer(question, reply)
        octets = b""
        if type(question) is not Bdat or reply.code == 421:
            octets = self._send(reply, question)
        if type(question) is events.BodyEnd and self._more_replies_due(reply):
            return
        self.question = None
        if not reply.positive:
            self._close(self._refuse(question, reply))
        elif reply.code == 334:
            self.phase = Phase.AUTH
        else:
            if given is None and self._is_usual(question):
                self.terms.default_octets[type(question)] = octets
            if type(question) in AFTER_ACCEPTING:
                AFTER_ACCEPTING[type(question)](self, question)

    def _is_usual(self, question: Question) -> bool:
        """Return whether the default reply always is the same, and has the same effect."""
        several = type(question) is events.BodyEnd and self.settings.lmtp
        return not several and type(question) not in (Auth, events.AuthResponse, StartTLS)

    def _more_replies_due(self, reply: Reply) -> bool:
        """Return whether LMTP needs more replies to the message; none follows a 421."""
        self.replies_due = 0 if reply.code == 421 else max(self.replies_due - 1, 0)
        if self.replies_due and reply.positive:
            self.budget.reset()
        return self.replies_due > 0

    def challenge(self, data: bytes, *, refused: bool = False) -> None:
        """Answer Auth or AuthResponse with 334 and a SASL challenge (RFC 4954 4). *refused*: the
        challenge says why the login failed (RFC 7628 3.2.2); it counts as failed even if the client
        cancels."""
        self.answer(Reply(334, None, encode_base64(data).decode()))
        self.login_is_refused = refused

    def hang_up(self, reply: Reply) -> None:
        """Send *reply*, a 421, and end the session (RFC 5321 3.8). An open question is dropped."""
        self.question = self._queued_event = None
        self._send(reply)
        self.phase = Phase.CLOSED

    def _close(self, closing: Reply | None) -> None:
        if closing is not None and self.phase is not Phase.CLOSED:
            self.hang_up(closing)

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
        self._restart(secure=True, authenticated=False, mechanisms=kept, no_service=refusal)

    def _send(self, reply: Reply, to: Question | None = None, *, verb: str = "") -> bytes:
        """Queue *reply* to the question *to*, or to a refused line with *verb*; return its
        octets."""
        verb = verb if to is None else name_of(to)
        reply = in_allowed_characters(reply, to, utf8=self.transaction.utf8)
        octets = bytes(format_reply(self.terms, reply, verb))
        self._output += octets
        return octets

    # -- reading commands --------------------------------------------------------------------

    def _read_command(self) -> ServerEvent | None:
        """Return the next command. Most have the usual form and are as expected, which takes few
        steps; whatever else there may be about a line, :meth:`_read_line` finds out."""
        buffer = self.buffer
        begin = buffer.data[buffer.at : buffer.at + 4]
        if not begin:
            return None
        expected = self.terms.expected[self.phase]
        if begin not in expected or not self._lines.fresh:
            return self._read_line()
        verb, form = expected[begin]
        match, kind = form.line.match(buffer.data, buffer.at), verb.command
        if match is None or (verb.junk and self.budget.junk_is_spent):
            return self._read_line()
        command, at, buffer.at = form.make(match), buffer.at, match.end()
        if kind in RULES and RULES[kind](self, command) is not None:
            buffer.at = at
            return self._read_line()
        if verb.junk:
            self.budget.count_junk()
        self.after_refused_login = False
        return command

    def _read_line(self) -> ServerEvent | None:
        """Return the next command, or its refusal, after all checks."""
        lines, terms = self._lines, self.terms
        begins = self.phase is Phase.START and lines.fresh
        if begins and command_lines.is_binary(self.buffer.peek(1)):
            # A binary protocol may never send the end of a line.
            return self._reject("", server_replies.NOT_SMTP)
        line = lines.read(max(terms.settings.limits.auth_line, LONGEST_LINE))  # by verb below
        if line is None:
            return None
        if line is OVERLONG or command_lines.is_too_long(terms, line):
            beginning = lines.beginning if line is OVERLONG else line
            return self._reject_line(beginning, "", server_replies.LINE_TOO_LONG)
        try:
            verb = read_verb(line, terms.vocabulary.commands)
            refusal = check_order(terms, self.phase, verb)
            if refusal is not None and verb != "BDAT":
                return self._reject(command_lines.redact(self, line), refusal)
            command, tolerated = command_lines.read_negotiated(terms, verb, line)
        except GrammarError as error:
            if not isinstance(error, ChunkError) or error.size is None:
                return self._reject_line(line, command_lines.redact(self, line), error_reply(error))
            command, refusal = Bdat(error.size), error_reply(error)
        else:
            refusal = refusal or check(self, command)
            if refusal is None:
                self.after_refused_login = False
                return self._after_report(tolerated, line, strip_untrusted(terms, command))
        if not isinstance(command, Bdat):
            return self._reject(command_lines.redact(self, line), refusal)
        self._begin_chunk(command, refusal, command_lines.redact(self, line))
        return self._read_content()

    def _reject_line(self, line: bytes, shown: str, reply: Reply) -> events.Rejected:
        """Refuse a line that is not a command, with 421 if it belongs to another protocol. End the
        session if it is a BDAT: it is unknown where the next command begins."""
        if command_lines.is_foreign(self.terms, self.phase, line):
            reply = server_replies.NOT_SMTP
        rejected = self._reject(shown, reply)
        if line[:4].upper() == b"BDAT":
            self._close(server_replies.UNKNOWN_CHUNK_SIZE)
        return rejected

    def _after_report(self, used: tuple[str, ...], line: bytes, event: ServerEvent) -> ServerEvent:
        """Return *event*, or before it a report of the leniencies *used* for *line*, if any."""
        if not used:
            return event
        self._queued_event = event
        return events.Tolerated(used, command_lines.redact(self, line))

    def _reject(self, line: str, reply: Reply, *, times: int = 1) -> events.Rejected:
        verb = line.partition(" ")[0].upper()
        reply = self.budget.count_refused(verb, reply)
        if reply.code == 421:
            self.hang_up(reply)
        else:
            for _ in range(times):
                self._send(reply, verb=verb)
        return events.Rejected(line, reply)

    def _read_auth_response(self) -> ServerEvent | None:
        line = self._lines.read(self.settings.limits.auth_line)
        if line is None:
            return None
        response = command_lines.read_auth_response(line)
        if isinstance(response, events.AuthResponse):
            return response
        rejected = self._reject("***", response)
        if self.phase is not Phase.CLOSED:
            self._close(self._end_login(failed=self.login_is_refused))
        return rejected

    # -- reading content ---------------------------------------------------------------------

    def _read_content(self) -> ServerEvent | None:
        """Return content as it arrives. Once it is refused, discard the rest up to its end. The
        octets of a chunk are never searched for lines (RFC 3030 2)."""
        content = self.content
        assert content is not None
        if not content.done and (piece := content.read()):
            return events.BodyChunk(piece)
        if not content.done:
            return None
        if (refusal := content.refusal) is not None:
            return self._reject_content(content, refusal)
        if content.bdat is not None and not content.bdat.last:
            return events.ChunkEnd(content.bdat.size)
        if self.terms.settings.lmtp:
            self.replies_due = len(self.transaction.rcpts)
        end, used = events.BodyEnd(self.transaction.size), content.tolerated
        return self._after_report(used, b"", end) if used else end

    def _reject_content(self, content: IncomingContent, reply: Reply) -> events.Rejected:
        """Refuse a message whose end was read, or a chunk that was refused at BDAT."""
        if content.bdat is None:
            rejected = self._reject_message(reply)
        else:
            rejected = self._reject_chunk(content, content.bdat, reply)
        self._close(self.budget.closing)
        return rejected

    def _reject_message(self, reply: Reply) -> events.Rejected:
        """Refuse a message; in LMTP with one reply for each recipient."""
        times = len(self.transaction.rcpts) if self.settings.lmtp else 1
        self._reset(Phase.READY)
        self.budget.count_refused_message()
        for _ in range(times):
            self._send(reply)
        return events.Rejected("", reply)

    def _reject_chunk(self, content: IncomingContent, bdat: Bdat, reply: Reply) -> events.Rejected:
        """Refuse a chunk after its octets. An open transaction fails with it."""
        if content.before in (Phase.MAIL, Phase.RCPT, Phase.CHUNKS):
            self._fail_transaction()
        else:
            self.phase = content.before
        times = 1
        if bdat.last:
            times, self.transaction = self.transaction.last_chunk_replies, NO_TRANSACTION
        return self._reject(content.line, reply, times=times)


_READERS: Mapping[Phase, Callable[[ServerProtocol], ServerEvent | None]] = {
    Phase.GREETING: lambda machine: events.Connected(early_talk=bool(machine.buffer)),
    **dict.fromkeys(COLUMNS, ServerProtocol._read_command),
    Phase.BODY: ServerProtocol._read_content,
    Phase.CHUNK: ServerProtocol._read_content,
    Phase.AUTH: ServerProtocol._read_auth_response,
}
