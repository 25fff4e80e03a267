"""``CatchAll``: a server for mail and its page, in one object."""

from __future__ import annotations

import json
import signal
import smtplib
import socket
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from smtpproto import Limits
from smtpproto.sasl import PlainPasswords
from smtpproto.testing import CatchAll, ReceivedMessage
from smtpproto.testing.certificates import client_context, server_context
from tests.testing.catch_all.asking import PLAIN
from tests.watching.reading import get, port_of


def send(to: CatchAll, content: bytes = PLAIN) -> None:
    with smtplib.SMTP("127.0.0.1", to.port, timeout=20) as client:
        client.sendmail("ann@a.test", ["bob@b.test"], content)


def ask(of: CatchAll, path: str) -> Any:
    response, text = get(of.url, path)
    assert response.status == 200, text
    return json.loads(text)


def test_messages_are_given_to_the_program_and_shown_on_the_page() -> None:
    seen: list[ReceivedMessage] = []
    with CatchAll(on_message=seen.append) as catch_all:
        send(catch_all)
        assert str(catch_all) == f"127.0.0.1 port {catch_all.port}"
        values = ask(catch_all, "/api/messages")
        assert values["listening"] == str(catch_all)
        assert [it["subject"] for it in values["list"]] == ["Hello"]
        assert seen == catch_all.messages
        assert seen[0].content == PLAIN


def test_the_page_says_how_a_client_logged_in() -> None:
    options: Any = {
        "context": server_context("valid"),
        "authenticator": PlainPasswords({"ann": "secret"}),
        "require_auth": True,
    }
    with CatchAll(**options) as catch_all:
        with smtplib.SMTP("localhost", catch_all.port, timeout=20) as client:
            client.starttls(context=client_context())
            client.login("ann", "secret")
            client.sendmail("ann@a.test", ["bob@b.test"], PLAIN)
        session = ask(catch_all, "/api/messages/1")["session"]
        assert session["tls"].startswith("TLSv1.")
        assert session["user"] == "ann"
        _, transcript = get(catch_all.url, "/api/messages/1/transcript")
        assert "-- TLS: TLSv1." in transcript
        assert "secret" not in transcript


def test_no_message_can_be_larger_than_what_is_kept() -> None:
    with pytest.raises(ValueError, match=r"octets must be at least limits\.message_size"):
        CatchAll(octets=100_000)
    with CatchAll(octets=100_000, limits=Limits(message_size=65_536)) as catch_all:
        with pytest.raises(smtplib.SMTPSenderRefused, match="552"):
            send(catch_all, PLAIN + b"x" * 70_000)
        assert catch_all.messages == []


def test_clients_of_the_page_do_not_hold_up_the_end() -> None:
    with ExitStack() as stack:
        clients = []
        with CatchAll() as catch_all:
            for path in ("events", "wait?seconds=60"):
                address = "127.0.0.1", port_of(catch_all.url)
                clients.append(stack.enter_context(socket.create_connection(address, 20)))
                clients[-1].sendall(f"GET /api/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            assert clients[0].recv(12) == b"HTTP/1.0 200"
        for client in clients:
            with suppress(ConnectionResetError):
                while client.recv(4096):
                    pass


def test_clients_that_left_while_they_waited_do_not_keep_others_out() -> None:
    wait = b"GET /api/wait?seconds=60 HTTP/1.0\r\nHost: localhost\r\n\r\n"
    with CatchAll() as catch_all:
        address = "127.0.0.1", port_of(catch_all.url)
        for _ in range(40):  # more than may be there at a time
            with socket.create_connection(address, 20) as client:
                client.sendall(wait)
        answer = b""
        while not answer.startswith(b"HTTP/1.0 200"):
            with suppress(ConnectionError), socket.create_connection(address, 20) as client:
                client.sendall(b"GET /api/messages HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = client.recv(4096)


def test_a_signal_ends_it() -> None:
    ports = []

    def stop(catch_all: CatchAll) -> None:
        ports.append(catch_all.port)
        signal.raise_signal(signal.SIGTERM)

    CatchAll().serve_forever(stop)
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", ports[0], timeout=20)
