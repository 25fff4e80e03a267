"""Limits that all connections of a server share, on each adapter."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from smtpproto import Handler, Limits, Timeouts
from tests.adapters.harness import HOST, Adapter, each_server, running_server
from tests.adapters.inboxes import Inbox
from tests.support.accounts import Accounts
from tests.support.server_logins import WRONG_PASSWORD


def dialogue(port: int, *lines: str) -> list[str]:
    """Send each of *lines* after the reply to the one before; return the replies, the greeting
    first, until the server closes."""
    replies: list[str] = []
    with (
        suppress(ConnectionError),  # the server closes while the client writes
        socket.create_connection((HOST, port)) as link,
        link.makefile("rwb") as stream,
    ):
        for line in (*lines, ""):
            reply = stream.readline()
            while reply[3:4] == b"-":
                reply = stream.readline()
            if not reply:
                break
            replies.append(reply.decode().strip())
            stream.write(f"{line}\r\n".encode() if line else b"")
            stream.flush()
    return replies


def greeting_when_there_is_room(port: int) -> str:
    """Connect until the server has noticed the end of a connection, and has room."""
    for _ in range(1000):
        if (replies := dialogue(port, "QUIT"))[0].startswith("220"):
            return replies[0]
    return ""


@each_server
@pytest.mark.parametrize(
    "limits", [Limits(connections=2, connections_per_network=9), Limits(connections_per_network=2)]
)
def test_a_connection_beyond_the_limit_is_greeted_with_421(
    server: type[Adapter], limits: Limits
) -> None:
    with running_server(server, Handler(), limits=limits) as running:
        open_links = [socket.create_connection((HOST, running.port)) for _ in range(2)]
        assert [link.recv(4) for link in open_links] == [b"220 "] * 2
        for _ in range(3):
            replies = dialogue(running.port, "NOOP")
            assert replies[0].startswith("421 ") and len(replies) == 1
        for link in open_links:
            link.close()
        assert greeting_when_there_is_room(running.port)


@each_server
def test_failed_logins_on_other_connections_block_a_login(server: type[Adapter]) -> None:
    limits = Limits(failed_logins_per_network=3, failed_login_delay=0)
    with running_server(
        server, Handler(), authenticator=Accounts(), auth_in_clear=True, limits=limits
    ) as running:
        for expected in ("535", "535", "535", "421"):
            assert dialogue(running.port, "EHLO x", WRONG_PASSWORD, "QUIT")[2][:3] == expected


@each_server
def test_a_client_whose_time_is_over_reads_why(server: type[Adapter]) -> None:
    with (
        running_server(server, Handler(), timeouts=Timeouts(session=0)) as running,
        socket.create_connection((HOST, running.port)) as link,
        link.makefile("rb") as stream,
    ):
        assert [line[:9] for line in stream] == [b"220 local", b"421 4.4.2"]


@each_server
def test_messages_held_in_memory_are_bounded_together(server: type[Adapter], inbox: Inbox) -> None:
    begin = ("EHLO x", "MAIL FROM:<>", "RCPT TO:<bob@example.org>")
    with running_server(server, inbox, limits=Limits(memory=65536)) as running:
        with socket.create_connection((HOST, running.port)) as first:
            first.sendall("\r\n".join([*begin, "BDAT 65536", ""]).encode() + b"x" * 65536)
            replies = b""
            while b"Chunk received" not in replies:
                replies += first.recv(65536)
            assert dialogue(running.port, *begin, "DATA")[-1].startswith("452 4.3.1")
        answers: list[str] = []
        while not answers or answers[-1][:3] == "452":  # until the server notices the end
            answers = dialogue(running.port, *begin, "DATA")
        assert answers[-1].startswith("354")


@each_server
def test_a_post_whose_body_is_smtp_delivers_nothing(server: type[Adapter], inbox: Inbox) -> None:
    request = (
        "POST / HTTP/1.1\r\nHost: mx.example\r\nContent-Length: 99\r\n\r\nEHLO x\r\n"
        "MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nspam\r\n.\r\nQUIT\r\n"
    )
    with running_server(server, inbox) as running:
        assert dialogue(running.port, request)[1].startswith("421 4.7.0")
    assert inbox.bodies == []
