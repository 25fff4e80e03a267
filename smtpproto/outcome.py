"""The outcome of sending a message, for each recipient."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from .grammar.address import ForwardPath
from .grammar.envelope import Envelope
from .grammar.reply import Reply

# Postfix "queued as 4F2A", Exim "id=1oX-..", Dovecot "<bob@b.test> xY0 Saved".
_QUEUE_ID = re.compile(
    r"(?:\bas|id=|queue-?id[ :=]+) *<?([\w.+-]{4,})|> ([\w.+/-]{4,}) Saved", re.IGNORECASE
)


@frozen(kw_only=True)
class Outcome:
    """The outcome of sending one message.

    Each recipient is in exactly one of *accepted*, *refused* and *unknown*.
    """

    envelope: Envelope
    accepted: Mapping[ForwardPath, Reply] = field(factory=dict)
    """The recipients for whom the server has accepted the message, each with the reply that
    accepted it. With LMTP each recipient has a reply of its own; otherwise all share one."""
    refused: Mapping[ForwardPath, Reply] = field(factory=dict)
    """The refused recipients, each with the reply that refused it: the one to its RCPT, or the one
    to MAIL, to DATA or to the message, which refuses all of them."""
    unknown: Mapping[ForwardPath, Reply] = field(factory=dict)
    """The recipients whose delivery cannot be determined, each with the reply to its RCPT. The
    connection was lost after the end of the message and before the reply: the server may have
    accepted the message, and to send it again may deliver it twice (RFC 5321 4.5.3.2.6)."""
    rcpt: Mapping[ForwardPath, Reply] = field(factory=dict)
    """The replies to RCPT that arrived."""
    reply: Reply | None = None
    """The last reply to the message itself, or to MAIL or DATA if that refused; None if none
    arrived."""

    @property
    def queue_ids(self) -> tuple[str, ...]:
        """The server's queue ids of the message, where the text of a reply shows one."""
        found = (_QUEUE_ID.search(reply.text) for reply in dict.fromkeys(self.accepted.values()))
        return tuple(dict.fromkeys(match[1] or match[2] for match in found if match))

    @property
    def retry(self) -> tuple[ForwardPath, ...]:
        """The recipients to try again later.

        These are the ones refused with 4yz; the ones whose RCPT got 552 while the server accepted
        others, because old servers send 552 for 452 (RFC 5321 4.5.3.1.10); and the *unknown* ones,
        who may get the message twice.
        """
        any_accepted = any(reply.positive for reply in self.rcpt.values())
        refused = [
            path
            for path, reply in self.refused.items()
            if reply.transient
            or (any_accepted and reply.code == 552 and self.rcpt.get(path) == reply)
        ]
        return (*refused, *self.unknown)

    def __or__(self, other: Outcome) -> Outcome:
        """Return the joint outcome of one message that was sent in several transactions."""
        return Outcome(
            envelope=self.envelope,
            accepted={**self.accepted, **other.accepted},
            refused={**self.refused, **other.refused},
            unknown={**self.unknown, **other.unknown},
            rcpt={**self.rcpt, **other.rcpt},
            reply=other.reply or self.reply,
        )
