"""HAProxy tells a server the address of its client, in a PROXY header of version 1 or 2."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct

import pytest

from smtpproto import Handler, Session, TLSMode
from smtpproto.grammar.domain import HelloHost
from smtpproto.wire.proxy import ProxyHeader, ProxyTLS
from tests.interop.contents import ALICE, PLAIN, TO_ALICE
from tests.interop.dovecot import Dovecot
from tests.interop.haproxy import haproxy
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_client import send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import TIMEOUT, Certificate
from tests.interop.smtplib_client import dial, dial_lmtp, dial_tls

pytestmark = pytest.mark.peer("haproxy")

LOOPBACK = "127.0.0.0/8"
VERSIONS = ("send-proxy", "send-proxy-v2")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def octets_through_haproxy(options: str) -> tuple[bytes, int, int]:
    """Send EHLO through HAProxy. Return the octets that arrive, and the ports in the header."""
    with contextlib.ExitStack() as stack:
        back = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        front = stack.enter_context(haproxy(back.getsockname()[1], options))
        client = stack.enter_context(socket.create_connection(("127.0.0.1", front), TIMEOUT))
        client.sendall(b"EHLO client.test\r\n")
        client.shutdown(socket.SHUT_WR)
        back.settimeout(TIMEOUT)
        connection = stack.enter_context(back.accept()[0])
        return _read_to_end(connection), client.getsockname()[1], front


def _read_to_end(connection: socket.socket) -> bytes:
    connection.settimeout(TIMEOUT)
    return b"".join(iter(lambda: connection.recv(4096), b""))


def test_version_1_is_text_before_the_octets_of_the_client() -> None:
    received, source, front = octets_through_haproxy("send-proxy")
    header = b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (source, front)
    assert received == header + b"EHLO client.test\r\n"


@pytest.mark.parametrize("extra", [b"", b"\x03\0\4"], ids=["plain", "checksum"])
def test_version_2_is_binary_and_may_have_a_checksum(extra: bytes) -> None:
    options = "send-proxy-v2" + (" proxy-v2-options crc32c" if extra else "")
    received, source, front = octets_through_haproxy(options)
    loopback = socket.inet_aton("127.0.0.1")
    addresses = loopback * 2 + struct.pack("!HH", source, front)
    length = len(addresses) + (len(extra) + 4 if extra else 0)
    assert received.startswith(
        SIGNATURE + b"\x21\x11" + struct.pack("!H", length) + addresses + extra
    )
    assert received.endswith(b"EHLO client.test\r\n")


def test_a_health_check_in_version_2_is_local() -> None:
    """HAProxy connects for itself, without addresses."""
    with contextlib.ExitStack() as stack:
        back = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        options = "send-proxy-v2 check check-send-proxy inter 50ms"
        stack.enter_context(haproxy(back.getsockname()[1], options))
        back.settimeout(TIMEOUT)
        connection = stack.enter_context(back.accept()[0])
        assert connection.recv(16, socket.MSG_WAITALL) == SIGNATURE + b"\x20\0\0\0"


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("version", VERSIONS)
def test_our_client_reaches_postfix_through_haproxy(
    adapter: str, version: str, postfix: Postfix
) -> None:
    with haproxy(postfix.proxied, version) as front:
        send(adapter, front, PLAIN, TO_ALICE)
    assert_delivered(postfix.mailboxes.next("alice"), PLAIN)


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("version", VERSIONS)
def test_smtplib_reaches_dovecot_through_haproxy(version: str, dovecot: Dovecot) -> None:
    with (
        haproxy(dovecot.proxied, version) as front,
        dial_lmtp(front) as client,
    ):
        client.sendmail("ann@a.test", ALICE, PLAIN)
    assert_delivered(dovecot.mailboxes.next("alice"), PLAIN)


# -- our servers behind HAProxy ------------------------------------------------------------------


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("options", [*VERSIONS, "send-proxy-v2 proxy-v2-options crc32c"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "TLS"])
def test_our_server_takes_the_client_address_from_the_header(
    adapter: str, options: str, tls: bool, inbox: Inbox, certificate: Certificate
) -> None:
    """The session has the address and port of the client, not those of HAProxy."""
    context = certificate.server if tls else None
    with (
        serving(adapter, inbox, context=context, implicit_tls=tls, proxied_by=[LOOPBACK]) as port,
        haproxy(port, options) as front,
        dial_tls(front, certificate, implicit=True) if tls else dial(front) as client,
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
def test_the_header_describes_tls_that_ends_at_haproxy(
    adapter: str, inbox: Inbox, certificate: Certificate
) -> None:
    options = "send-proxy-v2-ssl-cn proxy-v2-options crc32c"
    with (
        serving(adapter, inbox, proxied_by=[LOOPBACK]) as port,
        haproxy(port, options, chain=certificate.chain) as front,
        dial_tls(front, certificate, implicit=True) as client,
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
def test_our_server_accepts_health_checks(adapter: str, version: str) -> None:
    """HAProxy connects for itself. Version 2 says LOCAL; version 1 sends its own address."""
    greeted: queue.Queue[Session] = queue.Queue()

    class EhloRecorder(Handler):
        def ehlo(self, session: Session, host: HelloHost) -> None:
            if host == "check.test":
                greeted.put(session)

    options = f"{version} check check-send-proxy inter 50ms"
    with serving(adapter, EhloRecorder(), proxied_by=[LOOPBACK]) as port, haproxy(port, options):
        first, second = (greeted.get(timeout=TIMEOUT) for _ in range(2))
    assert first.peer != second.peer
    for session in (first, second):
        assert session.peer[0] == "127.0.0.1"
        if version == "send-proxy-v2":
            assert session.proxied is None  # LOCAL
        else:
            assert session.proxied == ProxyHeader(session.peer, ("127.0.0.1", port))


def test_a_connection_without_the_expected_header_is_closed(adapter: str, inbox: Inbox) -> None:
    """A command is not a header: our server closes the connection without a reply."""
    with (
        serving(adapter, inbox, proxied_by=[LOOPBACK]) as port,
        haproxy(port, "") as front,
        socket.create_connection(("127.0.0.1", front), TIMEOUT) as client,
    ):
        client.sendall(b"EHLO client.test\r\n")
        assert _read_to_end(client) == b""


def test_a_header_from_an_untrusted_address_ends_the_connection(adapter: str, inbox: Inbox) -> None:
    with (
        serving(adapter, inbox, proxied_by=["192.0.2.0/24"]) as port,
        haproxy(port, "send-proxy") as front,
        socket.create_connection(("127.0.0.1", front), TIMEOUT) as client,
    ):
        client.sendall(b"QUIT\r\n")
        replies = _read_to_end(client)
    assert [reply[:4] for reply in replies.splitlines()] == [b"220 ", b"421 "]
    assert inbox.empty


# -- our clients send a header -------------------------------------------------------------------

FAR = ProxyHeader(("192.0.2.7", 4711), ("192.0.2.1", 25))


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["clear", "STARTTLS"])
def test_postfix_takes_the_client_address_from_our_header(
    adapter: str, mode: TLSMode, postfix: Postfix, certificate: Certificate
) -> None:
    envelope = TO_ALICE
    send(
        adapter,
        postfix.proxied,
        PLAIN,
        envelope,
        proxy_header=FAR,
        tls=mode,
        context=certificate.client,
    )
    assert "(unknown [192.0.2.7])" in fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("postfix")
def test_postfix_takes_our_own_address_after_a_local_header(adapter: str, postfix: Postfix) -> None:
    envelope = TO_ALICE
    send(adapter, postfix.proxied, PLAIN, envelope, proxy_header=ProxyHeader(local=True))
    assert "(unknown [127.0.0.1])" in fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("header", [FAR, ProxyHeader(("2001:db8::7", 4711), ("2001:db8::1", 24))])
def test_dovecot_takes_the_client_address_from_our_header(
    adapter: str, header: ProxyHeader, dovecot: Dovecot
) -> None:
    envelope = TO_ALICE
    send(adapter, dovecot.proxied, PLAIN, envelope, lmtp=True, proxy_header=header)
    received = fields_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]
    assert header.source is not None
    assert f"([{header.source[0]}])" in received
