"""Clients that connect through a proxy, on all adapters."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

import smtpproto.client
from smtpproto import ClientConfig, ConnectFailed, GrammarError, TimedOut, Timeouts, TLSFailed
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ProxyKind, ProxyServer, make_pool
from tests.adapters.connections import (
    connect_and,
    must_not_connect,
    noop,
    send_hello,
    send_with,
    unused_port,
)
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.envelopes import TO_BOB
from tests.support.frames import leaks
from tests.support.proxy_peers import PROXIES, HTTPConnect, Proxy, Socks5

LOGIN = ("joe", "s3cr3t")
MESSAGE = b"Subject: x\r\n\r\nx\r\n"
NOWHERE = "mx.nowhere.invalid"  # a name that only the proxy knows
SOON = Timeouts(connect=0.2)
each_proxy = pytest.mark.parametrize("proxy", PROXIES, ids=lambda it: it.scheme)


@each_client
@each_proxy
@pytest.mark.parametrize("login", [None, LOGIN], ids=["open", "login"])
def test_a_message_travels_through_a_proxy_that_alone_looks_up_the_server(
    client: type[Adapter], proxy: type[Proxy], login: tuple[str, str] | None, inbox: Inbox
) -> None:
    with running_server(Blocking, inbox) as server, proxy(server.port, login) as between:
        outcome = send_with(
            client, MESSAGE, NOWHERE, 25, envelope=TO_BOB, proxy=between.url, tls="none"
        )
    assert len(outcome.accepted) == len(inbox.messages) == 1
    assert between.asked == [(NOWHERE, 25)]


@each_client
@each_proxy
def test_tls_verifies_the_server_and_not_the_proxy(
    client: type[Adapter], proxy: type[Proxy], certificates: Certificates, inbox: Inbox
) -> None:
    options: dict[str, Any] = {"tls": "required", "context": certificates.client}
    with (
        running_server(Blocking, inbox, context=certificates.server) as server,
        proxy(server.port) as between,
    ):
        options["proxy"] = between.url
        connect_and(send_hello, client, "localhost", 587, **options)
        with pytest.raises(TLSFailed, match="host name"):
            connect_and(must_not_connect, client, NOWHERE, 587, **options)
    assert len(inbox.messages) == 1


@each_client
@each_proxy
@pytest.mark.parametrize("manner", ["waits_for_server", "octet_by_octet"])
def test_a_greeting_that_arrives_with_the_answer_is_read_after_it(
    client: type[Adapter], proxy: type[Proxy], manner: str, inbox: Inbox
) -> None:
    between = proxy()
    setattr(between, manner, True)
    with running_server(Blocking, inbox) as server, between:
        between.server = server.port
        connect_and(send_hello, client, NOWHERE, 25, proxy=between.url, tls="none")
    assert len(inbox.messages) == 1


@each_proxy
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_reaches_the_proxy_as_an_address(
    proxy: type[Proxy], host: str, inbox: Inbox
) -> None:
    with running_server(Blocking, inbox) as server, proxy(server.port) as between:
        connect_and(noop, Blocking, host, 25, proxy=between.url, tls="none")
    assert between.asked == [(host, 25)]


@each_client
def test_a_pool_and_a_check_go_through_the_proxy(client: type[Adapter], inbox: Inbox) -> None:
    async def send(pool: Any) -> None:
        for _ in range(2):
            await pool.send(MESSAGE, TO_BOB)

    with running_server(Blocking, inbox) as server, Socks5(server.port) as between:
        options: Any = {"proxy": between.url, "tls": "none", "max_connections": 1}
        if client is Blocking:
            with on_sockets.pool(NOWHERE, 25, **options) as pool:
                pool.send(MESSAGE, TO_BOB)
                pool.send(MESSAGE, TO_BOB)
        elif client.name == "trio":

            async def on_it() -> None:
                async with on_trio.pool(NOWHERE, 25, **options) as pool:
                    await send(pool)

            trio.run(on_it)
        else:

            async def on_loop() -> None:
                async with on_asyncio.pool(NOWHERE, 25, **options) as pool:
                    await send(pool)

            asyncio.run(on_loop())
    assert len(inbox.messages) == 2
    assert between.asked == [(NOWHERE, 25)]


# -- what goes wrong -------------------------------------------------------------------------

SOCKS_REFUSAL = b"\x05\0\x05%c\0\x01\0\0\0\0\0\0"
REFUSALS: dict[str, tuple[Proxy, str, str]] = {
    "not allowed": (Socks5(says=SOCKS_REFUSAL % 2), "not allowed by ruleset", "the rules"),
    "network": (Socks5(says=SOCKS_REFUSAL % 3), "Network unreachable", "host and port"),
    "host": (Socks5(says=SOCKS_REFUSAL % 4), "Host unreachable", "host and port"),
    "refused": (Socks5(says=SOCKS_REFUSAL % 5), "refused by destination", "host and port"),
    "no such command": (Socks5(says=SOCKS_REFUSAL % 7), "Command not supported", "speaks SOCKS5"),
    "no such code": (Socks5(says=SOCKS_REFUSAL % 99), "Invalid reply code", "speaks SOCKS5"),
    "a login wanted": (Socks5(says=b"\x05\xff"), "No acceptable authentication", "user name"),
    "a method not offered": (Socks5(says=b"\x05\x02"), "authentication method", "user name"),
    "a short answer": (Socks5(says=b"\x05\0\x05"), "closed the connection", "speaks SOCKS5"),
    "no answer": (Socks5(says=b""), "closed the connection", "speaks SOCKS5"),
    "HTTP on a port of SOCKS": (Socks5(says=b"HTTP/1.1 400 x\r\n\r\n"), "version", "SOCKS5"),
    "SMTP on a port of SOCKS": (Socks5(says=b"220 mx.test ESMTP\r\n"), "version", "SOCKS5"),
    "a malformed name": (Socks5(says=b"\x05\0\x05\0\0\x03\x02\xff\xff\0\0"), "malformed", "host"),
    "407": (HTTPConnect(says=b"HTTP/1.1 407 Login\r\n\r\n"), "407 Login", "user name"),
    "401": (HTTPConnect(says=b"HTTP/1.1 401 No\r\n\r\n"), "401 No", "user name"),
    "403": (HTTPConnect(says=b"HTTP/1.1 403 No\x1b[2J\r\n\r\n"), r"403 No\\x1b", "the rules"),
    "502": (HTTPConnect(says=b"HTTP/1.0 502 Bad\r\nX: y\r\n\r\n"), "502 Bad", "host and port"),
    "418": (HTTPConnect(says=b"HTTP/1.1 418 Pot\r\n\r\n"), "418 Pot", "speaks SOCKS5 or HTTP"),
    "no status": (HTTPConnect(says=b"HTTP/1.1 x\r\n\r\n"), "Invalid status", "or HTTP"),
    "an endless head": (HTTPConnect(says=b"HTTP/1.1 200 x" * 9999), "too long", "or HTTP"),
    "a half head": (HTTPConnect(says=b"HTTP/1.1 200 OK\r\n"), "closed the connection", "or HTTP"),
    "SMTP on a port of HTTP": (HTTPConnect(says=b"220 mx.test ESMTP\r\n"), "status", "or HTTP"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_the_error_says_what_the_proxy_said_and_what_to_check(name: str) -> None:
    proxy, reason, check = REFUSALS[name]
    with proxy as between, pytest.raises(ConnectFailed, match=reason) as caught:
        connect_and(must_not_connect, Blocking, NOWHERE, 587, proxy=between.url)
    error = caught.value
    assert f"the proxy {between.url} cannot connect to {NOWHERE}, port 587" in error.message
    assert check in error.check
    assert error.phase == "connect" and str(error).isprintable()


@each_client
@each_proxy
def test_a_wrong_login_for_the_proxy_is_refused_and_not_shown(
    client: type[Adapter], proxy: type[Proxy]
) -> None:
    with proxy(login=("joe", "right")) as between:
        url = between.url.replace("right", "s3cr3t")
        with pytest.raises(ConnectFailed, match=r"authentication|407") as caught:
            connect_and(must_not_connect, client, NOWHERE, 587, proxy=url)
    assert "user name and password for the proxy" in caught.value.check
    assert leaks(caught.value, "s3cr3t") == []


@each_client
@each_proxy
def test_a_proxy_that_does_not_run_is_named(client: type[Adapter], proxy: type[Proxy]) -> None:
    url = f"{proxy.scheme}://joe:s3cr3t@localhost:{unused_port()}"
    with pytest.raises(ConnectFailed, match=r"the proxy .*cannot connect to localhost") as caught:
        connect_and(must_not_connect, client, NOWHERE, 587, proxy=url)
    assert "whether the proxy runs" in caught.value.check
    assert leaks(caught.value, "s3cr3t") == []


@each_client
@each_proxy
def test_a_silent_proxy_is_left_in_time(client: type[Adapter], proxy: type[Proxy]) -> None:
    with proxy(silent=True) as between:
        with pytest.raises(TimedOut, match="did not answer in time"):
            connect_and(must_not_connect, client, NOWHERE, 587, proxy=between.url, timeouts=SOON)
        assert between.ended.wait(30)


@each_client
def test_the_total_time_covers_the_proxy(client: type[Adapter]) -> None:
    with Socks5(silent=True) as between, pytest.raises(TimedOut, match=r"longer than 0\.2 seconds"):
        connect_and(must_not_connect, client, NOWHERE, 587, proxy=between.url, timeout=0.2)


@each_proxy
def test_a_cancelled_client_closes_its_connection_to_the_proxy(proxy: type[Proxy]) -> None:
    async def on_loop(url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await on_asyncio.connect(NOWHERE, 587, proxy=url)

    async def on_it(url: str) -> None:
        with trio.move_on_after(0.05) as scope:
            await on_trio.connect(NOWHERE, 587, proxy=url)
        assert scope.cancelled_caught

    runs: list[Callable[[str], None]] = [
        lambda url: asyncio.run(on_loop(url)),
        lambda url: trio.run(on_it, url),
    ]
    for run in runs:
        with proxy(silent=True) as between:
            run(between.url)
            assert between.ended.wait(30)


# -- the option ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "host", "port"),
    [
        ("socks5://proxy.example.org", ProxyKind.SOCKS5, "proxy.example.org", 1080),
        ("socks5h://192.0.2.1:9/", ProxyKind.SOCKS5, "192.0.2.1", 9),
        ("SOCKS5://[2001:db8::1]:1081", ProxyKind.SOCKS5, "2001:db8::1", 1081),
        ("http://localhost:3128", ProxyKind.HTTP, "localhost", 3128),
    ],
)
def test_a_proxy_is_given_as_a_url(url: str, kind: ProxyKind, host: str, port: int) -> None:
    proxy = ClientConfig(proxy=url).proxy
    assert proxy == ProxyServer(kind=kind, host=host, port=port)
    assert ProxyServer.parse(str(proxy)) == proxy


def test_user_and_password_of_a_proxy_are_decoded_and_never_shown() -> None:
    proxy = ProxyServer.parse("socks5://joe:s3cr%40t@localhost")
    assert proxy.username == "joe" and proxy.password == "s3cr@t"
    assert "s3cr" not in f"{proxy} {proxy!r} {ClientConfig(proxy=proxy)!r}"
    assert str(proxy) == "socks5://localhost:1080"


LONG = "x" * 256


@pytest.mark.parametrize(
    "url",
    [
        "localhost:1080",
        "https://joe:s3cr3t@localhost:443",
        "socks4://joe:s3cr3t@localhost",
        "http://joe:s3cr3t@localhost",
        "socks5://s3cr3t@localhost",
        "socks5://joe:s3cr3t@",
        "socks5://joe:s3cr3t@localhost:0",
        "socks5://joe:s3cr3t@localhost/path",
        "socks5://joe:s3cr3t@localhost?x=y",
        "socks5://joe:s3cr3t%c3%a9@localhost",
        f"socks5://joe:s3cr3t{LONG}@localhost",
        "http://j%3ae:s3cr3t@localhost:3128",
        "socks5://joe:s3cr3t\n@localhost",
    ],
)
def test_a_wrong_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(GrammarError) as caught:
        ClientConfig(proxy=url)
    assert leaks(caught.value, "s3cr3t") == []


def test_a_unix_socket_is_not_reached_through_a_proxy() -> None:
    with pytest.raises(ConnectFailed, match="leave out proxy"):
        on_sockets.connect("/run/lmtp", proxy="socks5://localhost")


def test_without_its_extra_the_option_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(smtpproto.client, "proxy_dialling", raising=False)
    monkeypatch.delitem(sys.modules, "smtpproto.client.proxy_dialling", raising=False)
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"smtpproto-sansio\[socks\]"):
        make_pool(on_sockets.Runtime(), "mx.example", 25, {"proxy": "socks5://localhost"})
