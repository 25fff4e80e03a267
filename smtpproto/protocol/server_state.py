"""The options and the state of a server machine, which its rules read."""

from __future__ import annotations

from attrs import define, field, setters

from ..grammar.envelope import Envelope
from ..wire.buffer import Buffer
from .budget import Budget
from .phases import Phase
from .settings import ServerSettings
from .terms import Terms
from .transaction import Transaction


@define(eq=False, on_setattr=setters.NO_OP)
class ServerState:
    """Options and state of :class:`~.server.ServerProtocol`, which documents the options."""

    terms: Terms
    """What the server offers this connection now."""

    phase: Phase = field(default=Phase.GREETING, init=False)
    transaction: Transaction = field(factory=Transaction, init=False)
    transactions: int = field(default=0, init=False)
    """MAIL commands accepted so far."""
    _buffer: Buffer = field(factory=Buffer, init=False)
    _budget: Budget = field(init=False)

    @property
    def settings(self) -> ServerSettings:
        """The options of the server."""
        return self.terms.settings

    @property
    def envelope(self) -> Envelope:
        """The accepted sender and recipients of the open transaction."""
        return self.transaction.envelope

    @property
    def accepted_messages(self) -> int:
        """The messages accepted so far; in LMTP, each counts once for each accepting reply."""
        return self._budget.accepted

    @property
    def in_message(self) -> bool:
        """Whether content has begun to arrive and has not ended."""
        return self.phase in (Phase.BODY, Phase.CHUNK, Phase.CHUNKS)

    @property
    def has_unread_input(self) -> bool:
        """Whether octets have arrived that were not read yet."""
        return bool(self._buffer)
