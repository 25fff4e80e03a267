"""The small HTTP server of pages: whom it answers, and what clients cannot do to it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen

from smtpproto.adapters import loopback_pages
from smtpproto.adapters.loopback_pages import Page, Request, serve_pages
from tests.watching.reading import get, port_of, talk


@pytest.fixture
def url() -> Iterator[str]:
    """Return the URL of a server with one page."""
    pages = {"/": Page(body="hello"), "/fails": None}

    def answer(request: Request) -> Page | None:
        if request.path == "/fails":
            raise LookupError("secret")
        return pages.get(request.path)

    with serve_pages(answer, 0) as port:
        yield f"http://127.0.0.1:{port}/"


def test_a_port_that_is_taken_is_named(url: str) -> None:
    port = port_of(url)
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1, port {port}: "):
        serve_pages(lambda *_: None, port).__enter__()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8025", "LOCALHOST:1"])
def test_names_of_the_loopback_may_be_asked_for(url: str, host: str) -> None:
    assert get(url, Host=host)[0].status == 200


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost:1@evil.test", ""])
def test_other_names_are_refused_because_dns_rebinding_leads_to_them(url: str, host: str) -> None:
    assert get(url, Host=host)[0].status == 421


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"421"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", b"421"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"<script> / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /no HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET / <script>\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /fails HTTP/1.1\r\nHost: localhost\r\n\r\n", b"503"),
    ],
)
def test_a_request_that_is_not_served_is_refused_without_its_text(
    url: str, request_: bytes, status: bytes
) -> None:
    reply = talk(url, request_)
    assert reply[:12].endswith(b" " + status) or reply.startswith(status)
    assert b"script" not in reply
    assert b"secret" not in reply


@pytest.mark.parametrize("request_", [b"", b"GET", b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000])
def test_a_request_that_ends_early_or_is_long_gets_no_page(url: str, request_: bytes) -> None:
    assert b"hello" not in talk(url, request_)


def test_each_reply_forbids_scripts_caches_and_frames(url: str) -> None:
    for path in ("/", "/no"):
        fields = get(url, path)[0].headers
        assert fields["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert fields["Cache-Control"] == "no-store"
        assert fields["X-Content-Type-Options"] == "nosniff"


def test_head_has_the_header_only(url: str) -> None:
    response, text = get(url, method="HEAD")
    assert (response.status, response.headers["Content-Length"], text) == (200, "5", "")


def test_more_than_eight_clients_are_turned_away_until_one_has_gone(url: str) -> None:
    whole = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url))))
            slow.sendall(b"GET / HTTP/1.1\r\n")
        assert talk(url, whole) == b""
    while b"hello" not in talk(url, whole):  # until the thread of one of them has ended
        pass


@frozen
class Dripping:
    """A connection over which an octet comes each second, and its clock."""

    seconds: list[int]

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv(self, size: int) -> bytes:
        self.seconds[0] += 1
        return b"x"

    def monotonic(self) -> float:
        return self.seconds[0]


def test_a_client_that_drips_has_no_more_time_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    dripping: Any = Dripping([0])
    monkeypatch.setattr(loopback_pages, "time", dripping)
    with pytest.raises(TimeoutError):
        loopback_pages._head_from(dripping)
    assert dripping.seconds == [5]
