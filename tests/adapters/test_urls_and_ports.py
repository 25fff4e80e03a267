"""Where a client connects: URLs, default ports, and the defaults that a port implies."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import ConnectFailed, NotOffered, TLSMode
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import (
    connect_and,
    must_not_connect,
    noop,
    recording_server,
    send_hello,
)
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.adapters.inboxes import Certificates, Inbox


@each_client
def test_a_url_sets_host_port_and_options(client: type[Adapter], inbox: Inbox) -> None:
    with running_server(Blocking, inbox) as running:
        url = f"smtp://localhost:{running.port}?tls=none&hello=c.example"
        connect_and(send_hello, client, url)
    assert inbox.messages[0][0].hello == "c.example"


@each_client
def test_the_scheme_smtps_means_implicit_tls(
    client: type[Adapter], certificates: Certificates, inbox: Inbox
) -> None:
    with running_server(Blocking, inbox, context=certificates.server, implicit_tls=True) as running:
        url = f"smtps://localhost:{running.port}"
        connect_and(send_hello, client, url, context=certificates.client)
    assert inbox.messages[0][0].tls is not None


@each_client
@pytest.mark.parametrize(
    ("where", "options", "port"),
    [
        ("mx.example", {}, 587),
        ("mx.example", {"tls": TLSMode.IMPLICIT}, 465),
        ("mx.example", {"lmtp": True}, 24),
        ("smtp://mx.example", {}, 25),
        ("smtps://mx.example", {}, 465),
        ("lmtp:///run/x", {}, 0),
    ],
)
def test_the_default_port_depends_on_scheme_tls_and_lmtp(
    client: type[Adapter],
    where: str,
    options: dict[str, Any],
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def dial(_: object, host: str, port: int, *__: object) -> None:
        raise ConnectFailed(f"dialled {host} {port}")

    for module in (on_asyncio, on_trio, on_sockets):
        monkeypatch.setattr(module.Runtime, "dial", dial)
    host = "/run/x" if port == 0 else "mx.example"
    with pytest.raises(ConnectFailed, match=f"dialled {host} {port}"):
        connect_and(must_not_connect, client, where, **options)


@each_client
@pytest.mark.req("RFC8314-5.2-01")
def test_port_587_requires_tls_unless_tls_is_none(client: type[Adapter]) -> None:
    """RFC 8314 5.2 wants confidentiality by default."""
    with recording_server() as (near, server):
        with pytest.raises(NotOffered, match="TLS is required"):
            connect_and(must_not_connect, client, "localhost", 587, sock=near, hello="c.example")
        assert server.received() == b"EHLO c.example\r\nQUIT\r\n"
    with recording_server() as (near, server):
        connect_and(noop, client, "localhost", 587, sock=near, tls=TLSMode.NONE)
        assert b"NOOP" in server.received()


@each_client
def test_port_24_means_lmtp_unless_lmtp_is_false(client: type[Adapter]) -> None:
    with recording_server() as (near, server):
        connect_and(noop, client, "localhost", 24, sock=near, hello="c.example")
        assert server.received() == b"LHLO c.example\r\nNOOP\r\nQUIT\r\n"
    with recording_server() as (near, server):
        connect_and(noop, client, "localhost", 24, sock=near, hello="c.example", lmtp=False)
        assert server.received().startswith(b"EHLO")


@each_client
def test_lmtp_is_refused_on_port_25_and_as_an_option_next_to_a_url(client: type[Adapter]) -> None:
    with pytest.raises(ConnectFailed, match="port 25"):
        connect_and(must_not_connect, client, "localhost", 25, lmtp=True)
    with pytest.raises(ValueError, match="already set by the URL"):
        connect_and(must_not_connect, client, "lmtp://localhost", lmtp=True)
