"""Networks and peers that fail: refused, silent and reset connections, peers that do not read."""

from __future__ import annotations

import socket
import threading

import pytest

from smtpproto import ConnectFailed, ConnectionLost, TimedOut, Timeouts
from tests.adapters.connections import must_not_connect, unused_port
from tests.adapters.harness import Adapter, each_client, each_server, running_server
from tests.adapters.inboxes import Inbox


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
