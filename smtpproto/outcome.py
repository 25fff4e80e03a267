"""What became of a message that was sent."""

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
    """What became of a message, recipient by recipient. Each is in exactly one of the three.

    *accepted* maps to the reply with which the server took over the message for the recipient, the
    same one for all but in LMTP, which has one for each.
    *refused* maps to the reply that refused: to RCPT, or to MAIL, DATA or the message for all.
    *unknown* maps to the reply to RCPT, for those accepted before the link died between the end of
    the message and its reply: the server may have taken the message or not, and sending it again
    may deliver it twice (RFC 5321 4.5.3.2.6).
    """

    envelope: Envelope
    accepted: Mapping[ForwardPath, Reply] = field(factory=dict)
    refused: Mapping[ForwardPath, Reply] = field(factory=dict)
    unknown: Mapping[ForwardPath, Reply] = field(factory=dict)
    rcpt: Mapping[ForwardPath, Reply] = field(factory=dict)
    """The replies to RCPT, as far as there are any."""
    reply: Reply | None = None
    """The last reply to the message itself, or to MAIL or DATA if it refused; None if there was
    none."""

    @property
    def queue_ids(self) -> tuple[str, ...]:
        """The names that the server says it keeps the message under, as far as its words show."""
        found = (_QUEUE_ID.search(reply.text) for reply in dict.fromkeys(self.accepted.values()))
        return tuple(dict.fromkeys(match[1] or match[2] for match in found if match))

    @property
    def retry(self) -> tuple[ForwardPath, ...]:
        """Those for whom the same may be tried later: the refused with a 4yz, or with a 552 to RCPT
        when others were accepted, which is an old word for 452 (RFC 5321 4.5.3.1.10); and the
        unknown, whom it may reach twice."""
        some = any(reply.positive for reply in self.rcpt.values())
        refused = [
            path
            for path, reply in self.refused.items()
            if reply.transient or (some and reply.code == 552 and self.rcpt.get(path) == reply)
        ]
        return (*refused, *self.unknown)

    def __or__(self, other: Outcome) -> Outcome:
        """Both, of one message sent in several transactions."""
        return Outcome(
            envelope=self.envelope,
            accepted={**self.accepted, **other.accepted},
            refused={**self.refused, **other.refused},
            unknown={**self.unknown, **other.unknown},
            rcpt={**self.rcpt, **other.rcpt},
            reply=other.reply or self.reply,
        )
