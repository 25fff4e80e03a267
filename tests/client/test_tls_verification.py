"""How a client verifies the server, and when it then logs in."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from smtpproto import (
    ClientCertificate,
    ClientConfig,
    LocalProtocolError,
    TLSFailed,
    TLSMode,
    TLSVerify,
)
from smtpproto.adapters.blocking import Runtime
from smtpproto.client.config import ClientOptions
from tests.support.certificates import CA, NAME, fingerprint, self_signed, server_context
from tests.support.tls_client import AUTH, EHLO, MAIL, ONLY_QUIT, QUIT, UP_TO_STARTTLS, play_session
from tests.support.tls_server import TLSServer
from tests.support.tls_sessions import MODES, SERVER_CONTEXT, TRUST


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
@pytest.mark.req("RFC7817-3-01", "RFC4954-14-02")
def test_server_name_replaces_the_host_in_verification_and_sni(implicit: bool) -> None:
    names: list[str | None] = []
    context = server_context(CA.issue_cert("mail.example.net"))
    context.sni_callback = lambda tls, name, _: names.append(name)
    mode = TLSMode.IMPLICIT if implicit else TLSMode.REQUIRED
    play_session(
        TLSServer(context, implicit=implicit), mode, verify=TRUST, server_name="mail.example.net"
    )
    assert names[0] == "mail.example.net"
    with pytest.raises(TLSFailed, match="Hostname mismatch"):
        play_session(TLSServer(context, implicit=implicit), mode, verify=TRUST)
    assert names[-1] == NAME


def test_a_login_is_sent_only_to_the_server_with_the_fingerprint() -> None:
    leaf = self_signed("whatever.example")
    server = TLSServer(server_context(leaf))
    right = TLSVerify.by_fingerprint(fingerprint(leaf))
    client = play_session(server, TLSMode.REQUIRED, verify=right, login=("ann", "secret"))
    assert client.tls is not None and client.tls.verified
    assert AUTH in server.hidden
    wrong = TLSServer(server_context(leaf))
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        other = TLSVerify.by_fingerprint("0" * 64)
        play_session(wrong, TLSMode.REQUIRED, verify=other, login=("ann", "secret"))
    assert (wrong.clear, wrong.hidden) == (UP_TO_STARTTLS, b"")
    assert caught.value.command == "STARTTLS"


def without_host_check() -> ssl.SSLContext:
    """Return a context that verifies certificates, but no names."""
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def by_ca_alone() -> ssl.SSLContext:
    """Return a context that trusts CA, whatever the name."""
    context = without_host_check()
    CA.configure_trust(context)
    return context


def unverified() -> ssl.SSLContext:
    """Return a context that verifies nothing."""
    context = without_host_check()
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT, TLSMode.OPPORTUNISTIC])
@pytest.mark.parametrize(
    "options",
    [{"verify": "none"}, {"context": unverified()}, {"context": by_ca_alone()}],
    ids=["verify", "context", "context by CA alone"],
)
@pytest.mark.req("RFC4954-14-01", "RFC4954-14-06", "RFC3207-4.1-01/client", "RFC3207-4.1-02")
def test_no_password_is_sent_to_an_unverified_server(mode: TLSMode, options: ClientOptions) -> None:
    """TLS is active, but the server may be an attacker."""
    implicit = mode is TLSMode.IMPLICIT
    options = {"login": ("ann", "secret"), **options}
    server = TLSServer(SERVER_CONTEXT, implicit=implicit)
    with pytest.raises(LocalProtocolError, match="no login without verified TLS"):
        play_session(server, mode, **options)
    assert server.clear == (b"" if implicit else UP_TO_STARTTLS)
    assert server.hidden == EHLO + QUIT
    server = TLSServer(SERVER_CONTEXT, implicit=implicit)
    options["login_in_clear"] = True
    play_session(server, mode, **options)
    assert server.hidden == EHLO + AUTH + MAIL + QUIT


def test_a_login_over_a_context_that_verifies_is_sent() -> None:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    server = TLSServer(SERVER_CONTEXT)
    play_session(server, TLSMode.REQUIRED, login=("ann", "secret"), context=context)
    assert server.hidden == EHLO + AUTH + MAIL + QUIT


@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC])
def test_an_impossible_server_name_raises_before_starttls(mode: TLSMode) -> None:
    server = TLSServer(SERVER_CONTEXT)
    with pytest.raises(LocalProtocolError, match="server_name"):
        play_session(server, mode, verify=TRUST, server_name=".example")
    assert server.clear == ONLY_QUIT


# -- the configuration ---------------------------------------------------------------------------


def test_a_context_cannot_be_combined_with_verify_or_certificate() -> None:
    context = ssl.create_default_context()
    for verify in ("name", "none", TRUST, TLSVerify.by_fingerprint("0" * 64)):
        with pytest.raises(ValueError, match="rules of its own"):
            ClientConfig(context=context, verify=verify)
    with pytest.raises(ValueError, match="rules of its own"):
        ClientConfig(context=context, certificate=ClientCertificate("client.pem"))


def test_files_that_cannot_be_read_are_a_value_error_at_once() -> None:
    with pytest.raises(ValueError, match="cannot read CA certificates from nowhere"):
        ClientConfig(verify=TLSVerify.by_ca("nowhere"))
    with pytest.raises(ValueError, match="cannot read certificate and key of nowhere"):
        ClientConfig(certificate=ClientCertificate("nowhere"))
    with pytest.raises(ValueError, match='"name", "none"'):
        ClientConfig(verify="always")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "options", "verify"),
    [
        (TLSMode.REQUIRED, {}, TLSVerify.by_name()),
        (TLSMode.IMPLICIT, {}, TLSVerify.by_name()),
        (TLSMode.OPPORTUNISTIC, {}, TLSVerify.none()),
        (TLSMode.OPPORTUNISTIC, {"login": ("ann", "secret")}, TLSVerify.by_name()),
        (TLSMode.OPPORTUNISTIC, {"verify": "name"}, TLSVerify.by_name()),
        (TLSMode.REQUIRED, {"verify": "none"}, TLSVerify.none()),
    ],
)
@pytest.mark.req("RFC8314-3.3-02", "RFC8314-5-01")
def test_the_default_verification_depends_on_mode_and_login(
    mode: TLSMode, options: ClientOptions, verify: TLSVerify
) -> None:
    config = ClientConfig(**options)
    assert config.verification(mode) == verify
    context = config._tls_context(mode, Runtime())
    assert isinstance(context, ssl.SSLContext)
    required = ssl.CERT_REQUIRED if verify.enabled else ssl.CERT_NONE
    assert (context.verify_mode, context.check_hostname) == (required, verify.enabled)


def test_certificate_files_are_read_once_for_every_mode(tmp_path: Path) -> None:
    """Later the process may have lost the right to read them, or the files may have changed."""
    own = tmp_path / "own.pem"
    CA.issue_cert("ann@example.org").private_key_and_cert_chain_pem.write_to_path(str(own))
    config = ClientConfig(certificate=ClientCertificate(own))
    own.unlink()
    for mode in (*MODES, TLSMode.OPPORTUNISTIC):
        assert isinstance(config._tls_context(mode, Runtime()), ssl.SSLContext)
