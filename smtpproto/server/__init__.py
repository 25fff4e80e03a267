"""Ring 4: a server's conversation with a client, written once over :mod:`smtpproto.ports`.

An adapter calls :func:`check_server` before it listens. For each connection it runs one
:class:`Conversation`, with the handler that :func:`handler_of` returns.
"""

from .config import ServerConfig, ServerOptions
from .conversation import Conversation
from .handler import (
    Handler,
    HandlerSource,
    Hook,
    LookupHook,
    LookupResult,
    MessageHook,
    NoReply,
    Session,
    Sink,
    Verdict,
    Verdicts,
    handler_of,
)
from .setup import check_server

__all__ = [
    "Conversation",
    "Handler",
    "HandlerSource",
    "Hook",
    "LookupHook",
    "LookupResult",
    "MessageHook",
    "NoReply",
    "ServerConfig",
    "ServerOptions",
    "Session",
    "Sink",
    "Verdict",
    "Verdicts",
    "check_server",
    "handler_of",
]
