"""Contexts: those that client_context makes, those of the application, and unusable ones."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

from smtpproto import LocalProtocolError, TLSVerify
from smtpproto.tls.context import OpenSSLContext, client_context
from tests.support.certificates import CA, LEAF
from tests.support.tls_libraries import (
    PEM,
    Library,
    PyOpenSSL,
    Standard,
    client_of,
    connected,
    connected_by,
    context_of,
    each_library,
    server_of,
)


@pytest.mark.parametrize(
    "verify", [TLSVerify.by_name(), TLSVerify.by_ca(PEM), TLSVerify.by_fingerprint("00" * 32),
               TLSVerify.none()], ids=["name", "CA", "fingerprint", "none"],
)  # fmt: skip
@pytest.mark.req("RFC8314-4-01/client")
def test_client_context_requires_tls_1_2(verify: TLSVerify) -> None:
    assert client_context(verify).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_cas_that_cannot_be_read_raise_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pem: No such file"):
        client_context(TLSVerify.by_ca(tmp_path / "nowhere.pem"))
    with pytest.raises(ValueError, match="the given PEM text"):
        client_context(TLSVerify.by_ca("-----BEGIN CERTIFICATE-----\n"))
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ValueError, match=r"empty\.pem: "):
        client_context(TLSVerify.by_ca(tmp_path / "empty.pem"))


@pytest.mark.parametrize("kind", [str, bytes])
def test_comments_in_pem_may_have_non_ascii_letters(kind: type[str] | type[bytes]) -> None:
    text = "# F\N{LATIN SMALL LETTER O WITH DOUBLE ACUTE}tan\N{LATIN SMALL LETTER U WITH ACUTE}\n"
    text += CA.cert_pem.bytes().decode()
    context = client_context(TLSVerify.by_ca(text if kind is str else text.encode()))
    assert len(context.get_ca_certs()) == 1


def test_a_key_log_that_cannot_be_written_raises_value_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys"))
    for verify in (TLSVerify.by_name(), TLSVerify.by_ca(CA.cert_pem.bytes())):
        with pytest.raises(ValueError, match="No such file or directory"):
            client_context(verify)


@pytest.mark.parametrize(
    ("mode", "by_name", "verified"),
    [
        (ssl.CERT_REQUIRED, True, True),
        (ssl.CERT_REQUIRED, False, False),
        (ssl.CERT_OPTIONAL, True, False),
        (ssl.CERT_NONE, False, False),
    ],
)
def test_a_context_of_the_application_counts_as_verifying_only_if_it_requires_a_name(
    mode: ssl.VerifyMode, by_name: bool, verified: bool
) -> None:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    context.check_hostname = by_name
    context.verify_mode = mode
    client, _ = connected(context, Standard.server(LEAF))
    assert client.info.verified is verified


# -- contexts that cannot be used ----------------------------------------------------------------


def test_client_context_is_refused_for_a_server() -> None:
    with pytest.raises(LocalProtocolError, match="context"):
        connected_by(TLSVerify.by_ca(PEM), client_context())


@each_library
def test_a_context_for_the_other_side_is_refused(library: Library) -> None:
    with pytest.raises(LocalProtocolError, match="context"):
        client_of(context_of(library, True))
    with pytest.raises(LocalProtocolError, match="context"):
        server_of(context_of(library, False))


def test_an_object_that_is_not_a_context_is_refused() -> None:
    class Another:
        def get_verify_mode(self) -> int:
            return 0

        get_verify_depth = get_verify_mode

    with pytest.raises(LocalProtocolError, match="not a TLS context: Another"):
        client_of(Another())


def test_without_pyopenssl_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smtpproto.tls.openssl", None)
    with pytest.raises(LocalProtocolError, match=r"smtpproto-sansio\[tls-exporter\]"):
        client_of(context_of(PyOpenSSL, False))
    client_of(context_of(Standard, False))


def test_a_context_of_pyopenssl_is_recognised_by_its_methods() -> None:
    assert isinstance(context_of(PyOpenSSL, False), OpenSSLContext)
    assert not isinstance(context_of(Standard, False), OpenSSLContext)
