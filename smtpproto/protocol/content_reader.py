"""The content of a message on its way through a server machine: passed on, or discarded."""

from __future__ import annotations

from attrs import define

from ..grammar.reply import Reply
from ..limits import Tolerance
from ..wire.buffer import Buffer
from ..wire.chunks import ChunkReader
from ..wire.dots import DotReader
from . import server_replies
from .budget import Budget
from .server_state import ServerState
from .transaction import Transaction


@define(eq=False)
class ContentReader:
    """Reads the content after DATA or the octets after BDAT from *_source*.

    It counts what it passes on in *_transaction*. From the first octet beyond *_limit*, or with a
    bare CR or LF in DATA, it discards the rest, as far as *_budget* allows.
    """

    _source: DotReader | ChunkReader
    _transaction: Transaction
    _limit: int | None
    _budget: Budget
    _refusal: Reply | None = None
    """Why the content is refused already, which was decided at BDAT."""
    _reports_bare: bool = False
    """Whether a bare CR or LF in DATA is to be reported."""

    @property
    def done(self) -> bool:
        """Whether the end of the content was read, or will not be read."""
        return self._source.done or self._budget.closing is not None

    @property
    def refusal(self) -> Reply | None:
        """Why the content is discarded, or None."""
        if self._refusal is not None or isinstance(self._source, ChunkReader):
            return self._refusal
        if self._limit is not None and self._transaction.size > self._limit:
            return server_replies.TOO_BIG
        return server_replies.BARE_CR_OR_LF if self._source.refused else None

    @property
    def tolerated(self) -> tuple[str, ...]:
        """The leniencies that the content needed and that are to be reported."""
        bare = isinstance(self._source, DotReader) and self._source.bare
        return ("bare_cr_or_lf",) if bare and self._reports_bare else ()

    def read(self) -> bytes:
        """Return the next slice to pass on, at most 64 KiB; b"" at the end, or if more octets must
        arrive."""
        while self._budget.closing is None and (piece := self._source.read()):
            if self._refusal is None:
                self._transaction.size += len(piece)
            if self.refusal is None:
                return piece
            self._budget.count_discarded(len(piece))
        return b""


def read_dotted(server: ServerState, buffer: Buffer, budget: Budget) -> ContentReader:
    """Return a reader of the content that follows DATA in *buffer*."""
    tolerance = server.settings.leniencies.bare_cr_or_lf
    source = DotReader(buffer, normalize=tolerance is not Tolerance.REJECT)
    limit, reports = server.settings.limits.message_size, tolerance is Tolerance.REPORT
    return ContentReader(source, server.transaction, limit, budget, None, reports)


def read_counted(
    server: ServerState, buffer: Buffer, budget: Budget, size: int, refusal: Reply | None
) -> ContentReader:
    """Return a reader of the *size* octets that follow BDAT in *buffer*. With a *refusal* they are
    discarded."""
    source, limit = ChunkReader(buffer, size), server.settings.limits.message_size
    return ContentReader(source, server.transaction, limit, budget, refusal)
