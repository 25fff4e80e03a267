"""DANE and MTA-STS with Postfix, Unbound and a signed zone (RFC 7672, RFC 8461)."""

from __future__ import annotations

import contextlib
import http.server
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme

from smtpproto import Envelope, TLSVerify
from smtpproto.adapters.https import HTTPSFetch
from smtpproto.mta.route import Direct
from smtpproto.mta.settlement import Fate
from smtpproto.policy import Fetched, MTASTSMode, MTASTSPolicy
from smtpproto.ports import Runtime, Stream
from smtpproto.transfer import TLSPolicies
from tests.interop import postfix as postfix_peer
from tests.interop.contents import ALICE, PLAIN
from tests.interop.mail_agent import MailAgent, mail_agent
from tests.interop.mailboxes import assert_delivered
from tests.interop.our_client import send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, wait_for_log
from tests.interop.recording_server import in_thread

pytest.importorskip("dns")
pytest.importorskip("cryptography")

from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.adapters.dnspython import DNSResolver
from tests.interop import unbound

pytestmark = [pytest.mark.peer(name) for name in ("postfix", "nsd", "unbound")]

DANE = TLSPolicies(dane=CryptographyCertificates())
Start = Callable[..., AbstractContextManager[MailAgent]]


@pytest.fixture(scope="session")
def resolver(certificate: Certificate) -> Iterator[str]:
    """The address of Unbound."""
    with unbound.resolver(certificate) as address:
        yield address


@pytest.fixture(scope="session")
def dane_postfix(certificate: Certificate, _sasl: Path, resolver: str) -> Iterator[Postfix]:
    """Postfix, which asks Unbound."""
    with postfix_peer.started(certificate, _sasl, resolver) as peer:
        yield peer


@pytest.fixture
def start(adapter: str, tmp_path: Path, resolver: str, postfix: Postfix) -> Start:
    """Return what runs our MTA while a block runs. All hosts are Postfix; it asks Unbound."""

    def runs(
        policies: TLSPolicies, verify: TLSVerify | None = None
    ) -> AbstractContextManager[MailAgent]:
        options: dict[str, Any] = {"resolver": DNSResolver([resolver]), "tls_policies": policies}
        routes = {"*": Direct(port=postfix.port, verify=verify)}
        return mail_agent(adapter, tmp_path, routes, **options)

    return runs


def waits(mail: MailAgent, recipient: str, *why: str) -> None:
    """Check that a message for *recipient* is to be tried again, and that its story tells *why*."""
    name = mail.send(PLAIN, Envelope("ann@a.test", recipient))
    mail.after_attempts(name)
    story = mail.explain(name)
    assert all(text in story for text in why), story


# -- DANE ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["box.test", "issued.box.test", "without.box.test"])
def test_our_mta_delivers_to_a_host_that_fits_its_records_or_has_none(
    start: Start, postfix: Postfix, domain: str
) -> None:
    with start(DANE) as mail:
        name = mail.send(PLAIN, Envelope("ann@a.test", f"alice@{domain}"))
        [ended] = mail.end(name).ended
    assert ended.fate is Fate.RELAYED
    assert ended.delivery.log[-1].host in (f"mx.{domain}", domain.replace(".", "-mx.", 1))
    delivered = postfix.mailboxes.next("alice")
    assert_delivered(delivered, PLAIN)
    assert b" with ESMTPS id " in delivered


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("other", "no TLSA record fits the certificate"),
        ("forged", "MX records of forged.box.test did not pass DNSSEC"),
        ("records", "it is not known whether the host has TLSA records"),
    ],
)
def test_our_mta_keeps_mail_for_hosts_that_may_be_false(
    start: Start, domain: str, why: str
) -> None:
    with start(DANE) as mail:
        waits(mail, f"bob@{domain}.box.test", why)


@pytest.mark.parametrize("domain", ["box", "issued.box"])
def test_postfix_delivers_to_our_server_by_our_records(
    adapter: str, dane_postfix: Postfix, certificate: Certificate, inbox: Inbox, domain: str
) -> None:
    with serving(adapter, inbox, context=certificate.server) as port:
        recipient = f"bob@{port}.{domain}.test"
        send(adapter, dane_postfix.port, PLAIN, Envelope("ann@a.test", recipient))
        arrival = inbox.next()
    assert arrival.recipients == [recipient]
    assert arrival.session.tls is not None
    host = "mx" if domain == "box" else "issued-mx"
    said = f"Verified TLS connection established to {host}.box.test[127.0.0.1]:{port}"
    wait_for_log(dane_postfix.log, said)


