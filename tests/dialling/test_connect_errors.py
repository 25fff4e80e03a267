"""The errors of a failed connect: their text, phase and what to check."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import ConnectFailed, TimedOut, Timeouts
from smtpproto.adapters.dialling import map_connect_errors
from smtpproto.adapters.eyeballs import AddressInfo
from tests.adapters.connections import must_not_connect, unused_port
from tests.adapters.harness import Adapter, each_client
from tests.dialling.addresses import inet, silent_port


@each_client
def test_addresses_that_do_not_answer_raise_timed_out(
    client: type[Adapter], resolve: Callable[..., None]
) -> None:
    with silent_port() as silent:
        resolve(inet(silent), inet(silent))
        with pytest.raises(
            TimedOut, match=r"in time.*phase: connect.*check: host and port"
        ) as caught:
            client.client(silent, must_not_connect, timeouts=Timeouts(connect=0.05))
    assert caught.value.phase == "connect"


@each_client
def test_connect_failed_names_each_address(
    client: type[Adapter], resolve: Callable[..., None]
) -> None:
    first, second = unused_port(), unused_port()
    resolve(inet(first), inet(second, "127.0.0.2"))
    with pytest.raises(ConnectFailed) as caught:
        client.client(first, must_not_connect)
    text = str(caught.value)
    assert f"cannot connect to localhost, port {first}: " in text
    assert f"('127.0.0.1', {first})" in text and f"('127.0.0.2', {second})" in text
    assert caught.value.phase == "connect"
    assert caught.value.check == "whether a server listens there"


@each_client
def test_a_name_without_addresses_raises_connect_failed(
    client: type[Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> list[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectFailed, match=r"cannot resolve localhost.*not known.*DNS"):
        client.client(25, must_not_connect)


@pytest.mark.parametrize(
    ("codes", "port", "check"),
    [
        ([errno.ECONNREFUSED], 25, "whether a server listens there"),
        ([errno.ECONNREFUSED, errno.ECONNREFUSED], 587, "whether a server listens there"),
        ([errno.ENETUNREACH], 587, "this machine's network and routes"),
        ([errno.EHOSTUNREACH], 25, "firewalls on the way; many providers block outgoing port 25"),
        ([errno.ENETUNREACH, errno.ECONNREFUSED], 587, "host and port, whether the server runs"),
        ([errno.EPIPE], 587, "host and port, whether the server runs"),
    ],
)
def test_the_advice_of_connect_failed_depends_on_the_error_codes_of_the_system(
    codes: list[int], port: int, check: str
) -> None:
    errors = [OSError(code, "words") for code in codes]
    with pytest.raises(ConnectFailed) as caught, map_connect_errors("mx.example", port):
        raise OSError("all failed") from ExceptionGroup("all failed", errors)
    assert check in caught.value.check
    assert ("providers" in caught.value.check) == ("providers" in check)
    assert str(caught.value).count("words") == len(codes)


def test_a_time_out_on_port_25_mentions_providers_that_block_it() -> None:
    with (
        pytest.raises(TimedOut, match="providers block outgoing port 25"),
        map_connect_errors("mx.example", 25),
    ):
        raise TimeoutError


def test_the_text_of_a_connect_error_is_one_line() -> None:
    with pytest.raises(ConnectFailed) as caught, map_connect_errors("mx\r\n", 25):
        raise OSError("first\r\nsecond")
    assert "\n" not in str(caught.value) and "\r" not in str(caught.value)
