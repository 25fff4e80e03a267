"""TLS with the client and server of OpenSSL: handshakes that fail and that succeed."""

from __future__ import annotations

import queue
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from smtpproto import (
    Client,
    ClientCertificate,
    Handler,
    Session,
    TimedOut,
    Timeouts,
    TLSFailed,
    TLSInfo,
    TLSMode,
    TLSVerify,
)
from smtpproto.grammar.domain import HelloHost
from tests.interop.openssl import recording_proxy, s_client, s_server
from tests.interop.our_client import converse
from tests.interop.our_server import serving
from tests.interop.programs import TIMEOUT, wait_for_log
from tests.support.certificates import der, expired, fingerprint, self_signed, server_context
from tests.support.tls_server import is_tls

pytestmark = pytest.mark.peer("openssl")

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
GOOD = CA.issue_cert("127.0.0.1", "localhost")
OLD = ("-cipher", "ALL:@SECLEVEL=0")


def pem_file(leaf: trustme.LeafCert, directory: Path) -> Path:
    """Write the key and chain of *leaf* to a file, and return its path."""
    file = directory / "chain.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(file)
    return file


async def fail(_: Client) -> None:
    """Fail the test, because the client opened a session."""
    raise AssertionError("the client opened a session")


# -- our clients and the server of OpenSSL -------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "options", "reason"),
    [
        (GOOD, (*OLD, "-tls1"), "ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"),
        (GOOD, (*OLD, "-tls1_1"), "ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"),
        (CA.issue_cert("mx.example.org"), (), "IP address mismatch"),
        (expired(CA, "127.0.0.1"), (), "certificate has expired"),
        (trustme.CA().issue_cert("127.0.0.1"), (), "unable to get local issuer"),
        (self_signed("localhost"), (), "self-signed"),
    ],
    ids=["TLS 1.0", "TLS 1.1", "name", "expired", "CA", "self-signed"],
)
@pytest.mark.req(
    "RFC8314-3.3-02", "RFC8314-4-01/client", "RFC8314-4-01/server", "RFC8314-5-01", "RFC4954-14-01"
)
def test_a_server_that_cannot_be_verified_receives_only_tls_records(
    leaf: trustme.LeafCert, options: tuple[str, ...], reason: str, adapter: str, tmp_path: Path
) -> None:
    """The client sends only records of a handshake that begins and fails."""
    chain = pem_file(leaf, tmp_path)
    with (
        s_server(tmp_path / "log", chain, *options) as port,
        recording_proxy(port) as (front, sent),
        pytest.raises(TLSFailed, match=reason) as caught,
    ):
        login = ("ann", "secret")
        converse(adapter, front, fail, tls=TLSMode.IMPLICIT, verify=TRUST, login=login)
    assert caught.value.check
    assert sent[:2] == b"\x16\x03"
    assert is_tls(bytes(sent))


def test_a_fingerprint_verifies_an_expired_certificate(adapter: str, tmp_path: Path) -> None:
    """The handshake succeeds; then the client waits for a greeting, which does not come."""
    leaf = expired(CA)
    verify = TLSVerify.by_fingerprint(fingerprint(leaf))
    with (
        s_server(tmp_path / "log", pem_file(leaf, tmp_path)) as port,
        pytest.raises(TimedOut) as caught,
    ):
        timeouts = Timeouts(greeting=0.1)
        converse(adapter, port, fail, tls=TLSMode.IMPLICIT, verify=verify, timeouts=timeouts)
    assert caught.value.phase == "greeting"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_that_requires_a_client_certificate_gets_ours(
    adapter: str, version: str, tmp_path: Path
) -> None:
    ca, mine = tmp_path / "ca.pem", tmp_path / "mine.pem"
    CA.cert_pem.write_to_path(ca)
    issued = CA.issue_cert("client.example", common_name="the client")
    issued.private_key_and_cert_chain_pem.write_to_path(mine)
    options = ("-Verify", "1", "-verify_return_error", "-CAfile", ca, version, "-brief")
    log = tmp_path / "log"
    with s_server(log, pem_file(GOOD, tmp_path), *options) as port:
        with recording_proxy(port) as (front, sent), pytest.raises(TLSFailed, match="ALERT"):
            converse(adapter, front, fail, tls=TLSMode.IMPLICIT, verify=TRUST)
        assert is_tls(bytes(sent))
        with pytest.raises(TimedOut) as caught:
            converse(
                adapter,
                port,
                fail,
                tls=TLSMode.IMPLICIT,
                verify=TRUST,
                certificate=ClientCertificate(mine),
                timeouts=Timeouts(greeting=0.1),
            )
        assert caught.value.phase == "greeting"
        wait_for_log(log, "the client")


