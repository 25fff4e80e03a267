"""What became of a message that was sent."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..grammar.address import ForwardPath
from ..grammar.reply import Reply
from ..mail.envelope import Envelope


@frozen(kw_only=True)
class Outcome:
    """What became of a message, recipient by recipient. Each is in exactly one of the three.

    *accepted* maps to the reply to RCPT; the server has taken over the message for these.
    *refused* maps to the reply that refused: to RCPT, or to MAIL, DATA or the message for all.
    *unknown* maps to the reply to RCPT, for those accepted before the link died between the final
    dot and its reply: the server may have taken the message or not, and sending it again may
    deliver it twice (RFC 5321 4.5.3.2.6).
    """

    envelope: Envelope
    accepted: Mapping[ForwardPath, Reply] = field(factory=dict)
    refused: Mapping[ForwardPath, Reply] = field(factory=dict)
    unknown: Mapping[ForwardPath, Reply] = field(factory=dict)
    reply: Reply | None = None
    """The reply to the message itself, often with the server's queue id; None if there was none."""
