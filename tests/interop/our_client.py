"""Our client on each adapter, for servers that are other programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, Unpack

import trio

from smtpproto import Client, ClientConfig, Envelope, Outcome, Timeouts
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import open_client
from smtpproto.mail.preparation import Source
from tests.interop.our_server import run_in_loop
from tests.interop.programs import TIMEOUT

T = TypeVar("T")

_TIMEOUTS = Timeouts(
    **dict.fromkeys(["tls", "greeting", "hello", "auth", "mail", "rcpt", "data", "final"], TIMEOUT)
)


def send(
    adapter: str, port: int, content: Source, envelope: Envelope, **options: Unpack[ClientOptions]
) -> Outcome:
    """Send *content* with our client on *adapter*, in a session of its own."""
    if adapter == "blocking":
        options = {"timeouts": _TIMEOUTS, **options}
        with blocking.connect("127.0.0.1", port, **options) as client:
            return client.send(content, envelope)
    return converse(adapter, port, lambda client: client.send(content, envelope), **options)


def converse(
    adapter: str,
    port: int,
    talk: Callable[[Client], Awaitable[T]],
    **options: Unpack[ClientOptions],
) -> T:
    """Call *talk* with our client on *adapter*, in a session of its own, and return its result."""
    host, options = "127.0.0.1", {"timeouts": _TIMEOUTS, **options}

    async def in_asyncio() -> T:
        async with on_asyncio.connect(host, port, **options) as client:
            return await talk(client)

    async def in_trio() -> T:
        async with on_trio.connect(host, port, **options) as client:
            return await talk(client)

    async def in_blocking() -> T:
        config = ClientConfig(**options)
        async with await open_client(blocking.Runtime(), host, port, config) as client:
            return await talk(client)

    match adapter:
        case "trio":
            return trio.run(in_trio)
        case "blocking":
            return blocking.run(in_blocking())
        case _:
            return run_in_loop(adapter, in_asyncio())
