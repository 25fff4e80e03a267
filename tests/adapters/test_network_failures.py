"""Networks and peers that fail: refused, silent and reset connections, peers that do not read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from smtpproto import ConnectFailed, ConnectionLost, SendRefused, TimedOut, Timeouts
from tests.adapters.connections import must_not_connect, send_with, unused_port
from tests.adapters.harness import Adapter, each_client, each_server, running_server
from tests.adapters.inboxes import Inbox
from tests.support.envelopes import TO_BOB


@each_client
def test_a_port_without_a_server_raises_connect_failed(client: type[Adapter]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        client.client(unused_port(), must_not_connect)
    assert isinstance(caught.value, ConnectionError)


@each_client
def test_a_server_without_a_greeting_raises_timed_out(client: type[Adapter]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TimedOut) as caught:
            client.client(port, must_not_connect, timeouts=Timeouts(greeting=0.05))
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.phase == "greeting"


@each_client
def test_a_connection_reset_by_the_server_raises_connection_lost_or_connect_failed(
    client: type[Adapter],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            connected, _ = listener.accept()
            linger = b"\1\0\0\0\0\0\0\0"  # close() sends RST
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connected.close()

        thread = threading.Thread(target=reset)
        thread.start()
        with pytest.raises((ConnectionLost, ConnectFailed)):
            client.client(listener.getsockname()[1], must_not_connect)
        thread.join()


@each_client
@pytest.mark.parametrize("reply", ["552 5.3.4 too big", "421 4.3.2 closing"])
def test_the_reason_for_a_reset_in_the_content_is_read_although_writing_fails(
    client: type[Adapter], reply: str
) -> None:
    """A server that closes with content unread causes a reset, which overtakes the client."""
    block, closed = b"0123456789abcd\r\n" * 8192, threading.Event()

    def refuse(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        for answer in ("220 mx", "250 mx", "250 ok", "250 ok", "354 go", reply):
            connected.sendall(f"{answer}\r\n".encode())
            if answer != reply:
                connected.recv(1 if answer == "354 go" else 1000)
        connected.close()
        closed.set()

    def content() -> Iterator[bytes]:
        yield block
        assert closed.wait(30)
        yield from [block] * 8

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=[listener])
        thread.start()
        with pytest.raises(SendRefused) as caught:
            send_with(client, content(), *listener.getsockname(), envelope=TO_BOB, tls="none")
        thread.join()
    assert str(caught.value.reply) == reply


@each_server
def test_a_server_gives_up_on_a_client_that_does_not_read(
    server: type[Adapter], inbox: Inbox
) -> None:
    with running_server(server, inbox, timeouts=Timeouts(command=0.2)) as running:
        with socket.socket() as deaf:
            # Linux gives the server a small send buffer if segments are small: few replies fill it.
            deaf.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(30)
            deaf.connect(("127.0.0.1", running.port))
            with pytest.raises(ConnectionError):  # a time-out of ours is another OSError
                for _ in range(100_000):
                    deaf.sendall(b"HELP\r\n" * 1000)
        assert inbox.closed.wait(30)
