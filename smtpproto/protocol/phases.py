"""The phases of a session, and the table of commands allowed in each (RFC 5321 4.1.4).

Both machines use it: a server refuses what the table refuses, and a client does not send it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..grammar.reply import Reply


class Phase(enum.Enum):
    """The state of a session."""

    GREETING = "greeting"
    """The server has not greeted yet."""
    START = "start"
    """Greeted, or TLS just agreed; no EHLO yet."""
    READY = "ready"
    """EHLO or HELO done; no transaction."""
    MAIL = "mail"
    """A sender was accepted; no recipient yet."""
    RCPT = "rcpt"
    """One recipient or more were accepted."""
    CHUNKS = "chunks"
    """One chunk or more were accepted; the last is still to come (RFC 3030)."""
    FAILED = "failed"
    """On a client: a chunk was refused, so RSET or QUIT is next (RFC 3030 2). A server is READY."""
    BODY = "body"
    """Between 354 and the final dot."""
    CHUNK = "chunk"
    """In the octets after BDAT."""
    AUTH = "auth"
    """In a SASL exchange: the client's next line is a response, not a command."""
    TLS = "tls"
    """Between the 220 to STARTTLS and the end of the handshake."""
    REFUSED = "refused"
    """Greeted with 554: only QUIT is accepted (RFC 5321 3.1)."""
    CLOSED = "closed"
    """The session is over."""

    if not TYPE_CHECKING:  # Enum's is a function in Python, which each look-up would call
        __hash__ = object.__hash__

    in_message: bool
    """Whether content has begun to arrive and has not ended."""


for _phase in Phase:
    _phase.in_message = _phase in (Phase.BODY, Phase.CHUNK, Phase.CHUNKS)

HELLO_FIRST = Reply(503, "5.5.1", "Send EHLO first")
_MAIL = Reply(503, "5.5.1", "Send MAIL first")
_RCPT = Reply(503, "5.5.1", "No valid recipients")
_NEST = Reply(503, "5.5.1", "Transaction already open")
_OPEN = Reply(503, "5.5.1", "BDAT chunks are open; send BDAT or RSET")
_RSET = Reply(503, "5.5.1", "A chunk was refused; send RSET first")
NO_SERVICE = Reply(503, "5.5.1", "No service here; send QUIT")

_S, _R, _M, _T, _C = Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.CHUNKS
_HELLO, _X = HELLO_FIRST, NO_SERVICE

COLUMNS = (_S, _R, _M, _T, _C, Phase.FAILED, Phase.REFUSED)
"""The phases in which commands are read."""

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
"""For each command and each of the columns: the phase after success, or the reply to a command out
of order. The row EHLO is also that of HELO and LHLO."""
