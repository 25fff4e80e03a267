"""Ring 4: a server's conversation with a client, written once over :mod:`smtpproto.ports`.

An adapter calls :func:`check_server` before it listens. For each connection it runs one
:class:`Conversation`, which makes its handler. All conversations of a server have one
:class:`Usage`.
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
)
from .setup import check_server
from .usage import Account, Usage

__all__ = [
    "Account", "Conversation", "Handler", "HandlerSource", "Hook", "LookupHook", "LookupResult",
    "MessageHook", "NoReply", "ServerConfig", "ServerOptions", "Session", "Sink", "Usage",
    "Verdict", "Verdicts", "check_server",
]  # fmt: skip
