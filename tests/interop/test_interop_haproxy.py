"""HAProxy tells a server who its client is: by a PROXY header, as text or binary."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import struct

import pytest

from interop.dovecot import Dovecot
from interop.haproxy import haproxy
from interop.mailboxes import trace_above
from interop.peers import PLAIN, send
from interop.postfix import Postfix
from interop.programs import PATIENCE
from smtpproto import Envelope

pytestmark = pytest.mark.peer("haproxy")

VERSIONS = ("send-proxy", "send-proxy-v2")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def heard_through(options: str) -> tuple[bytes, int, int]:
    """What arrives through HAProxy of a client that says "EHLO" and ends; the header's ports."""
    with contextlib.ExitStack() as stack:
        back = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        front = stack.enter_context(haproxy(back.getsockname()[1], options))
        client = stack.enter_context(socket.create_connection(("127.0.0.1", front), PATIENCE))
        client.sendall(b"EHLO client.test\r\n")
        client.shutdown(socket.SHUT_WR)
        back.settimeout(PATIENCE)
        connection = stack.enter_context(back.accept()[0])
        return _until_end(connection), client.getsockname()[1], front


def _until_end(connection: socket.socket) -> bytes:
    connection.settimeout(PATIENCE)
    return b"".join(iter(lambda: connection.recv(4096), b""))


def test_version_1() -> None:
    heard, source, front = heard_through("send-proxy")
    header = b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (source, front)
    assert heard == header + b"EHLO client.test\r\n"


@pytest.mark.parametrize("extra", [b"", b"\x03\0\4"], ids=["plain", "checksum"])
def test_version_2(extra: bytes) -> None:
    options = "send-proxy-v2" + (" proxy-v2-options crc32c" if extra else "")
    heard, source, front = heard_through(options)
    loopback = socket.inet_aton("127.0.0.1")
    addresses = loopback * 2 + struct.pack("!HH", source, front)
    length = len(addresses) + (len(extra) + 4 if extra else 0)
    assert heard.startswith(SIGNATURE + b"\x21\x11" + struct.pack("!H", length) + addresses + extra)
    assert heard.endswith(b"EHLO client.test\r\n")


def test_version_2_of_health_check() -> None:
    """HAProxy asks for itself, without addresses: the command LOCAL."""
    with contextlib.ExitStack() as stack:
        back = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        options = "send-proxy-v2 check check-send-proxy inter 50ms"
        stack.enter_context(haproxy(back.getsockname()[1], options))
        back.settimeout(PATIENCE)
        connection = stack.enter_context(back.accept()[0])
        assert connection.recv(16, socket.MSG_WAITALL) == SIGNATURE + b"\x20\0\0\0"


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("version", VERSIONS)
def test_in_front_of_postfix(flavour: str, version: str, postfix: Postfix) -> None:
    with haproxy(postfix.proxied, version) as front:
        send(flavour, front, PLAIN, Envelope("ann@a.test", "alice@box.test"))
    trace_above(postfix.mailboxes.next("alice"), PLAIN)


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("version", VERSIONS)
def test_in_front_of_dovecot(version: str, dovecot: Dovecot) -> None:
    with (
        haproxy(dovecot.proxied, version) as front,
        smtplib.LMTP("127.0.0.1", front, timeout=PATIENCE) as client,
    ):
        client.sendmail("ann@a.test", "alice@box.test", PLAIN)
    trace_above(dovecot.mailboxes.next("alice"), PLAIN)
