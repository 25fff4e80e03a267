"""The client's ledger: everything that was sent and has no reply yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache

from attrs import define

from ..client_events import Sent, Step
from ..grammar.address import ForwardPath
from ..grammar.command import Command
from .phases import Phase
from .verbs import Vocabulary


@cache
def _rules_of(vocabulary: Vocabulary) -> Mapping[str, tuple[bool, str]]:
    """Return for each verb and step whether other commands may follow it in a pipelined group (RFC
    2920 3.1), and the field of Timeouts for the wait for its reply.

    In LMTP nothing follows a chunk: how many replies the last one has is known after the replies
    before it (RFC 2033 4.3).
    """
    verbs = vocabulary.verbs.items()
    rules = {name: (verb.grouped, verb.timeout) for name, verb in verbs}
    rules |= {"GREETING": (False, "greeting"), "AUTH_RESPONSE": (False, "auth")}
    rules |= {"BODY_END": (True, "final"), "BDAT LAST": (not vocabulary.lmtp, "final")}
    return rules | {"BDAT": (not vocabulary.lmtp, "block")}


@define(eq=False, kw_only=True, repr=False)
class Entry(Sent):
    """What the machine knows about something that awaits a reply."""

    row: str
    """Its row in the phase table, or the name of its step."""
    leads_to: Phase
    """The phase if this and everything before it succeeds."""
    end: int
    """The octets queued for the server up to the end of this one."""
    grouped: bool
    """Whether other commands may follow it in a pipelined group (RFC 2920 3.1)."""
    timeout: str
    """The field of :class:`~smtpproto.limits.Timeouts` for the wait for its reply."""


class Ledger:
    """What awaits a reply, oldest first, and the octets that are queued for the server.

    A reply answers the oldest entry, but only if its first octet arrived after the entry was
    completely taken to be sent: a server cannot answer a question that it does not have yet.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Begin with the greeting, which connecting asks for."""
        self._next_phase = vocabulary.next_phase
        self.output: list[bytes] = []
        self.taken: int = 0
        """How many octets the caller has taken to send them."""
        self._queued = 0  # octets ever put into the output
        self.in_flight: int = 0
        self._rules = _rules_of(vocabulary)
        self.entries: deque[Entry] = deque()
        self.leads_to: Phase
        """The phase if everything in flight succeeds."""
        self.append(Step.GREETING, "GREETING", Phase.GREETING, (b"",))

    def queue(self, octets: bytes) -> None:
        """Put *octets* into the output."""
        self.output.append(octets)
        self._queued += len(octets)

    def append(
        self,
        what: Command | Step,
        row: str,
        phase: Phase,
        octets: tuple[bytes, ...],
        recipients: Sequence[ForwardPath] | None = None,
    ) -> tuple[Entry, ...]:
        """Queue *octets*, a line and perhaps content, and add *what*, which leads to *phase*. In
        LMTP, the end of a message has a reply, and so an entry, for each of *recipients*; None is
        one reply for all."""
        self.output += octets
        self._queued += sum(map(len, octets))
        size = len(octets[0]) if recipients is None else 0
        grouped, timeout = self._rules[row]
        added: list[Entry] = []  # a tuple would be copied for each recipient
        for recipient in (None,) if recipients is None else recipients:
            added += [
                Entry(
                    what, size, recipient,
                    row=row, leads_to=phase, end=self._queued, grouped=grouped, timeout=timeout,
                )
            ]  # fmt: skip
        self.in_flight += size
        self.entries += added
        self.leads_to = phase
        return tuple(added)

    def redirect(self, phase: Phase) -> None:
        """Note that a reply has led to *phase*, which was not expected.

        From the first entry that leads where it led before, all others do, too. So the whole ledger
        is walked only for a reply that changes what the commands after it can do, like the refusal
        of MAIL, and not for each refused recipient.
        """
        for entry in self.entries:
            phase = self._next_phase.get((phase, entry.row), phase)
            if entry.leads_to is phase:
                return
            entry.leads_to = phase
        self.leads_to = phase