@pytest.mark.parametrize("mode", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
def test_a_silent_server_causes_a_timeout(adapter: str, mode: TLSMode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimedOut) as caught:
        port = listener.getsockname()[1]
        timeouts = Timeouts(tls=0.1, greeting=0.1)
        converse(adapter, port, fail, tls=mode, timeouts=timeouts)
    assert caught.value.phase == ("TLS" if mode is TLSMode.IMPLICIT else "greeting")


# -- the client of OpenSSL and our servers -------------------------------------------------------


class TLSRecorder(Handler):
    """Records the TLS of each session, or None at EHLO in clear."""

    def __init__(self) -> None:
        self._infos: queue.Queue[TLSInfo | None] = queue.Queue()

    def tls(self, session: Session) -> None:
        self._infos.put(session.tls)

    def ehlo(self, session: Session, host: HelloHost) -> None:
        if session.tls is None:
            self._infos.put(None)

    def next(self) -> TLSInfo | None:
        """Wait for the next record and return it."""
        return self._infos.get(timeout=TIMEOUT)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The certificate of CA, in a file."""
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(file)
    return file


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.req("RFC8314-3.3-04/client", "RFC8314-3.3-04/server")
def test_clients_see_a_renewed_certificate(
    adapter: str, implicit: bool, version: str, ca: Path
) -> None:
    current = server_context(GOOD)
    renewed = CA.issue_cert("localhost")
    start = () if implicit else ("-starttls", "smtp")
    trusts = ("-CAfile", ca, "-verify_hostname", "localhost", version)
    with serving(adapter, TLSRecorder(), context=lambda: current, implicit_tls=implicit) as port:
        for leaf in (GOOD, renewed):
            current = server_context(leaf)
            output = s_client(port, *trusts, *start)
            assert ssl.DER_cert_to_PEM_cert(der(leaf)) in output
            assert "Verify return code: 0 (ok)" in output


def test_our_server_sees_the_certificate_of_a_client(
    adapter: str, ca: Path, tmp_path: Path
) -> None:
    issued = CA.issue_cert("client.example")
    context = server_context(GOOD)
    context.verify_mode = ssl.CERT_OPTIONAL
    CA.configure_trust(context)
    handler = TLSRecorder()
    start = ("-CAfile", ca, "-starttls", "smtp", "-tls1_2")
    with serving(adapter, handler, context=context) as port:
        mine = pem_file(issued, tmp_path)
        for options, shown in ((("-cert", mine, "-key", mine), der(issued)), ((), None)):
            s_client(port, *start, *options)
            assert handler.next() is None  # in clear
            info = handler.next()
            assert info is not None
            assert (info.peer_certificate, info.verified) == (shown, shown is not None)
        other = pem_file(trustme.CA().issue_cert("client.example"), tmp_path)
        s_client(port, *start, "-cert", other, "-key", other, check=False)
        assert handler.next() is None
    assert handler._infos.empty(), "a client with a certificate of an unknown CA completed TLS"


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_our_server_refuses_old_tls_versions(adapter: str, version: str, ca: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    GOOD.configure_cert(context)
    handler = TLSRecorder()
    with serving(adapter, handler, context=context, implicit_tls=True) as port:
        output = s_client(port, "-CAfile", ca, *OLD, version, check=False)
    assert "alert protocol version" in output
    assert handler._infos.empty()


def test_implicit_tls_on_a_starttls_port_fails(adapter: str, ca: Path) -> None:
    handler = TLSRecorder()
    with serving(adapter, handler, context=server_context(GOOD)) as port:
        assert "wrong version number" in s_client(port, "-CAfile", ca, check=False)
    assert handler._infos.empty()
