"""Who speaks for another: faults that a hostile review found, and their mends."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import trustme

from smtpproto import (
    Authenticator,
    ClientCertificate,
    ClientConfig,
    Handler,
    ServerConfig,
    TLSMode,
    TLSVerify,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.extension_command import XClient
from smtpproto.grammar.xclient import XClientAttributes
from smtpproto.testing.simulation import Simulation
from tests.support.certificates import NAME, server_context


class Known(Authenticator):
    def certificate_user(self, certificate: bytes) -> str:
        return "proxy"


def test_the_certificate_shown_behind_xclient_is_not_that_of_the_other(tmp_path: Path) -> None:
    """XCLIENT before STARTTLS: the address is the other's, and so EXTERNAL was the proxy's."""
    ca, simulation = trustme.CA(), Simulation(1)
    leaf = ca.issue_cert("proxy@example.org")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "proxy.pem"))
    context = server_context(ca.issue_cert(NAME))
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ServerConfig(context=context, xclient_from=["192.0.2.1"], authenticator=Known())
    simulation.listen(25, Handler(), server)

    async def main() -> None:
        config = ClientConfig(
            tls="none",
            verify=TLSVerify.by_ca(ca.cert_pem.bytes()),
            certificate=ClientCertificate(tmp_path / "proxy.pem"),
        )
        async with await open_client(simulation, NAME, 25, config) as client:
            told = XClientAttributes(addr=ip_address("198.51.100.1"))
            assert (await client.command(XClient(told))).positive
            with client._link.conversation():
                await client._upgrade(TLSMode.REQUIRED)
            session = simulation.conversations[0]._session
            assert session.tls is not None and session.tls.verified
            assert session.peer[0] == "198.51.100.1" and session.impersonated == told
            assert client.extensions.mechanisms == ()

    simulation.run(main())