def test_postfix_keeps_mail_for_our_server_if_it_does_not_fit(
    adapter: str, dane_postfix: Postfix, certificate: Certificate, inbox: Inbox
) -> None:
    with serving(adapter, inbox, context=certificate.server) as port:
        recipient = f"bob@{port}.other.box.test"
        send(adapter, dane_postfix.port, PLAIN, Envelope("ann@a.test", recipient))
        said = (
            f"failed for other-mx.box.test[127.0.0.1]:{port}: num=65:no matching DANE TLSA records"
        )
        wait_for_log(dane_postfix.log, said)
        wait_for_log(dane_postfix.log, "status=deferred (Server certificate not verified)")
    assert inbox.empty


# -- MTA-STS -------------------------------------------------------------------------------------


class Policies(http.server.BaseHTTPRequestHandler):
    """Answers with the policy of the server."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/.well-known/mta-sts.txt" else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(self.server.policy)  # type: ignore[attr-defined]

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


class Here:
    """A runtime that dials this host, whatever the name."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    async def dial(self, host: str, *arguments: Any) -> Stream:
        return await self._runtime.dial("127.0.0.1", *arguments)


class FetchHere(HTTPSFetch):
    """Fetches from this host, whatever the name, which is in the certificate."""

    async def get(self, host: str, path: str, runtime: Runtime) -> Fetched:
        return await super().get(host, path, Here(runtime))


@contextlib.contextmanager
def published(mode: MTASTSMode, mx: str, name: str = "mta-sts.box.test") -> Iterator[TLSPolicies]:
    """Serve a policy while the block runs, with a certificate for *name*."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Policies) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.policy = bytes(MTASTSPolicy(mode=mode, mx=(mx,)))  # type: ignore[attr-defined]
        verify = TLSVerify.by_ca(authority.cert_pem.bytes().decode())
        with in_thread(server):
            yield TLSPolicies(mta_sts=FetchHere(port=server.server_port, verify=verify))


def test_a_host_that_an_enforced_policy_names_is_verified(
    start: Start, certificate: Certificate, postfix: Postfix
) -> None:
    verify = TLSVerify.by_ca(certificate.ca)
    with published(MTASTSMode.ENFORCE, "*.box.test") as policies, start(policies, verify) as mail:
        name = mail.send(PLAIN, Envelope("ann@a.test", ALICE))
        assert mail.end(name).ended[0].fate is Fate.RELAYED
    assert b" with ESMTPS id " in postfix.mailboxes.next("alice")


@pytest.mark.parametrize(
    ("mx", "verify", "why"),
    [
        ("mx.box.test", TLSVerify.by_name(), "certificate"),
        ("mx.example.test", None, "MTA-STS policy does not name the host"),
    ],
    ids=["issuer", "name"],
)
def test_an_enforced_policy_keeps_mail_from_a_host_that_fails_it(
    start: Start, mx: str, verify: TLSVerify | None, why: str
) -> None:
    with published(MTASTSMode.ENFORCE, mx) as policies, start(policies, verify) as mail:
        waits(mail, ALICE, why)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (MTASTSMode.TESTING, "mta-sts.box.test"),
        (MTASTSMode.NONE, "mta-sts.box.test"),
        (MTASTSMode.ENFORCE, "other.box.test"),
    ],
    ids=["testing", "none", "not its server"],
)
def test_a_policy_that_is_not_in_force_keeps_no_mail(
    start: Start, postfix: Postfix, mode: MTASTSMode, name: str
) -> None:
    with published(mode, "mx.example.test", name) as policies, start(policies) as mail:
        message = mail.send(PLAIN, Envelope("ann@a.test", ALICE))
        assert mail.end(message).ended[0].fate is Fate.RELAYED
    assert_delivered(postfix.mailboxes.next("alice"), PLAIN)
