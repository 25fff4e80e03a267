"""A check of a server and a login: nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from smtpproto import BadCredentials, ConnectFailed, NotOffered, PlainPasswords
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ServerCheck
from tests.adapters.connections import unused_port
from tests.adapters.harness import Adapter, Asyncio, Blocking, Trio, each_client, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.frames import leaks

LOGIN = ("ann", "s3cr3t")
USERS = PlainPasswords(dict([LOGIN]))


def check_with(client: type[Adapter], *where: Any, **options: Any) -> ServerCheck:
    """Call ``check_server`` of an adapter."""
    if issubclass(client, Asyncio):
        return client.run(on_asyncio.check_server(*where, **options))
    if client is Trio:
        return trio.run(lambda: on_trio.check_server(*where, **options))
    return on_sockets.check_server(*where, **options)


@each_client
def test_a_check_logs_in_and_sends_nothing(
    client: type[Adapter], certificates: Certificates, inbox: Inbox
) -> None:
    lines: list[str] = []
    with running_server(
        Blocking, inbox, context=certificates.server, authenticator=USERS
    ) as server:
        found = check_with(
            client, "localhost", server.port, context=certificates.client, tls="required",
            login=LOGIN, trace=lambda side, line: lines.append(f"{side}: {line}"),
        )  # fmt: skip
    assert found.mechanism == "CRAM-MD5"
    assert found.tls is not None and found.tls.verified
    assert found.tls_refused is None
    assert found.size == found.extensions.size and "AUTH" in found.extensions
    assert found.greeting.code == 220
    assert not inbox.messages
    assert "C: QUIT" in lines and not any("MAIL" in it for it in lines)
    text = str(found)
    assert f"localhost, port {server.port}: 220 " in text
    assert "TLS: TLSv1.3" in text and "login: CRAM-MD5" in text and "SIZE" in text


@each_client
def test_a_check_without_a_login_looks_at_the_server_only(
    client: type[Adapter], inbox: Inbox
) -> None:
    with running_server(Blocking, inbox) as server:
        found = check_with(client, "localhost", server.port, tls="none")
    assert (found.mechanism, found.tls) == ("", None)
    assert "TLS: none\nlogin: none\n" in str(found)


@each_client
def test_a_check_raises_what_connect_raises(client: type[Adapter], inbox: Inbox) -> None:
    with running_server(Blocking, inbox, authenticator=USERS, auth_in_clear=True) as server:
        options: Any = {"tls": "none", "login_in_clear": True, "login": ("ann", "wr0ng")}
        with pytest.raises(BadCredentials) as caught:
            check_with(client, "localhost", server.port, **options)
        with pytest.raises(NotOffered):
            check_with(client, "localhost", server.port, tls="required")
    assert leaks(caught.value, "wr0ng") == []
    with pytest.raises(ConnectFailed):
        check_with(client, "localhost", unused_port())
    with pytest.raises(TypeError, match="check_server"):
        check_with(client, "localhost", envelope=None)
