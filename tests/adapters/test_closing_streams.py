"""asyncio streams whose transport is closing: nothing is written to it, and nothing is logged."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from smtpproto import Client, ConnectionLost
from smtpproto.adapters import asyncio as on_asyncio
from tests.adapters.harness import Asyncio, each_loop
from tests.support.envelopes import TO_BOB


class Transport:
    """A transport that fails at its first write, as after a reset."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def is_closing(self) -> bool:
        return bool(self.written)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_extra_info(self, _: str) -> socket.socket:
        with socket.socket() as closed:
            return closed


@pytest.mark.parametrize("write_buffer_is_full", [False, True])
def test_a_write_to_a_closing_transport_raises_connection_lost(write_buffer_is_full: bool) -> None:
    async def main() -> None:
        stream: Any = on_asyncio.Stream()
        stream._transport, stream._full = Transport(), write_buffer_is_full
        for _ in range(10):
            with pytest.raises(ConnectionLost):
                await stream.write(b"250 ok\r\n", None)
        assert stream._transport.written == [b"250 ok\r\n"]

    asyncio.run(main())


def test_a_write_after_a_reset_says_so() -> None:
    async def main() -> None:
        stream: Any = on_asyncio.Stream()
        stream.connection_made(Transport())
        stream.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
        with pytest.raises(ConnectionLost, match="reset by peer"):
            await stream.write(b"250 ok\r\n", None)

    asyncio.run(main())


def reset_in_content(listener: socket.socket) -> None:
    """Accept a client and a message, and reset the connection instead of reading the content."""
    connected, _ = listener.accept()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with connected:
        for reply in (b"220 mx", b"250 mx", b"250 ok", b"250 ok", b"354 go"):
            connected.sendall(reply + b"\r\n")
            connected.recv(100)  # the last is the first piece of the content


@each_loop
def test_a_reset_while_a_client_sends_is_not_logged_for_each_write(
    loop: type[Asyncio], caplog: pytest.LogCaptureFixture
) -> None:
    async def send(client: Client) -> None:
        with pytest.raises(ConnectionLost):
            await client.send((b"x" * 998 + b"\r\n" for _ in range(100_000)), TO_BOB)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset_in_content, args=[listener], daemon=True)
        thread.start()
        loop.client(listener.getsockname()[1], send)
        thread.join()
    assert [record for record in caplog.records if record.name == "asyncio"] == []
