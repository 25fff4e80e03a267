"""Detection of clients that do not wait for replies, as spam programs do (RFC 2920 3.1)."""

from __future__ import annotations

from ..events import ServerEvent
from ..grammar.command import Command, Data, Ehlo, Expn, Noop, Quit, Vrfy
from ..grammar.extension_command import Auth, Bdat
from ..protocol.server import ServerProtocol

_LAST_IN_GROUP = (Ehlo, Data, Vrfy, Expn, Noop, Quit, Auth)  # RFC 2920 3.1


def talks_early(machine: ServerProtocol, event: ServerEvent) -> bool:
    """Return whether the client has sent octets after *event*, the current one, whose reply it had
    to wait for: after the last command of a group, or after any command without PIPELINING."""
    not_pipelined = "PIPELINING" not in machine.terms.negotiated and not isinstance(event, Bdat)
    must_wait = isinstance(event, _LAST_IN_GROUP) or (isinstance(event, Command) and not_pipelined)
    return must_wait and machine.has_unread_input
