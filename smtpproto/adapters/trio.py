"""SMTP over trio."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import trio

from .. import client
from ..client import Client, Connecting, ConnectOptions, Target, make_target, open_client
from ..grammar.envelope import Envelope
from ..grammar.secret import keeps_secret
from ..late_names import late_names
from ..mail import Source
from ..outcome import Outcome
from .trio_runtime import Connection, Runtime, Stream

if TYPE_CHECKING:
    from ..client import Pool, ServerCheck
    from ..discovery import Discovery
    from ..dns import Resolver
    from .trio_mta import MTA
    from .trio_server import Server, serve, serve_forever
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "..client": "Pool",
            ".trio_mta": "MTA",
            ".trio_server": "Server serve serve_forever",
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
    "send",
    "serve",
    "serve_forever",
]  # fmt: skip


@keeps_secret
def connect(
    host: str,
    port: int | None = None,
    *,
    stream: Connection | None = None,
    **options: Unpack[ConnectOptions],
) -> Connecting:
    """Connect, greet, upgrade to TLS and log in.

    Use ``async with connect(...) as client``, which sends QUIT when the block ends, or
    ``client = await connect(...)`` and later ``await client.quit()``.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *stream* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`; those of the arguments are raised at once.
    """
    return Connecting(partial(_open, make_target(host, port, options), stream))


async def _open(target: Target, stream: Connection | None) -> Client:
    try:
        return await open_client(Runtime(stream), target.host, target.port, target.config)
    except BaseException:
        await _close_connection(stream)
        raise


async def _close_connection(connection: Connection | None) -> None:
    """Close the caller's connection, which could not be used."""
    if isinstance(connection, trio.abc.Stream):
        await trio.aclose_forcefully(connection)
    elif connection is not None:
        connection.close()


@keeps_secret
def send(
    message: Source,
    host: str,
    port: int | None = None,
    *,
    envelope: Envelope | None = None,
    **options: Unpack[ConnectOptions],
) -> Coroutine[Any, Any, Outcome]:
    """Connect, send one message, send QUIT; ``await`` the outcome.

    *message* and *envelope*: see :meth:`~smtpproto.client.connection.Client.send`. *host*, *port*,
    options and errors: see :func:`connect`. For several messages use :func:`pool`.
    """
    return client.send_once(Runtime(), make_target(host, port, options, "send"), message, envelope)


@keeps_secret
def pool(host: str, port: int | None = None, **options: Unpack[client.PoolOptions]) -> client.Pool:
    """Keep connections to one server for many messages; in ``async with``, send QUIT on each when
    the block ends.

    See :class:`~smtpproto.client.pool.Pool`. Options: see
    :class:`~smtpproto.client.pool.PoolConfig`, and those of :func:`connect`.
    """
    return client.make_pool(Runtime(), host, port, options)


@keeps_secret
def check_server(
    host: str, port: int | None = None, **options: Unpack[ConnectOptions]
) -> Coroutine[Any, Any, ServerCheck]:
    """Connect, start TLS, log in and quit, without sending a message; ``await`` what was learned.

    Arguments and errors: see :func:`connect`.
    """
    return client.check_server(Runtime(), make_target(host, port, options, "check_server"))


async def discover(address: str, *, resolver: Resolver | None = None) -> Discovery:
    """Find the servers to which the owner of *address* can submit mail.

    *resolver* None asks the name servers of the system; that needs the extra ``dns``. It connects
    to no server: see :func:`~smtpproto.discovery.discover_servers`.
    """
    from .discovering import discover_with  # noqa: PLC0415

    return await discover_with(address, resolver, Runtime())
