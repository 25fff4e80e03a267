"""SMTP over blocking sockets; a server runs one thread for each connection."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Unpack

from .. import client
from ..client import ConnectOptions, make_target, open_client
from ..grammar.envelope import Envelope
from ..grammar.secret import keeps_secret
from ..late_names import late_names
from ..mail import Source
from ..outcome import Outcome
from .blocking_runtime import Runtime, Stream
from .dialling import close_on_error
from .facade import Client, Pool, run

if TYPE_CHECKING:
    from ..client import ServerCheck
    from ..discovery import Discovery
    from ..dns import Resolver
    from .blocking_mta import MTA
    from .blocking_server import Server, serve, serve_forever
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".blocking_mta": "MTA",
            ".blocking_server": "Server serve serve_forever",
        },
    )

__all__ = [
    "MTA",
    "Client",
    "Pool",
    "Runtime",
    "Server",
    "Stream",
    "check_server",
    "connect",
    "discover",
    "pool",
    "run",
    "send",
    "serve",
    "serve_forever",
]  # fmt: skip


def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ConnectOptions],
) -> Client:
    """Connect, greet, upgrade to TLS and log in; in ``with``, send QUIT when the block ends.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *sock* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    try:
        target = make_target(host, port, options)
    finally:
        del host, options  # there may be a password in them, and tracebacks can show locals
    with close_on_error(sock):
        return Client(run(open_client(Runtime(sock), target.host, target.port, target.config)))


def send(
    message: Source,
    host: str,
    port: int | None = None,
    *,
    envelope: Envelope | None = None,
    **options: Unpack[ConnectOptions],
) -> Outcome:
    """Connect, send one message, send QUIT, and return the outcome.

    *message* and *envelope*: see :meth:`~smtpproto.client.connection.Client.send`. *host*, *port*,
    options and errors: see :func:`connect`. For several messages use :func:`pool`.
    """
    try:
        target = make_target(host, port, options, "send")
    finally:
        del host, options
    return run(client.send_once(Runtime(), target, message, envelope))


@keeps_secret
def pool(host: str, port: int | None = None, **options: Unpack[client.PoolOptions]) -> Pool:
    """Keep connections to one server for many messages; in ``with``, send QUIT at the end.

    See :class:`~smtpproto.client.pool.Pool`. Options: see
    :class:`~smtpproto.client.pool.PoolConfig`, and those of :func:`connect`.
    """
    return Pool(client.make_pool(Runtime(), host, port, options))


def check_server(
    host: str, port: int | None = None, **options: Unpack[ConnectOptions]
) -> ServerCheck:
    """Connect, start TLS, log in and quit, without sending a message, and return what was learned.

    Arguments and errors: see :func:`connect`.
    """
    try:
        target = make_target(host, port, options, "check_server")
    finally:
        del host, options  # there may be a password in them, and tracebacks can show locals
    return run(client.check_server(Runtime(), target))


def discover(address: str, *, resolver: Resolver | None = None) -> Discovery:
    """Find the servers to which the owner of *address* can submit mail.

    *resolver* None asks the name servers of the system; that needs the extra ``dns``. It connects
    to no server: see :func:`~smtpproto.discovery.discover_servers`.
    """
    from .discovering import discover_with  # noqa: PLC0415

    return run(discover_with(address, resolver, Runtime()))
