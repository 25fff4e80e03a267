"""Client certificates, and logins that depend on TLS."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from smtpproto import (
    Authenticator,
    BadCredentials,
    BearerToken,
    Client,
    ClientCertificate,
    ClientConfig,
    External,
    Handler,
    Login,
    NotOffered,
    ScramKeys,
    ServerConfig,
    TLSFailed,
    TLSMode,
    TokenClaim,
    TransportError,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.extension_command import XClient
from smtpproto.grammar.xclient import XClientAttributes
from smtpproto.sasl import Credential, Identity
from smtpproto.server.config import ServerOptions
from smtpproto.testing.simulation import Simulation
from tests.support.certificates import CA, LEAF, NAME, server_context
from tests.support.logins import NO_DELAY
from tests.support.tls_sessions import (
    SERVER_CONTEXT,
    TRUST,
    EventRecorder,
    converse,
    dialogue_of,
    do_nothing,
    each_mode,
    serving,
)


@pytest.fixture(scope="module")
def client_certificate(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    """Return a certificate of CA for client.example."""
    file = tmp_path_factory.mktemp("client") / "both.pem"
    CA.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(file)
    return ClientCertificate(file)


def asking_context(mode: ssl.VerifyMode) -> ssl.SSLContext:
    """Return a server's context that asks for certificates of CA, or requires them."""
    context = server_context(LEAF)
    CA.configure_trust(context)
    context.verify_mode = mode
    return context


class CertificateAccounts(Authenticator):
    """Knows Ann by password, and by the certificate of client.example."""

    def certificate_user(self, certificate: bytes) -> str | None:
        return "ann" if b"client.example" in certificate else None

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        salt = hash_name.encode() * 3
        ann = ScramKeys.derive("secret", salt=salt, hash_name=hash_name)
        return ann if username == "ann" else None


SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1")


# -- certificates --------------------------------------------------------------------------------


@each_mode
@pytest.mark.parametrize(
    ("asked", "shows", "verified"),
    [
        (ssl.CERT_NONE, True, False),
        (ssl.CERT_OPTIONAL, True, True),
        (ssl.CERT_OPTIONAL, False, False),
        (ssl.CERT_REQUIRED, True, True),
    ],
)
@pytest.mark.req("RFC3207-6-08/client", "RFC3207-6-08/server", "RFC8314-4.2-02", "RFC3207-4.2-04")
def test_only_a_verified_certificate_allows_external(
    client_certificate: ClientCertificate,
    mode: TLSMode,
    asked: ssl.VerifyMode,
    shows: bool,
    verified: bool,
) -> None:
    handler = EventRecorder()
    offered: list[tuple[str, ...]] = []
    dialogue = converse(
        serving(mode, context=asking_context(asked), authenticator=CertificateAccounts()),
        ClientConfig(tls=mode, verify=TRUST, certificate=client_certificate if shows else None),
        lambda client: offered.append(client.extensions.mechanisms),
        handler=handler,
    )
    assert offered == [(*SCRAM[2:], *(["EXTERNAL"] if verified else []))]
    info = handler.tls_info[-1]
    assert info is not None
    assert info.verified is verified
    channel = dialogue._channel
    assert channel.certificate == (info.peer_certificate if verified else None)
    assert (channel.certificate is not None) is verified


@each_mode
def test_a_missing_required_certificate_ends_the_connection(mode: TLSMode) -> None:
    """With TLS 1.3 the client learns it only after it has sent something."""
    handler = EventRecorder()
    with pytest.raises(TransportError) as caught:
        converse(
            serving(mode, context=asking_context(ssl.CERT_REQUIRED)),
            ClientConfig(tls=mode, verify=TRUST),
            do_nothing,
            handler=handler,
        )
    assert isinstance(caught.value, TLSFailed)
    assert "CERTIFICATE_REQUIRED" in str(caught.value)
    assert "set certificate" in caught.value.check
    expected = ["connect", "hello", "close"] if mode is TLSMode.REQUIRED else ["close"]
    assert handler.events == expected, "hello is the EHLO in clear"


