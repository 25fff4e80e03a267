"""The phases of a session and the one table of what may be said in which (RFC 5321 4.1.4).

Both machines use it: a server refuses what the table refuses, a client does not send it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ..grammar.reply import Reply


class Phase(enum.Enum):
    """Where a session stands."""

    GREETING = "greeting"
    """The server has not greeted yet."""
    START = "start"
    """Greeted, or TLS just agreed; no EHLO yet."""
    READY = "ready"
    """EHLO or HELO done; no transaction."""
    MAIL = "mail"
    """A sender was accepted; no recipient yet."""
    RCPT = "rcpt"
    """One recipient or more accepted."""
    BODY = "body"
    """Between 354 and the final dot."""
    AUTH = "auth"
    """In a SASL exchange: the client's next line is a response, not a command."""
    TLS = "tls"
    """Between the 220 to STARTTLS and the end of the handshake."""
    REFUSED = "refused"
    """Greeted with 554: nothing but QUIT is of use (RFC 5321 3.1)."""
    CLOSED = "closed"


HELLO_FIRST = Reply(503, "5.5.1", "Send EHLO first")
MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
RCPT_FIRST = Reply(503, "5.5.1", "No valid recipients")
NESTED = Reply(503, "5.5.1", "Transaction already open")
NO_SERVICE = Reply(503, "5.5.1", "No service here; send QUIT")

_S, _R, _M, _T = Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT
_X = NO_SERVICE

# What stands at (verb, phase) is the phase after success, or the reply to a command out of order.
_COLUMNS = (Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.REFUSED)
_ROWS: Mapping[str, tuple[Phase | Reply, ...]] = {
    "EHLO":     (_R, _R, _R, _R, _X),
    "HELO":     (_R, _R, _R, _R, _X),
    "MAIL":     (HELLO_FIRST, _M, NESTED, NESTED, _X),
    "RCPT":     (HELLO_FIRST, MAIL_FIRST, _T, _T, _X),
    "DATA":     (HELLO_FIRST, MAIL_FIRST, RCPT_FIRST, Phase.BODY, _X),
    "RSET":     (_S, _R, _R, _R, _X),
    "NOOP":     (_S, _R, _M, _T, _X),
    "HELP":     (_S, _R, _M, _T, _X),
    "VRFY":     (_S, _R, _M, _T, _X),
    "EXPN":     (_S, _R, _M, _T, _X),
    "STARTTLS": (HELLO_FIRST, Phase.TLS, NESTED, NESTED, _X),
    "AUTH":     (HELLO_FIRST, _R, NESTED, NESTED, _X),
    "QUIT":     (Phase.CLOSED, Phase.CLOSED, Phase.CLOSED, Phase.CLOSED, Phase.CLOSED),
}  # fmt: skip

TRANSITIONS: Mapping[tuple[Phase, str], Phase | Reply] = {
    (phase, verb): cell
    for verb, row in _ROWS.items()
    for phase, cell in zip(_COLUMNS, row, strict=True)
}
"""What a command leads to in each phase in which commands are read at all."""

COMMAND_PHASES = frozenset(_COLUMNS)
