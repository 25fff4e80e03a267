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
    CHUNKS = "chunks"
    """One chunk or more accepted, the last still to come (RFC 3030)."""
    FAILED = "failed"
    """A chunk was refused: a client says RSET or QUIT next (RFC 3030 2). Servers are READY then."""
    BODY = "body"
    """Between 354 and the final dot."""
    CHUNK = "chunk"
    """In the octets behind BDAT."""
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
CHUNKS_OPEN = Reply(503, "5.5.1", "BDAT chunks are open; send BDAT or RSET")
RSET_FIRST = Reply(503, "5.5.1", "A chunk was refused; send RSET first")
NO_SERVICE = Reply(503, "5.5.1", "No service here; send QUIT")

_S, _R, _M, _T, _C = Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.CHUNKS
_HELLO, _MAIL, _RCPT, _NEST, _OPEN, _RSET, _X = (
    HELLO_FIRST, MAIL_FIRST, RCPT_FIRST, NESTED, CHUNKS_OPEN, RSET_FIRST, NO_SERVICE,
)  # fmt: skip

COLUMNS = (_S, _R, _M, _T, _C, Phase.FAILED, Phase.REFUSED)
"""The phases in which commands are read at all."""

# What stands at (row, phase) is the phase after success, or the reply to a command out of order.
# EHLO stands for HELO and LHLO as well.
ROWS: Mapping[str, tuple[Phase | Reply, ...]] = {
    #            start   ready     mail   rcpt        chunks refused chunk, refused service
    "EHLO":      (_R,     _R,       _R,    _R,         _R,    _RSET, _X),
    "MAIL":      (_HELLO, _M,       _NEST, _NEST,      _NEST, _RSET, _X),
    "RCPT":      (_HELLO, _MAIL,    _T,    _T,         _OPEN, _RSET, _X),
    "DATA":      (_HELLO, _MAIL,    _RCPT, Phase.BODY, _OPEN, _RSET, _X),
    "BDAT":      (_HELLO, _MAIL,    _RCPT, _C,         _C,    _RSET, _X),
    "BDAT LAST": (_HELLO, _MAIL,    _RCPT, _R,         _R,    _RSET, _X),
    "RSET":      (_S,     _R,       _R,    _R,         _R,    _R,    _X),
    "NOOP":      (_S,     _R,       _M,    _T,         _C,    _RSET, _X),
    "HELP":      (_S,     _R,       _M,    _T,         _C,    _RSET, _X),
    "VRFY":      (_S,     _R,       _M,    _T,         _C,    _RSET, _X),
    "EXPN":      (_S,     _R,       _M,    _T,         _C,    _RSET, _X),
    "STARTTLS":  (_HELLO, Phase.TLS, _NEST, _NEST,     _NEST, _NEST, _X),
    "AUTH":      (_HELLO, _R,       _NEST, _NEST,      _NEST, _NEST, _X),
    "ETRN":      (_HELLO, _R,       _NEST, _NEST,      _NEST, _NEST, _X),
    "XCLIENT":   (_HELLO, _S,       _NEST, _NEST,      _NEST, _NEST, _X),
    "XFORWARD":  (_HELLO, _R,       _NEST, _NEST,      _NEST, _NEST, _X),
    "QUIT":      (Phase.CLOSED,) * len(COLUMNS),
}  # fmt: skip
