"""Ready-made replies for handlers.

On a client, :func:`suggested_path` reads the new address in a 251 or 551 reply.
"""

from __future__ import annotations

import re

from .grammar.address import ForwardPath
from .grammar.reply import GrammarError, Reply

__all__ = [
    "NOT_HONOURED_NOW", "NO_MAIL_HERE", "NO_SUCH_USER", "NO_UTF8_HEADER", "NULL_MX_RECIPIENT",
    "NULL_MX_SENDER", "PRIORITY_TOO_LOW", "RELAYING_DENIED", "suggested_path",
]  # fmt: skip

RELAYING_DENIED = Reply(550, "5.7.1", "Relaying denied")
"""Refuses by policy, after any command (RFC 5321 3.6.2, 7.9)."""

NO_SUCH_USER = Reply(550, "5.1.1", "No such user here")
"""Refuses a recipient whose mailbox does not exist (RFC 5321 3.3)."""

NO_MAIL_HERE = Reply(521, "5.3.2", "This host accepts no mail")
"""The greeting of a host that never accepts mail (RFC 7504 3). To refuse one client, greet it with
554."""

NULL_MX_RECIPIENT = Reply(556, "5.1.10", "The recipient's domain accepts no mail")
"""Refuses a recipient whose domain has a null MX (RFC 7505 4.1, RFC 7504 4)."""

NULL_MX_SENDER = Reply(550, "5.7.27", "The sender's domain accepts no mail, so no bounces")
"""Refuses a sender whose domain has a null MX (RFC 7505 4.2)."""

NO_UTF8_HEADER = Reply(554, "5.6.9", "A recipient cannot take header fields in UTF-8")
"""Refuses a message after its content (RFC 6531 3.5). A handler that checks SMTPUTF8 in the
parameters of MAIL can refuse earlier, after RCPT."""

NOT_HONOURED_NOW = Reply(455, "4.5.4", "Parameter cannot be honoured now")
"""Refuses MAIL or RCPT with a parameter that the server may honour later (RFC 5321 4.1.1.11)."""

PRIORITY_TOO_LOW = Reply(550, "5.7.15", "Priority level is too low")
"""Refuses MAIL whose MT-PRIORITY is lower than the server accepts now (RFC 6710 4.1)."""


def suggested_path(reply: Reply) -> ForwardPath | None:
    """Return the forward path that a 251 or 551 reply suggests (RFC 5321 3.4), or None.

    It is the new address of a recipient whose mailbox has moved. None means that *reply* has
    another code or no path. A person should decide whether to use the path (RFC 5321 7.4).
    """
    for candidate in re.findall(r"<[^<>]*>", reply.text) if reply.code in (251, 551) else ():
        try:
            return ForwardPath.parse(candidate)
        except GrammarError:
            continue
    return None
