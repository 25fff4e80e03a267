"""Files fetched over HTTPS: the request, the answers, and the bounds."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field

from smtpproto import ConnectionLost, RemoteProtocolError, TimedOut, TLSFailed
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.adapters.https import HTTPSFetch
from smtpproto.policy import Fetched
from smtpproto.ports import Runtime as AnyRuntime
from smtpproto.tls import TLSVerify
from smtpproto.tls.stream import TLSFilter
from tests.support.certificates import CA, expired, server_context
from tests.support.runtimes import in_asyncio, in_threads, in_trio

HOST, PATH = "mta-sts.example.org", "/.well-known/mta-sts.txt"
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
CONTEXT = server_context(CA.issue_cert(HOST))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
FILE = Fetched(status=200, media_type="text/plain", body=b"a: b\n")


@define(eq=False)
class Server(Runtime):
    """A runtime whose dialled streams lead to a server of HTTPS in memory."""

    answer: bytes
    context: ssl.SSLContext = CONTEXT
    piece: int = 100_000
    """Octets in a record."""
    closes: bool = True
    """Whether the server closes the connection."""
    slow: float = 0.0
    """Seconds before each read."""
    dialled: list[tuple[str, int]] = field(factory=list)
    request: bytes = b""
    time: float = 0.0
    _tls: TLSFilter = field(init=False)
    _open: bool = True
    _left: bytes = field(init=False)

    peername = sockname = ("192.0.2.1", 443)

    async def dial(self, host: str, port: int, timeout: float | None, source: Any = None) -> Any:
        self.dialled.append((host, port))
        self._tls = TLSFilter(self.context, server_side=True)
        self._left = self.answer
        return self

    def now(self) -> float:
        return self.time

    async def write(self, data: bytes, timeout: float | None) -> None:
        self._tls.receive(data)

    async def read(self, timeout: float | None) -> bytes:
        self.time += self.slow
        try:
            done = self._tls.handshake()
        except TLSFailed:
            return self._tls.data_to_send()
        if done and (octets := self._tls.read()):
            self.request += octets
        if self.request and self._left:
            piece, self._left = self._left[: self.piece], self._left[self.piece :]
            self._tls.write(piece)
        octets = self._tls.data_to_send()
        if not octets and not self.closes:
            raise TimedOut("nothing comes")
        return octets

    async def end(self) -> None: ...

    async def close(self) -> None:
        self._open = False

    def interrupt(self) -> None: ...


def get(server: Server, **options: Any) -> Fetched:
    found = run(HTTPSFetch(**{"verify": TRUST} | options).get(HOST, PATH, server))
    assert not server._open
    return found


COMPLETE = HEAD + b"Content-Length: 5\r\n\r\na: b\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\na: \r\n2\r\nb\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("piece", [100_000, 1])
@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (COMPLETE, True),
        (COMPLETE + b"more", False),
        (CHUNKED, True),
        (CHUNKED, False),
        (HEAD + b"\r\na: b\n", True),
        (b"HTTP/1.0 200\nContent-type: text/plain\n\na: b\n", True),
    ],
)
def test_an_answer_is_read_in_each_of_its_forms(answer: bytes, closes: bool, piece: int) -> None:
    server = Server(answer, piece=piece, closes=closes)
    assert get(server) == FILE
    assert server.dialled == [(HOST, 443)]
    assert server.request.startswith(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n".encode())


def test_the_last_chunk_may_come_alone_and_the_connection_stay_open() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\nf000\r\n"
    server = Server(head + b"x" * 0xF000 + b"\r\n0\r\n\r\n", closes=False)
    server.piece = len(server.answer) - 5
    assert get(server).body == b"x" * 0xF000


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"7\r\n\r\n0\r\n\r\n\r\n"])
def test_an_answer_in_many_pieces_is_not_read_again_at_each(
    chunk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    parse = HTTPSFetch._parse

    def counted(self: HTTPSFetch, octets: bytes, *, ended: bool) -> Any:
        looks.append(len(octets))
        return parse(self, octets, ended=ended)

    monkeypatch.setattr(HTTPSFetch, "_parse", counted)
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    server = Server(head + chunk * 3000 + b"0\r\n\r\n", piece=len(chunk))
    assert len(get(server).body) == 3000 * int(chunk[:1])
    assert len(looks) < 120


@pytest.mark.parametrize("kind", [b"garbage", b"", b"text", b"text/plain/x"])
def test_a_malformed_media_type_is_not_that_of_a_policy(kind: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: 0\r\n\r\n"
    assert get(Server(answer)).media_type != "text/plain"


@pytest.mark.req("RFC8460-5.4-01")
def test_a_file_is_sent_by_post_with_its_type_and_size() -> None:
    server, body = Server(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), b"x" * 1000
    sending = HTTPSFetch(verify=TRUST).post(HOST, "/v1?a=b", body, "application/gzip", server)
    assert run(sending).status == 201
    head, _, sent = server.request.partition(b"\r\n\r\n")
    assert head.startswith(f"POST /v1?a=b HTTP/1.1\r\nHost: {HOST}\r\n".encode())
    assert head.endswith(b"\r\nContent-Type: application/gzip\r\nContent-Length: 1000")
    assert sent == body


@pytest.mark.req("RFC8461-3.3-01")
def test_a_redirect_is_not_followed() -> None:
    answer = b"HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n"
    server = Server(answer)
    assert get(server) == Fetched(status=301, media_type="", body=b"")
    assert len(server.dialled) == 1


@pytest.mark.req("RFC8461-3.3-01")
@pytest.mark.parametrize(
    "context",
    [server_context(CA.issue_cert("example.org")), server_context(expired(CA, HOST))],
    ids=["name", "expired"],
)
def test_a_server_that_is_not_the_right_one_is_not_asked(context: ssl.SSLContext) -> None:
    server = Server(COMPLETE, context)
    with pytest.raises(TLSFailed):
        get(server)
    assert server.request == b""


@pytest.mark.req("RFC8461-3.3-01")
def test_a_server_is_not_trusted_unless_a_known_ca_issued_its_certificate() -> None:
    with pytest.raises(TLSFailed):
        get(Server(COMPLETE), verify=TLSVerify.by_name())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionLost),
        (COMPLETE[:-1], ConnectionLost),
        (CHUNKED[:-9], ConnectionLost),
        (b"220 mx ESMTP\r\n\r\n", RemoteProtocolError),
        (b"HTTP/1.1 9999 OK\r\n\r\n", RemoteProtocolError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", ConnectionLost),
        (HEAD + b"x: y\r\n" * 200 + b"\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", RemoteProtocolError),
        (b"x" * 300_000, RemoteProtocolError),
        (HEAD + b"\r\n" + b"x" * 65537, RemoteProtocolError),
        (HEAD + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537, RemoteProtocolError),
        (HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * 65537, RemoteProtocolError),
    ],
)  # fmt: skip
def test_an_answer_that_is_cut_malformed_or_large_is_an_error(
    answer: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        get(Server(answer))


def test_the_time_for_all_together_is_bounded() -> None:
    with pytest.raises(TimedOut):
        get(Server(COMPLETE, piece=1, slow=1.0))
    assert get(Server(COMPLETE, piece=1, slow=1.0), timeout=200) == FILE


# -- on each runtime -------------------------------------------------------------------------------


@contextmanager
def serving(answer: bytes) -> Iterator[int]:
    """Serve *answer* to one client, at localhost; yield the port."""
    context = server_context(CA.issue_cert("localhost"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as it:
                it.recv(65536)
                it.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("runs", [in_threads, in_asyncio, in_trio])
def test_a_file_is_fetched_on_each_runtime(runs: Any) -> None:
    async def main(runtime: AnyRuntime) -> Fetched:
        return await HTTPSFetch(verify=TRUST, port=port).get("localhost", PATH, runtime)

    with serving(COMPLETE) as port:
        assert runs(main) == FILE
