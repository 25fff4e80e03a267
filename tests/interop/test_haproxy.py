"""HAProxy tells a server who its client is: by a PROXY header, as text or binary."""

from __future__ import annotations

import contextlib
import queue
import smtplib
import socket
import struct

import pytest

from smtpproto import Envelope, Handler, Session, TLSMode
from smtpproto.grammar.domain import Host
from smtpproto.wire.proxy import ProxyHeader, ProxyTLS
from tests.interop.dovecot import Dovecot
from tests.interop.haproxy import haproxy
from tests.interop.mailboxes import trace_above
from tests.interop.peers import PLAIN, Inbox, send, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import PATIENCE, Certificate

pytestmark = pytest.mark.peer("haproxy")

LOOPBACK = "127.0.0.0/8"
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


# -- in front of our servers ---------------------------------------------------------------------


def dial(port: int, certificate: Certificate, *, tls: bool) -> smtplib.SMTP:
    if tls:
        return smtplib.SMTP_SSL("127.0.0.1", port, timeout=PATIENCE, context=certificate.client)
    return smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("options", [*VERSIONS, "send-proxy-v2 proxy-v2-options crc32c"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "TLS"])
def test_in_front_of_us(
    flavour: str, options: str, tls: bool, inbox: Inbox, certificate: Certificate
) -> None:
    """We see the client's address and port, of which HAProxy's connection knows nothing."""
    context = certificate.server if tls else None
    with (
        serving(flavour, inbox, context=context, implicit_tls=tls, proxied_by=[LOOPBACK]) as port,
        haproxy(port, options) as front,
        dial(front, certificate, tls=tls) as client,
    ):
        assert client.sock is not None
        source = client.sock.getsockname()
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
        arrival = inbox.next()
    assert arrival.body == PLAIN
    session = arrival.session
    assert session.peer == source
    assert session.proxied == ProxyHeader(source, ("127.0.0.1", front))
    assert (session.tls is not None) is tls


@pytest.mark.peer("smtplib")
def test_tls_that_ends_at_haproxy(flavour: str, inbox: Inbox, certificate: Certificate) -> None:
    options = "send-proxy-v2-ssl-cn proxy-v2-options crc32c"
    with (
        serving(flavour, inbox, proxied_by=[LOOPBACK]) as port,
        haproxy(port, options, chain=certificate.chain) as front,
        dial(front, certificate, tls=True) as client,
    ):
        assert client.sock is not None
        source = client.sock.getsockname()
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
        session = inbox.next().session
    assert session.peer == source
    assert session.tls is None
    assert session.proxied is not None
    assert session.proxied.tls == ProxyTLS(version="TLSv1.3")


@pytest.mark.parametrize("version", VERSIONS)
def test_health_check_of_us(flavour: str, version: str) -> None:
    """HAProxy asks for itself, which version 1 has no word for."""
    greeted: queue.Queue[Session] = queue.Queue()

    class Greeted(Handler):
        def ehlo(self, session: Session, host: Host) -> None:
            if host == "check.test":
                greeted.put(session)

    options = f"{version} check check-send-proxy inter 50ms"
    with serving(flavour, Greeted(), proxied_by=[LOOPBACK]) as port, haproxy(port, options):
        first, second = (greeted.get(timeout=PATIENCE) for _ in range(2))
    assert first.peer != second.peer
    for session in (first, second):
        assert session.peer[0] == "127.0.0.1"
        if version == "send-proxy-v2":
            assert session.proxied is None  # LOCAL
        else:
            assert session.proxied == ProxyHeader(session.peer, ("127.0.0.1", port))


def test_no_header_from_whom_it_is_expected(flavour: str, inbox: Inbox) -> None:
    """A client's command is none: the connection ends without a word."""
    with (
        serving(flavour, inbox, proxied_by=[LOOPBACK]) as port,
        haproxy(port, "") as front,
        socket.create_connection(("127.0.0.1", front), PATIENCE) as client,
    ):
        client.sendall(b"EHLO client.test\r\n")
        assert _until_end(client) == b""


def test_header_from_whom_none_is_expected(flavour: str, inbox: Inbox) -> None:
    with (
        serving(flavour, inbox, proxied_by=["192.0.2.0/24"]) as port,
        haproxy(port, "send-proxy") as front,
        socket.create_connection(("127.0.0.1", front), PATIENCE) as client,
    ):
        client.sendall(b"QUIT\r\n")
        replies = _until_end(client)
    assert [reply[:4] for reply in replies.splitlines()] == [b"220 ", b"500 ", b"221 "]
    assert inbox.empty


# -- our clients in its place --------------------------------------------------------------------

FAR = ProxyHeader(("192.0.2.7", 4711), ("192.0.2.1", 25))


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["clear", "STARTTLS"])
def test_client_to_postfix(
    flavour: str, mode: TLSMode, postfix: Postfix, certificate: Certificate
) -> None:
    envelope = Envelope("ann@a.test", "alice@box.test")
    send(flavour, postfix.proxied, PLAIN, envelope, proxy=FAR, tls=mode, context=certificate.client)
    assert "(unknown [192.0.2.7])" in trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("postfix")
def test_client_to_postfix_for_itself(flavour: str, postfix: Postfix) -> None:
    envelope = Envelope("ann@a.test", "alice@box.test")
    send(flavour, postfix.proxied, PLAIN, envelope, proxy=ProxyHeader(local=True))
    assert "(unknown [127.0.0.1])" in trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("header", [FAR, ProxyHeader(("2001:db8::7", 4711), ("2001:db8::1", 24))])
def test_client_to_dovecot(flavour: str, header: ProxyHeader, dovecot: Dovecot) -> None:
    envelope = Envelope("ann@a.test", "alice@box.test")
    send(flavour, dovecot.proxied, PLAIN, envelope, lmtp=True, proxy=header)
    received = trace_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]
    assert header.source is not None
    assert f"([{header.source[0]}])" in received
