"""Whatever the pieces in which a proxy answers, the server's octets come after the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import ConnectFailed
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client import ProxyServer
from smtpproto.client.proxy_dialling import dial_through

SERVER = ("mx.example.org", 25)
ANSWERS = {
    "socks5://proxy.test": b"\x05\0\x05\0\0\x01\x7f\0\0\x01\x04\x38",
    "socks5://joe:hunter2@proxy.test": b"\x05\x02\x01\0\x05\0\0\x03\x01x\0\x50",
    "http://proxy.test:3128": b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
}


class Scripted:
    """A stream that reads *pieces*, and then its end."""

    peername, sockname = ("192.0.2.1", 1080), ("192.0.2.2", 49152)

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = [*pieces]
        self.written = b""
        self.closed = False

    async def read(self, timeout: float | None) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written += data

    async def close(self) -> None:
        self.closed = True


class Dialling(Runtime):
    """Dials *stream*, whatever is asked for."""

    def __init__(self, stream: Scripted) -> None:
        super().__init__()
        self._dialled: Any = stream

    async def dial(self, *_: object, **__: object) -> Any:
        return self._dialled


def dial(url: str, pieces: Sequence[bytes]) -> tuple[Scripted, Any]:
    """Return the connection to the proxy, and what was dialled through it."""
    scripted = Scripted(pieces)
    proxy = ProxyServer.parse(url)
    return scripted, run(dial_through(Dialling(scripted), proxy, SERVER, 10))


@given(st.data(), st.sampled_from([*ANSWERS]), st.binary(max_size=40))
def test_what_follows_the_answer_is_the_servers(data: st.DataObject, url: str, rest: bytes) -> None:
    octets = ANSWERS[url] + rest
    cuts = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=8)))
    pieces = [octets[i:j] for i, j in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    scripted, stream = dial(url, pieces)

    async def read_all() -> bytes:
        read = b""
        while more := await stream.read(None):
            read += more
        return read

    assert run(read_all()) == rest
    assert (stream.peername, stream.sockname) == (SERVER, scripted.sockname)
    assert b"mx.example.org" in scripted.written and not scripted.closed


@given(st.sampled_from([*ANSWERS]), st.data())
def test_an_answer_that_is_cut_off_is_an_error_and_closes_the_connection(
    url: str, data: st.DataObject
) -> None:
    answer = ANSWERS[url]
    end = data.draw(st.integers(0, len(answer) - 1))
    scripted = Scripted([answer[:end]] if end else [])
    with pytest.raises(ConnectFailed):
        run(dial_through(Dialling(scripted), ProxyServer.parse(url), SERVER, 10))
    assert scripted.closed


@given(st.sampled_from(["socks5://proxy.test", "http://proxy.test:3128"]), st.binary(max_size=30))
def test_whatever_a_proxy_answers_only_our_errors_escape(url: str, answer: bytes) -> None:
    try:
        dial(url, [answer] if answer else [])
    except ConnectFailed as error:
        assert str(error).isprintable() and error.check
