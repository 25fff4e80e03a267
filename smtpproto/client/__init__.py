"""Ring 4: a client's conversation with a server, written once over :mod:`smtpproto.ports`.

An adapter dials with :func:`open_client`, or passes a connected stream to :func:`start_client`;
both return a :class:`Client` that has greeted, started TLS and logged in. :func:`make_target` turns
the arguments of ``connect`` into a :class:`Target`: host, port and configuration.
:func:`make_pool` turns the arguments of ``pool`` into a :class:`Pool`. :class:`Connecting` is what
``connect`` returns for event loops. ``Pool.send_each`` yields a :class:`SendEvent` for each
recipient.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names
from .config import ClientConfig, ClientOptions, ConnectOptions, TLSMode
from .connection import Client, open_client, send_once, start_client
from .target import Target, make_target

if TYPE_CHECKING:
    from ..grammar import ProxyKind, ProxyServer
    from .bulk import BulkOptions, JournalPort, SendEvent, SendResult
    from .checking import ServerCheck, check_server
    from .connecting import Connecting
    from .pool import Pool, PoolConfig, PoolOptions, make_pool
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".checking": "ServerCheck check_server",
            ".bulk": "BulkOptions JournalPort SendEvent SendResult",
            ".connecting": "Connecting",
            ".pool": "Pool PoolConfig PoolOptions make_pool",
            "..grammar": "ProxyKind ProxyServer",
        },
    )

__all__ = [
    "BulkOptions", "Client", "ClientConfig", "ClientOptions", "ConnectOptions", "Connecting",
    "JournalPort", "Pool", "PoolConfig", "PoolOptions", "ProxyKind", "ProxyServer", "SendEvent",
    "SendResult", "ServerCheck", "TLSMode", "Target", "check_server", "make_pool",
    "make_target", "open_client", "send_once", "start_client",
]  # fmt: skip
