"""Where a server listens: hosts, families of addresses, ports."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import listening
from smtpproto.adapters import trio as on_trio
from tests.adapters.connections import needs_unix_sockets, start_and_stop
from tests.adapters.harness import Adapter, each_server, running_server
from tests.adapters.inboxes import Inbox


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this system has no IPv6")
ALL = ["0.0.0.0", "::"]
LOOPBACK = ["127.0.0.1", "::1"]


@contextmanager
def listening_on(host: Any, port: int = 0) -> Iterator[list[Any]]:
    with closing(listening.listen(host, port)) as listeners:
        yield listeners.addresses


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        (None, ALL),
        ("", ALL),
        ([""], ALL),
        ("localhost", LOOPBACK),
        ("LOCALHOST", LOOPBACK),
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        (["::1", "127.0.0.1"], ["::1", "127.0.0.1"]),
        (("localhost", "127.0.0.1"), LOOPBACK),
        (dict.fromkeys(LOOPBACK), LOOPBACK),
    ],
    ids=str,
)
def test_a_host_stands_for_its_addresses_which_share_one_port(
    host: Any, addresses: list[str]
) -> None:
    with listening_on(host) as found:
        assert [address for address, _ in found] == addresses
        assert len({port for _, port in found}) == 1 and found[0][1]


@needs_ipv6
def test_the_ipv6_socket_of_all_interfaces_takes_no_ipv4() -> None:
    with closing(listening.listen(None, 0)) as listeners:
        _, second = listeners.sockets
        assert second.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize("host", [None, "", "localhost"])
@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_system_without_ipv6_listens_on_ipv4(
    host: str | None, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = listening._listen

    def listen_on_ipv4(family: socket.AddressFamily, address: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, "no IPv6")
        return listen(family, address)

    monkeypatch.setattr(listening, "_listen", listen_on_ipv4)
    with listening_on(host) as found:
        assert len(found) == 1
    with pytest.raises(OSError, match="cannot listen on ::1 port 0: no IPv6"):
        listening.listen("::1", 0)


@needs_ipv6
def test_a_free_port_that_is_taken_in_the_other_family_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listen, taken = listening._listen, 3

    def often_taken(family: socket.AddressFamily, address: Any) -> socket.socket:
        nonlocal taken
        if family == socket.AF_INET6 and taken:
            taken -= 1
            raise OSError(errno.EADDRINUSE, "in use")
        return listen(family, address)

    monkeypatch.setattr(listening, "_listen", often_taken)
    with listening_on("localhost") as found:
        assert len(found) == 2 and not taken


def test_a_port_that_is_taken_is_an_error_and_leaves_no_socket_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listening.listen(["127.0.0.1"], port)


@pytest.mark.parametrize(
    ("host", "port", "error", "text"),
    [
        (5, 0, TypeError, "host cannot be of the type int; pass a name, an address"),
        ([b"::1"], 0, TypeError, "host cannot be of the type bytes"),
        ([], 0, ValueError, 'no host to listen on; use "" for all interfaces'),
        ("", "25", TypeError, "port cannot be of the type str; pass an integer"),
        ("", None, TypeError, "port cannot be None"),
        ("", 65536, ValueError, "not a port: 65536"),
        ("", -1, ValueError, "not a port: -1"),
        (["127.0.0.1", "/run/x"], 25, ValueError, "a Unix socket has no port"),
    ],
    ids=str,
)
def test_a_host_or_port_that_makes_no_sense_is_an_error(
    host: Any, port: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        listening.listen(host, port)


@needs_unix_sockets
def test_a_server_listens_on_hosts_and_paths_together(tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    with listening_on([path, "127.0.0.1"]) as found:
        assert found[1] == path and found[0][0] == "127.0.0.1"
    assert not Path(path).exists()


# -- the servers -----------------------------------------------------------------------------------


@needs_ipv6
@each_server
def test_a_server_on_localhost_is_reached_in_both_families_and_logs_where_it_listens(
    server: type[Adapter], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "smtpproto"),
        running_server(server, Handler(), "localhost") as running,
    ):
        for host in LOOPBACK:
            with socket.create_connection((host, running.port), 30) as client:
                assert client.recv(100).startswith(b"220 ")
        port = running.port
    assert f"listening on 127.0.0.1 port {port}, ::1 port {port}" in caplog.text


@pytest.mark.parametrize("module", [on_asyncio, on_trio, on_sockets])
def test_a_server_knows_its_addresses(module: Any) -> None:
    server = module.Server(Handler(), "127.0.0.1")
    assert server.addresses == [] and server.port == 0
    with closing(server._listen()):
        assert server.addresses == [("127.0.0.1", server.port)] and server.port
        assert str(server) == f"127.0.0.1 port {server.port}"


@each_server
def test_a_server_that_cannot_listen_raises_at_once(server: type[Adapter]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="port"):
        start_and_stop(server, "127.0.0.1", taken.getsockname()[1])


# -- errors of accept ------------------------------------------------------------------------------


@contextmanager
def failing_accept(
    monkeypatch: pytest.MonkeyPatch, number: int, times: int
) -> Iterator[list[None]]:
    """Let accept() fail *times* times; yield a list with an item for each failure."""
    failures: list[None] = []
    accept = socket.socket.accept

    def fail_first(listener: socket.socket) -> Any:
        if len(failures) < times:
            failures.append(None)
            raise OSError(number, "cannot accept")
        return accept(listener)

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", fail_first)
        patch.setattr(listening, "ACCEPT_PAUSE", 0.001)
        yield failures


@each_server
@pytest.mark.parametrize(
    ("number", "logged"),
    [(errno.EMFILE, 1), (errno.ENFILE, 1), (errno.ENOBUFS, 1), (errno.ECONNABORTED, 0)],
    ids=["EMFILE", "ENFILE", "ENOBUFS", "ECONNABORTED"],
)
def test_a_shortage_is_logged_once_and_the_server_goes_on_when_it_is_over(
    server: type[Adapter],
    number: int,
    logged: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        failing_accept(monkeypatch, number, 10) as failures,
        running_server(server, Inbox()) as running,
        socket.create_connection(("127.0.0.1", running.port), 30) as client,
    ):
        assert client.recv(100).startswith(b"220 ")
        assert len(failures) == 10
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(errors) == logged
    assert all("cannot accept connections for now" in one.getMessage() for one in errors)
