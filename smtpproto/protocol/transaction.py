"""A mail transaction on a server (RFC 5321 3.3): sender, recipients, and incoming content."""

from __future__ import annotations

from attrs import define, field

from ..grammar.address import ReversePath
from ..grammar.command import NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS, Mail, Rcpt
from ..grammar.envelope import Envelope
from ..grammar.extension_command import Bdat
from ..grammar.reply import Reply
from ..limits import Tolerance
from ..option_types import maker
from ..wire.chunks import ChunkReader
from ..wire.dots import DotReader
from . import server_replies
from .budget import Budget
from .phases import Phase
from .terms import ServerSettings


@define(eq=False)
class Transaction:
    """The commands accepted since MAIL; *mail* is None while no transaction is open."""

    mail: Mail | None = None
    rcpts: list[Rcpt] = field(factory=list)
    size: int = 0
    """Octets of content read."""
    last_chunk_replies: int = 1
    """How many replies BDAT LAST has after a refused chunk; in LMTP one for each recipient."""

    @property
    def utf8(self) -> bool:
        """Whether MAIL had SMTPUTF8."""
        return self.mail is not None and self.mail.parameters.smtputf8

    @property
    def envelope(self) -> Envelope:
        """The accepted sender and recipients, with their parameters. Unlike one that a program
        makes, it may have no recipients yet."""
        if self.mail is None:
            return _make_envelope(ReversePath(), (), NO_MAIL_PARAMETERS, {})
        paths = tuple([rcpt.path for rcpt in self.rcpts])
        parameters = {}
        for rcpt in self.rcpts:
            if rcpt.parameters is not NO_RCPT_PARAMETERS and rcpt.parameters.parameters():
                parameters[rcpt.path] = rcpt.parameters
        return _make_envelope(self.mail.path, paths, self.mail.parameters, parameters)


_make_envelope = maker(Envelope, "sender", "recipients", "parameters", "rcpt_parameters")


NO_TRANSACTION = Transaction()
"""Stands for none. All connections share it; it is never changed."""


class IncomingContent:
    """Reads the content after DATA or the octets after BDAT from *source*, up to their end.

    It counts what it passes on in *transaction*. From the first octet beyond the limit, or with a
    bare CR or LF in DATA, it discards the rest, as far as *budget* allows. With *refusal*, which
    was decided at BDAT, it discards all.
    """

    __slots__ = (
        "_budget", "_dots", "_limit", "_reports_bare", "_source", "_transaction",
        "bdat", "before", "done", "line", "refusal",
    )  # fmt: skip

    def __init__(
        self,
        source: DotReader | ChunkReader,
        transaction: Transaction,
        budget: Budget,
        settings: ServerSettings,
        refusal: Reply | None = None,
    ) -> None:
        self._source, self._dots = source, source if type(source) is DotReader else None
        self._transaction, self._budget = transaction, budget
        self._limit = settings.limits.message_size
        self._reports_bare = settings.leniencies.bare_cr_or_lf is Tolerance.REPORT
        self.refusal: Reply | None = refusal
        """Why the content is discarded, or None."""
        self.bdat: Bdat | None = None
        """The command whose octets these are."""
        self.before: Phase = Phase.READY
        """The phase before BDAT."""
        self.line: str = ""
        """The line of a BDAT that was refused, redacted."""
        self.done: bool = False
        """Whether the end was read, or will not be read."""

    @property
    def tolerated(self) -> tuple[str, ...]:
        """The leniencies that the content needed and that are to be reported."""
        bare = self._reports_bare and self._dots is not None and self._dots.bare
        return ("bare_cr_or_lf",) if bare else ()

    def read(self) -> bytes:
        """Return the next slice to pass on, at most 128 KiB; b"" at the end, or if more octets must
        arrive."""
        dots, transaction = self._dots, self._transaction
        while not self.done and (piece := self._source.read()):
            if dots is not None or self.refusal is None:  # not a chunk that was refused
                transaction.size += len(piece)
            if dots is not None and dots.bare and dots.refused:
                self.refusal = server_replies.BARE_CR_OR_LF
            if self._limit is not None and transaction.size > self._limit:
                self.refusal = server_replies.TOO_BIG
            if self.refusal is None:
                self.done = self._source.done
                return piece
            self._budget.count_discarded(len(piece))
            self.done = self._budget.closing is not None
        self.done = self.done or self._source.done
        return b""
