"""The options and the state of a server machine, which its rules read."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, setters

from ..grammar.domain import Host, to_ascii_host
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..limits import Leniencies, Limits, Timeouts
from ..wire.buffer import Buffer
from .budget import Budget
from .phases import Phase
from .transaction import Transaction
from .verbs import Verb, Vocabulary, own_verbs


@define(eq=False, kw_only=True, on_setattr=setters.NO_OP)
class ServerState:
    """Options and state of :class:`~.server.ServerProtocol`, which documents the options."""

    hostname: Host = field(converter=to_ascii_host)
    lmtp: bool = False
    submission: bool = False
    starttls: bool = False
    secure: bool = False
    mechanisms: tuple[str, ...] = ()
    auth_in_clear: bool = False
    require_tls: bool = False
    require_auth: bool = False
    extensions: Mapping[str, str | None] = field(factory=dict)
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)

    phase: Phase = field(default=Phase.GREETING, init=False)
    authenticated: bool = field(default=False, init=False)
    offered: Extensions = field(init=False)
    """The offer for the next EHLO."""
    negotiated: Extensions = field(factory=Extensions, init=False)
    """The offer in the reply to the last EHLO; empty after HELO."""
    transaction: Transaction = field(factory=Transaction, init=False)
    transactions: int = field(default=0, init=False)
    """MAIL commands accepted so far."""
    vocabulary: Vocabulary = field(init=False)
    no_service: Reply | None = field(default=None, init=False)
    """The reply to every command but QUIT, if :meth:`tls_started` got a refusal."""

    _buffer: Buffer = field(factory=Buffer, init=False)
    _budget: Budget = field(init=False)

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
