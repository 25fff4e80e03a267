"""What a client may do without getting a message accepted: the limits on errors and junk."""

from __future__ import annotations

from attrs import define, field

from ..events import AuthResponse, BodyEnd, Connected, Question
from ..grammar.command import Rcpt
from ..grammar.extension_command import Auth, Bdat
from ..grammar.reply import Reply
from ..limits import REFUSED_RECIPIENTS, Limits
from . import server_replies


@define(eq=False)
class Budget:
    """Counts what a client did since the connection began, or since its last accepted message.

    When the client exceeds a limit, the reply is 421.
    """

    _limits: Limits
    accepted: int = field(default=0, init=False)
    """The messages that were accepted so far; in LMTP, the recipients for whom one was."""
    transactions: int = field(default=0, init=False)
    """The MAIL commands that were accepted so far."""
    _failed_logins: int = field(default=0, init=False)
    _errors: int = field(default=0, init=False)
    _refused_recipients: int = field(default=0, init=False)
    _junk_commands: int = field(default=0, init=False)
    _discarded: int = field(default=0, init=False)
    _judged: BodyEnd | None = field(default=None, init=False)  # the message that counted last

    def reset(self) -> None:
        """Begin anew: a message was accepted, in LMTP for one recipient."""
        self.accepted += 1
        self._errors = self._refused_recipients = self._junk_commands = self._discarded = 0

    @property
    def closing(self) -> Reply | None:
        """The 421 with which the connection must end now, or None."""
        if self._errors > self._limits.errors:
            return server_replies.TOO_MANY_ERRORS
        too_much = self._discarded > self._limits.discarded_content
        return server_replies.TOO_MUCH_CONTENT if too_much else None

    def count_answer(self, question: Question, reply: Reply) -> Reply:
        """Count the application's answer to *question*; return the reply to send."""
        kind, positive = type(question), reply.positive
        if isinstance(question, BodyEnd):
            if not positive and question is not self._judged:  # in LMTP it has several replies
                self.count_refused_message()
            self._judged = question
            return reply
        # A refused chunk is counted after its octets, a failed login by limits.failed_logins.
        failed_login = kind in (Auth, AuthResponse) and reply.permanent
        if positive or failed_login or kind in (Connected, Bdat):
            return reply
        return self.count_refused("RCPT" if kind is Rcpt else "", reply)

    def count_refused_message(self) -> None:
        """Count a refused message. The client must learn why: see :attr:`closing` after that."""
        self._errors += 1

    def count_refused(self, verb: str, reply: Reply) -> Reply:
        """Count a command or message that *reply* refuses; return the reply to send."""
        limits = self._limits
        if verb == "RCPT":
            self._refused_recipients += 1
            most = limits.refused_recipients
            if most is None:
                most = max(REFUSED_RECIPIENTS, limits.recipients)
            too_many = self._refused_recipients > most
        elif reply.code == 503:  # also of commands that were pipelined after a refused one
            return self.count_junk() or reply
        else:
            self._errors += 1
            too_many = self._errors > limits.errors
        return server_replies.TOO_MANY_ERRORS if too_many else reply

    def count_junk(self) -> Reply | None:
        """Count a command that brings no message nearer; return its refusal, if there were too
        many."""
        too_many = self.junk_is_spent
        self._junk_commands += 1
        return server_replies.TOO_MANY_COMMANDS if too_many else None

    def count_failed_login(self) -> Reply | None:
        """Count a failed login; return the 421 with which the connection must end, or None."""
        self._failed_logins += 1
        too_many = self._failed_logins >= self._limits.failed_logins
        return server_replies.TOO_MANY_LOGINS if too_many else None

    def count_discarded(self, octets: int) -> None:
        """Count refused content that was read: see :attr:`closing` after that."""
        self._discarded += octets

    @property
    def junk_is_spent(self) -> bool:
        """Whether one more command that brings no message nearer is one too many."""
        return self._junk_commands >= self._limits.junk_commands
