"""Clients that talk before it is their turn, as programs that only send spam do."""

from __future__ import annotations

from ..events import ServerEvent
from ..grammar.command import Command, Data, Ehlo, Expn, Noop, Quit, Vrfy
from ..grammar.extension_command import Auth, Bdat
from ..protocol.server import ServerProtocol

_LAST = (Ehlo, Data, Vrfy, Expn, Noop, Quit, Auth)  # of a group (RFC 2920 3.1)


def talks_early(machine: ServerProtocol, event: ServerEvent) -> bool:
    """Whether octets stand behind *event*, just given, that had to wait for its reply: behind the
    last command of a group, or behind any where PIPELINING was not agreed on."""
    alone = "PIPELINING" not in machine.negotiated and not isinstance(event, Bdat)
    waits = isinstance(event, _LAST) or (isinstance(event, Command) and alone)
    return waits and machine.has_unread_input
