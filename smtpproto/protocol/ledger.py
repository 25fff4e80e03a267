"""The client's ledger: everything that was sent and has no reply yet, oldest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from attrs import define

from ..events import Sent, Step
from ..grammar.command import Command
from .phases import Phase


@define(eq=False)
class _Entry:
    sent: Sent
    phase: Phase  # if this and everything before it succeeds
    end: int  # the octets queued for the server up to the end of this one
    asked_at: float  # the octets that had arrived from the server when this was sent


class Ledger:
    """What awaits a reply, and the phase that each of these leads to.

    A reply answers the oldest entry, but only if its first octet arrived after the entry was
    completely sent: a server cannot answer a question that it does not have yet.
    """

    def __init__(self) -> None:
        """Begin with the greeting, which connecting asks for."""
        greeting = _Entry(Sent(Step.GREETING), Phase.GREETING, end=0, asked_at=0)
        self._entries = deque([greeting])
        self._unsent: deque[_Entry] = deque()
        self.in_flight: int = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def sent(self) -> tuple[Sent, ...]:
        """All entries, oldest first."""
        return tuple(entry.sent for entry in self._entries)

    @property
    def oldest(self) -> Sent:
        """The entry that the next reply answers."""
        return self._entries[0].sent

    @property
    def newest(self) -> Sent:
        """The last entry."""
        return self._entries[-1].sent

    def append(self, sent: Sent, phase: Phase, *, end: int, received: int) -> None:
        """Add *sent*, which leads to *phase*; its end is the queued octet number *end*. So far,
        *received* octets have arrived from the server."""
        entry = _Entry(sent, phase, end, received)
        self._entries.append(entry)
        self._unsent.append(entry)
        self.in_flight += sent.octets

    def note_sent(self, count: int, received: int) -> None:
        """Note that the caller has taken *count* of the queued octets to send them, when *received*
        octets had arrived."""
        while self._unsent and self._unsent[0].end <= count:
            self._unsent.popleft().asked_at = received
        if self._unsent:  # its end was kept back, so nothing that arrives until then answers it
            self._unsent[0].asked_at = inf

    def take_answered(self, begin: int) -> Sent | None:
        """Remove and return the entry that a reply answers whose first octet arrived as number
        *begin*, counted from 0. Return None if the reply answers none."""
        if not self._entries or begin < self._entries[0].asked_at:
            return None
        entry = self._entries.popleft()
        if self._unsent and self._unsent[0] is entry:
            self._unsent.popleft()
        self.in_flight -= entry.sent.octets
        return entry.sent

    def expected_phase(self, phase: Phase) -> Phase:
        """Return the phase after success of everything here; *phase* is the one now."""
        return self._entries[-1].phase if self._entries else phase

    def follow(self, phase: Phase, after: Callable[[Phase, Command | Step], Phase]) -> None:
        """Note that a reply has led to *phase*: *after* returns the phase after each entry.

        From the first entry that leads where it led before, all others do, too. So the whole ledger
        is walked only for a reply that changes what the commands after it can do, like the refusal
        of MAIL, and not for each refused recipient.
        """
        for entry in self._entries:
            phase = after(phase, entry.sent.what)
            if entry.phase is phase:
                return
            entry.phase = phase
