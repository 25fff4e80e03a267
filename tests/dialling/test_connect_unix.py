"""Connecting to a Unix socket whose queue is full."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto import TimedOut, Timeouts
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters.dialling import connect_unix
from tests.adapters.connections import connect_and, must_not_connect, needs_unix_sockets
from tests.adapters.harness import Adapter, each_client

pytestmark = needs_unix_sockets


@pytest.fixture
def busy_server(tmp_path: Path) -> Iterator[socket.socket]:
    """A listener whose queue is full. Linux then refuses non-blocking clients with EAGAIN."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "full"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(listener.getsockname())
            yield listener


def test_connect_unix_retries_until_the_queue_has_room(busy_server: socket.socket) -> None:
    class Runtime(on_sockets.Runtime):
        async def sleep(self, seconds: float) -> None:
            busy_server.accept()[0].close()

    with on_sockets.run(connect_unix(Runtime(), busy_server.getsockname())) as ours:
        assert ours.getpeername() == busy_server.getsockname()


@each_client
def test_a_queue_that_stays_full_raises_timed_out(
    client: type[Adapter], busy_server: socket.socket
) -> None:
    path, timeouts = busy_server.getsockname(), Timeouts(connect=0.1)
    with pytest.raises(TimedOut, match=r"cannot connect to .* in time"):
        connect_and(must_not_connect, client, path, timeouts=timeouts)
