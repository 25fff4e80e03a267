"""Clients that connect through real proxies: microsocks and tinyproxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from smtpproto import ConnectFailed
from smtpproto.adapters.blocking import check_server
from tests.adapters.connections import connect_and, send_hello, unused_port
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.interop.programs import configuration, find_program, free_port, running, shared_directory

LOGIN = "joe:hunter2@"


@contextlib.contextmanager
def microsocks(*, login: bool) -> Iterator[str]:
    """Run microsocks while the block runs; return its URL."""
    binary, port = find_program("microsocks"), free_port()
    command: list[str | Path] = [binary, "-i", "127.0.0.1", "-p", str(port)]
    if login:
        command += ["-u", "joe", "-P", "hunter2"]
    with (
        shared_directory() as directory,
        running("microsocks", command, directory / "log", port=port),
    ):
        yield f"socks5://{LOGIN if login else ''}127.0.0.1:{port}"


@contextlib.contextmanager
def tinyproxy(*, login: bool, ports: str = "") -> Iterator[str]:
    """Run tinyproxy while the block runs; return its URL. *ports* are those that it allows."""
    binary, port = find_program("tinyproxy"), free_port()
    with shared_directory() as directory:
        file = directory / "tinyproxy.conf"
        values = {
            "port": port,
            "login": "BasicAuth joe hunter2" if login else "",
            "ports": f"ConnectPort {ports}" if ports else "",
        }
        file.write_text(configuration(file.name, values))
        with running("tinyproxy", [binary, "-d", "-c", file], directory / "log", port=port):
            yield f"http://{LOGIN if login else ''}127.0.0.1:{port}"


Proxy = Callable[..., AbstractContextManager[str]]
each_proxy = pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(it, marks=pytest.mark.peer(it.__name__), id=it.__name__)
        for it in (microsocks, tinyproxy)
    ],
)


@each_client
@each_proxy
@pytest.mark.parametrize("login", [False, True], ids=["open", "login"])
def test_a_message_travels_through_a_real_proxy(
    client: type[Adapter], proxy: Proxy, login: bool
) -> None:
    inbox = Inbox()
    with running_server(Blocking, inbox) as server, proxy(login=login) as url:
        connect_and(send_hello, client, "localhost", server.port, proxy=url, tls="none")
    assert len(inbox.messages) == 1


@each_proxy
def test_a_real_proxy_that_refuses_the_login_is_told(proxy: Proxy) -> None:
    with proxy(login=True) as url:
        for wrong in (url.replace("hunter2", "wrong"), url.replace(LOGIN, "")):
            with pytest.raises(ConnectFailed) as caught:
                check_server("localhost", 587, proxy=wrong)
            assert "user name and password for the proxy" in caught.value.check, caught.value


@each_proxy
def test_a_real_proxy_that_cannot_reach_the_server_is_told(proxy: Proxy) -> None:
    with (
        proxy(login=False) as url,
        pytest.raises(ConnectFailed, match="cannot connect to localhost") as caught,
    ):
        check_server("localhost", unused_port(), proxy=url)
    assert "host and port" in caught.value.check, caught.value


@pytest.mark.peer("tinyproxy")
def test_a_port_that_a_real_proxy_forbids_is_told() -> None:
    with (
        tinyproxy(login=False, ports="587") as url,
        pytest.raises(ConnectFailed, match="403") as caught,
    ):
        check_server("localhost", 25, proxy=url)
    assert "the rules of the proxy" in caught.value.check
