"""The option *source*: the local address and port that a client connects from."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from smtpproto import ConnectFailed
from tests.adapters.connections import connect_and, must_not_connect, noop
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.support.handlers import Guard


@each_client
def test_source_is_the_address_and_port_that_the_server_sees(client: type[Adapter]) -> None:
    handler = Guard()
    with running_server(Blocking, handler, "0.0.0.0") as running:
        with socket.create_server(("127.0.0.3", 0)) as free:
            port = free.getsockname()[1]
        connect_and(noop, client, "127.0.0.1", running.port, source="127.0.0.2")
        connect_and(noop, client, "127.0.0.1", running.port, source=("127.0.0.3", port))
    first, second = (session.peer for session in handler.seen)
    assert first[0] == "127.0.0.2"
    assert second == ("127.0.0.3", port)


@each_client
@pytest.mark.parametrize("source", ["::1", "192.0.2.77", ("192.0.2.77", 4000)])
def test_a_source_of_another_family_or_machine_fails_before_a_connection(
    client: type[Adapter], source: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(ConnectFailed, match="phase: connect"):
            connect_and(must_not_connect, client, *listener.getsockname(), source=source)
        with pytest.raises(BlockingIOError):
            listener.accept()
