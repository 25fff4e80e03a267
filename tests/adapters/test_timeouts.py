"""Time-outs of clients on a real clock: of a phase, of a whole operation, and very long ones."""

from __future__ import annotations

import socket
import threading

import pytest

from smtpproto import TimedOut, Timeouts
from tests.adapters.connections import connect_and, must_not_connect, noop, send_hello
from tests.adapters.harness import Adapter, each_client, running_server
from tests.adapters.inboxes import Inbox

REPLIES = {
    "greeting": b"220 mx",
    "hello": b"250 mx",
    "mail": b"250 ok",
    "rcpt": b"250 ok",
    "data": b"354 go",
}


def serve_up_to(listener: socket.socket, phase: str) -> None:
    """Serve one client up to *phase*, and then stay silent until it closes the connection."""
    connected, _ = listener.accept()
    with connected:
        connected.settimeout(30)
        for name, reply in REPLIES.items():
            if name != "greeting":
                connected.recv(1000)
            if name == phase:
                break
            connected.sendall(reply + b"\r\n")
        while connected.recv(1000):
            pass


@each_client
@pytest.mark.req("RFC5321-4.5.3.2-01")
@pytest.mark.parametrize("phase", REPLIES)
def test_a_server_that_stalls_in_a_phase_raises_timed_out(
    client: type[Adapter], phase: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_up_to, args=[listener, phase], daemon=True)
        thread.start()
        with pytest.raises(TimedOut) as caught:
            port = listener.getsockname()[1]
            client.client(port, send_hello, timeouts=Timeouts(total=30, **{phase: 0.05}))
        thread.join(30)
        assert not thread.is_alive()
    command = {"greeting": "", "hello": "EHLO"}.get(phase, phase.upper())
    assert caught.value.command[:4] == command
    assert "whole operation" not in caught.value.message


@each_client
def test_the_total_time_out_ends_an_operation(client: type[Adapter]) -> None:
    near, far = socket.socketpair()
    with far:
        with pytest.raises(TimedOut, match=r"the whole operation.*phase: greeting"):
            timeouts = Timeouts(total=0.05)
            connect_and(must_not_connect, client, "mx", 25, sock=near, timeouts=timeouts)
        assert near.fileno() == -1
        assert far.recv(100) == b""  # the client sent nothing


@each_client
def test_a_connect_time_out_may_be_longer_than_select_accepts(
    client: type[Adapter], inbox: Inbox
) -> None:
    """select accepts about a month at most."""
    with running_server(client, inbox) as running:
        timeouts = Timeouts(connect=10**8)
        connect_and(noop, client, "127.0.0.1", running.port, timeouts=timeouts, tls="none")
