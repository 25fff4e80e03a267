"""Peers that do not use TLS: the error says what they use instead, and what to check."""

from __future__ import annotations

import pytest

from smtpproto import TLSFailed, TLSVerify
from smtpproto.limits import CHUNK
from smtpproto.tls.context import client_context
from smtpproto.tls.filter import Filter
from smtpproto.wire.lines import begins_tls
from tests.support.certificates import LEAF
from tests.support.tls_libraries import (
    Library,
    Standard,
    client_of,
    context_of,
    each_library,
    server_of,
    trusting_context,
)

GREETINGS = [
    b"220 mx.example.org ESMTP ready\r\n",
    b"554 No service here\r\n",
    b"421 mx.example.org Too many connections\r\n",
    b"220-a\r\n220 b\r\n",
]


def unverifying_client() -> Filter:
    return client_of(client_context(TLSVerify.none()), None)


def feed(side: Filter, octets: bytes, size: int) -> None:
    """Give *octets* to *side* in pieces, and try the handshake after each."""
    for start in range(0, len(octets), size):
        side.receive(octets[start : start + size])
        side.handshake()


@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("size", [1, CHUNK])
def test_a_plain_greeting_makes_the_client_suggest_starttls(greeting: bytes, size: int) -> None:
    client = client_of(trusting_context())
    assert not client.handshake()
    for start in range(0, len(greeting), size):
        client.receive(greeting[start : start + size])
    with pytest.raises(TLSFailed) as caught:
        client.handshake()
    assert caught.value.phase == "TLS"
    assert "STARTTLS" in caught.value.check
    assert "check: " in str(caught.value)


@each_library
@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("size", [1, CHUNK])
def test_the_error_quotes_a_plain_greeting(library: Library, greeting: bytes, size: int) -> None:
    client = client_of(context_of(library, False))
    client.handshake()
    client.data_to_send()
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        feed(client, greeting, size)
    assert "STARTTLS" in caught.value.check
    assert client.data_to_send() == b""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "greeting", [b"220 mx.example.org ESMTP\r\n", b"554 No\r\n", b"220-a\r\n220 b\r\n", b"421\r\n"]
)
def test_a_client_that_verifies_nothing_quotes_a_plain_greeting_too(
    greeting: bytes, size: int
) -> None:
    client = unverifying_client()
    client.handshake()
    client.data_to_send()
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        feed(client, greeting, size)
    assert "STARTTLS" in caught.value.check
    assert client.data_to_send() == b""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("line", [b"EHLO client.example\r\n", b"quit\r\n", b"NOOP\n"])
def test_the_error_names_a_client_that_sends_plain_commands(line: bytes, size: int) -> None:
    server = server_of(Standard.server(LEAF))
    with pytest.raises(TLSFailed, match="the client speaks plain SMTP here"):
        feed(server, line, size)


@pytest.mark.parametrize(
    "command", [b"EHLO client.example\r\n", b"QUIT\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 50]
)
def test_a_server_refuses_plain_octets(command: bytes) -> None:
    server = server_of(Standard.server(LEAF))
    server.receive(command)
    with pytest.raises(TLSFailed, match="TLS failed: "):
        for _ in range(2):
            server.handshake()
            server.receive(b"")  # a short command could be the start of a record


@each_library
@pytest.mark.parametrize(
    ("octets", "why", "check"),
    [
        (b"EHLO client.example\r\n", "the client speaks plain SMTP here", "STARTTLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP_REQUEST", "speaks HTTP"),
        (b"\0" * 50, "", ""),
    ],
    ids=["SMTP", "HTTP", "zeros"],
)
def test_the_error_names_plain_smtp_and_http(
    library: Library, octets: bytes, why: str, check: str
) -> None:
    server = server_of(context_of(library, True))
    server.receive(octets)
    with pytest.raises(TLSFailed, match=f"^TLS failed: {why}") as caught:
        server.handshake()
    assert check in caught.value.check


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 20])
def test_other_protocols_are_not_called_plain_smtp(octets: bytes) -> None:
    for side in (
        server_of(Standard.server(LEAF)),
        unverifying_client(),
    ):
        side.receive(octets)
        with pytest.raises(TLSFailed) as caught:
            side.handshake()
        assert "plain SMTP" not in str(caught.value)


def test_begins_tls_recognises_handshakes_and_alerts() -> None:
    client = unverifying_client()
    client.handshake()
    hello = client.data_to_send()
    for octets in (hello, hello[:1], b"\x15\x03\x03\0\2\2\x28"):
        assert begins_tls(octets)
    for octets in (b"", b"220 mx", b"EHLO x", b"\x16 mx", b"\x14\x03", b"\x17\x03"):
        assert not begins_tls(octets)