def test_xclient_does_not_pass_on_the_certificate_of_the_proxy(
    client_certificate: ClientCertificate,
) -> None:
    simulation = Simulation(1)
    options: ServerOptions = {
        "context": asking_context(ssl.CERT_REQUIRED),
        "xclient_from": ["192.0.2.1"],
    }
    options["authenticator"] = CertificateAccounts()
    simulation.listen(25, Handler(), ServerConfig(**options))

    async def main() -> None:
        config = ClientConfig(tls="required", verify=TRUST, certificate=client_certificate)
        async with await open_client(simulation, NAME, 25, config) as client:
            assert dialogue_of(simulation)._channel.certificate is not None
            assert "EXTERNAL" in client.extensions.mechanisms
            assert (
                await client.command(XClient(XClientAttributes(addr=ip_address("198.51.100.1"))))
            ).positive
            assert dialogue_of(simulation)._channel.certificate is None
            assert "EXTERNAL" not in client.extensions.mechanisms
            assert dialogue_of(simulation).session.tls is not None, "handlers still see it"

    simulation.run(main())


# -- logins --------------------------------------------------------------------------------------


def logged_in(
    mode: TLSMode, mechanism: str, credential: Credential, certificate: ClientCertificate
) -> Identity | None:
    """Log in by *mechanism* under TLS, and return the identity on the server."""
    dialogue = converse(
        serving(
            mode,
            context=asking_context(ssl.CERT_OPTIONAL),
            authenticator=CertificateAccounts(),
            mechanisms=[mechanism],
            limits=NO_DELAY,
        ),
        ClientConfig(
            tls=mode,
            verify=TRUST,
            certificate=certificate,
            login=credential,
            mechanisms=[mechanism],
        ),
        do_nothing,
    )
    return dialogue.session.identity


@each_mode
@pytest.mark.parametrize("mechanism", [*SCRAM, "EXTERNAL"])
@pytest.mark.req(
    "RFC3207-6-08/client", "RFC3207-6-08/server", "RFC4422-A-01/client", "RFC4422-A-01/server"
)
def test_scram_and_external_log_in_under_tls_and_refuse_the_wrong_credential(
    client_certificate: ClientCertificate, mode: TLSMode, mechanism: str
) -> None:
    """SCRAM is bound to the channel that both sides see; EXTERNAL uses the verified certificate."""
    external = mechanism == "EXTERNAL"
    right: Credential = External("ann") if external else Login("ann", "secret")
    wrong: Credential = External("bob") if external else Login("ann", "wrong")
    assert logged_in(mode, mechanism, right, client_certificate) == Identity(
        "ann", mechanism=mechanism
    )
    if external:
        assert logged_in(mode, mechanism, External(), client_certificate) is not None
    with pytest.raises(BadCredentials):
        logged_in(mode, mechanism, wrong, client_certificate)


def test_neither_scram_plus_nor_external_is_offered_in_clear() -> None:
    config = ServerConfig(
        context=SERVER_CONTEXT, authenticator=CertificateAccounts(), auth_in_clear=True
    )
    offered: list[tuple[str, ...]] = []
    clear = ClientConfig(tls="none")
    converse(config, clear, lambda client: offered.append(client.extensions.mechanisms))
    assert offered == [SCRAM[2:]]
    converse(
        ServerConfig(context=SERVER_CONTEXT, authenticator=CertificateAccounts()),
        clear,
        assert_no_auth,
    )


def assert_no_auth(client: Client) -> None:
    """Check that the server does not offer AUTH."""
    assert "AUTH" not in client.extensions


class TokenAuthenticator(Authenticator):
    """Accepts every token and certificate, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def check_token(self, claim: TokenClaim) -> str:
        self.asked += 1
        return claim.username

    def certificate_user(self, certificate: bytes) -> str:
        self.asked += 1
        return "ann"


@each_mode
@pytest.mark.parametrize("login", [BearerToken("ann", "token"), External()], ids=["token", "cert"])
def test_neither_token_nor_certificate_is_used_with_an_unverified_server(
    mode: TLSMode, login: Credential, tmp_path: Path
) -> None:
    """Not even with *login_in_clear*: whoever receives a token can use it (RFC 6750 5.2)."""
    authenticator, own = TokenAuthenticator(), str(tmp_path / "ann.pem")
    CA.issue_cert("ann@example.org").private_key_and_cert_chain_pem.write_to_path(own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    LEAF.configure_cert(context)
    CA.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = serving(mode, context=context, authenticator=authenticator)
    client_options: dict[str, Any] = {
        "tls": mode, "login": login, "certificate": ClientCertificate(own), "login_in_clear": True,
    }  # fmt: skip
    with pytest.raises(NotOffered, match="no mechanism in common"):
        converse(server, ClientConfig(verify="none", **client_options), do_nothing)
    assert authenticator.asked == 0
    converse(server, ClientConfig(verify=TRUST, **client_options), do_nothing)
    assert authenticator.asked == 1
