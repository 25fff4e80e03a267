"""TLS 1.0 and 1.1 are never used, although a context of the application may allow them."""

from __future__ import annotations

import ssl
import warnings

import pytest
from OpenSSL import SSL

from smtpproto import TLSFailed
from smtpproto.tls.context import Context
from smtpproto.tls.filter import Filter
from tests.support.certificates import CA, LEAF
from tests.support.tls_libraries import (
    Library,
    Standard,
    client_of,
    each_library,
    move,
    server_of,
)

OLD = {"TLSv1": SSL.TLS1_VERSION, "TLSv1.1": SSL.TLS1_1_VERSION}


def allow_old(context: Context, version: str) -> Context:
    """Let *context* use only *version* of TLS, with the weak signatures that this needs."""
    if isinstance(context, ssl.SSLContext):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion[version.replace(".", "_")]
            context.maximum_version = context.minimum_version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    else:
        assert isinstance(context, SSL.Context)
        context.set_min_proto_version(OLD[version])
        context.set_max_proto_version(OLD[version])
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    return context


def refusing_side(client: Filter, server: Filter) -> Filter | None:
    """Run the handshake; return the side that refuses the version, if one does."""
    for _ in range(5):
        for side, other in ((client, server), (server, client)):
            try:
                side.handshake()
            except TLSFailed as error:
                assert "TLS 1.2" in error.check and error.phase == "TLS"
                assert side.data_to_send() == b""
                return side
            move(side, other)
    return None


@pytest.mark.req(
    "RFC8996-4-01/server", "RFC8997-3-01/server", "RFC8314-4-01/server", "RFC8461-7.2-01/server"
)
@each_library
@pytest.mark.parametrize("version", OLD)
def test_a_server_refuses_an_old_version_that_its_context_allows(
    library: Library, version: str
) -> None:
    client = client_of(allow_old(Standard.client(CA), version))
    server = server_of(allow_old(library.server(LEAF), version))
    assert refusing_side(client, server) is server


@pytest.mark.req(
    "RFC8996-4-01/client", "RFC8997-3-01/client", "RFC8314-4-01/client", "RFC8461-7.2-01/client"
)
@each_library
@pytest.mark.parametrize("version", OLD)
def test_a_client_refuses_an_old_version_that_its_context_allows(
    library: Library, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(allow_old(library.client(CA), version))
    server = server_of(allow_old(Standard.server(LEAF), version))
    monkeypatch.setattr(server, "_check", lambda result: None)  # a server that is not ours
    assert refusing_side(client, server) is client
