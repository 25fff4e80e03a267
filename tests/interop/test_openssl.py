"""TLS with OpenSSL's own programs, where it fails and where it does not."""

from __future__ import annotations

import hashlib
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
from smtpproto.grammar.domain import Host
from tests.interop.openssl import recorded, s_client, s_server
from tests.interop.peers import converse, serving
from tests.interop.programs import PATIENCE, logged
from tests.support.certificates import der, expired, self_signed, server_context
from tests.support.tls_server import is_tls

pytestmark = pytest.mark.peer("openssl")

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
GOOD = CA.issue_cert("127.0.0.1", "localhost")
OLD = ("-cipher", "ALL:@SECLEVEL=0")


def written(leaf: trustme.LeafCert, directory: Path) -> Path:
    file = directory / "chain.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(file)
    return file


async def nothing(_: Client) -> None:
    raise AssertionError("it was trusted")


# -- our clients, its server ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "options", "why"),
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
@pytest.mark.req("RFC8314-3.3-02", "RFC8314-4-01", "RFC8314-5-01", "RFC4954-14-01")
def test_a_server_that_is_not_good_enough(
    leaf: trustme.LeafCert, options: tuple[str, ...], why: str, flavour: str, tmp_path: Path
) -> None:
    """Nothing but TLS is said to it, and of that only what begins or ends a handshake."""
    chain = written(leaf, tmp_path)
    with (
        s_server(tmp_path / "log", chain, *options) as port,
        recorded(port) as (front, said),
        pytest.raises(TLSFailed, match=why) as caught,
    ):
        login = ("ann", "secret")
        converse(flavour, front, nothing, tls=TLSMode.IMPLICIT, verify=TRUST, login=login)
    assert caught.value.check
    assert said[:2] == b"\x16\x03"
    assert is_tls(bytes(said))


def test_a_fingerprint_is_enough(flavour: str, tmp_path: Path) -> None:
    """TLS is agreed, and then the greeting is waited for, which never comes."""
    leaf = expired(CA)
    verify = TLSVerify.by_fingerprint(hashlib.sha256(der(leaf)).hexdigest())
    with (
        s_server(tmp_path / "log", written(leaf, tmp_path)) as port,
        pytest.raises(TimedOut) as caught,
    ):
        timeouts = Timeouts(greeting=0.1)
        converse(flavour, port, nothing, tls=TLSMode.IMPLICIT, verify=verify, timeouts=timeouts)
    assert caught.value.phase == "greeting"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_that_wants_a_certificate(flavour: str, version: str, tmp_path: Path) -> None:
    ca, mine = tmp_path / "ca.pem", tmp_path / "mine.pem"
    CA.cert_pem.write_to_path(ca)
    issued = CA.issue_cert("client.example", common_name="the client")
    issued.private_key_and_cert_chain_pem.write_to_path(mine)
    wants = ("-Verify", "1", "-verify_return_error", "-CAfile", ca, version, "-brief")
    log = tmp_path / "log"
    with s_server(log, written(GOOD, tmp_path), *wants) as port:
        with recorded(port) as (front, said), pytest.raises(TLSFailed, match="ALERT"):
            converse(flavour, front, nothing, tls=TLSMode.IMPLICIT, verify=TRUST)
        assert is_tls(bytes(said))
        with pytest.raises(TimedOut) as caught:
            converse(
                flavour,
                port,
                nothing,
                tls=TLSMode.IMPLICIT,
                verify=TRUST,
                certificate=ClientCertificate(mine),
                timeouts=Timeouts(greeting=0.1),
            )
        assert caught.value.phase == "greeting"
        logged(log, "the client")


@pytest.mark.parametrize("mode", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
def test_a_server_that_never_answers(flavour: str, mode: TLSMode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimedOut) as caught:
        port = listener.getsockname()[1]
        timeouts = Timeouts(tls=0.1, greeting=0.1)
        converse(flavour, port, nothing, tls=mode, timeouts=timeouts)
    assert caught.value.phase == ("TLS" if mode is TLSMode.IMPLICIT else "greeting")


# -- its client, our servers ---------------------------------------------------------------------


class Seen(Handler):
    """What TLS agreed on, of each session."""

    def __init__(self) -> None:
        self._infos: queue.Queue[TLSInfo | None] = queue.Queue()

    def tls(self, session: Session) -> None:
        self._infos.put(session.tls)

    def ehlo(self, session: Session, host: Host) -> None:
        if session.tls is None:
            self._infos.put(None)

    def next(self) -> TLSInfo | None:
        return self._infos.get(timeout=PATIENCE)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(file)
    return file


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.req("RFC8314-3.3-04")
def test_its_client_sees_a_certificate_that_was_renewed(
    flavour: str, implicit: bool, version: str, ca: Path
) -> None:
    current = server_context(GOOD)
    renewed = CA.issue_cert("localhost")
    start = () if implicit else ("-starttls", "smtp")
    trusts = ("-CAfile", ca, "-verify_hostname", "localhost", version)
    with serving(flavour, Seen(), context=lambda: current, implicit_tls=implicit) as port:
        for leaf in (GOOD, renewed):
            current = server_context(leaf)
            said = s_client(port, *trusts, *start)
            assert ssl.DER_cert_to_PEM_cert(der(leaf)) in said
            assert "Verify return code: 0 (ok)" in said


def test_its_client_shows_a_certificate(flavour: str, ca: Path, tmp_path: Path) -> None:
    issued = CA.issue_cert("client.example")
    context = server_context(GOOD)
    context.verify_mode = ssl.CERT_OPTIONAL
    CA.configure_trust(context)
    handler = Seen()
    start = ("-CAfile", ca, "-starttls", "smtp", "-tls1_2")
    with serving(flavour, handler, context=context) as port:
        mine = written(issued, tmp_path)
        for options, shown in ((("-cert", mine, "-key", mine), der(issued)), ((), None)):
            s_client(port, *start, *options)
            assert handler.next() is None  # in clear
            info = handler.next()
            assert info is not None
            assert (info.peer_certificate, info.verified) == (shown, shown is not None)
        other = written(trustme.CA().issue_cert("client.example"), tmp_path)
        s_client(port, *start, "-cert", other, "-key", other, check=False)
        assert handler.next() is None
    assert handler._infos.empty(), "who shows one of a stranger does not come in"


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_its_old_client_does_not_come_in(flavour: str, version: str, ca: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    GOOD.configure_cert(context)
    handler = Seen()
    with serving(flavour, handler, context=context, implicit_tls=True) as port:
        said = s_client(port, "-CAfile", ca, *OLD, version, check=False)
    assert "alert protocol version" in said
    assert handler._infos.empty()


def test_its_client_at_the_wrong_port(flavour: str, ca: Path) -> None:
    handler = Seen()
    with serving(flavour, handler, context=server_context(GOOD)) as port:
        assert "wrong version number" in s_client(port, "-CAfile", ca, check=False)
    assert handler._infos.empty()
