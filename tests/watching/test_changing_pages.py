"""Pages that clients may change: only those of our own origin, in bounded requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from smtpproto.adapters.loopback_pages import Page, Request, serve_pages
from tests.watching.reading import get, port_of, talk


@pytest.fixture
def url() -> Iterator[str]:
    """Return the URL of a server that says what was asked, and has an endless page."""

    def answer(request: Request) -> Page | None:
        if request.path == "/endless":
            return Page(body=iter(lambda: b"more", b""))
        values = [request.method, request.path, dict(request.query), request.body.decode()]
        return Page(body=json.dumps(values), kind="application/json")

    with serve_pages(answer, 0, methods=("GET", "POST", "DELETE"), clients=4) as port:
        yield f"http://127.0.0.1:{port}/"


def ask(url: str, method: str, *fields: str, body: bytes = b"") -> bytes:
    host = f"Host: 127.0.0.1:{port_of(url)}"
    size = f"Content-Length: {len(body)}"
    head = "\r\n".join([f"{method} / HTTP/1.1", host, size, *fields, "", ""])
    return talk(url, head.encode() + body)


def test_a_request_has_a_method_a_path_a_query_and_a_body(url: str) -> None:
    response, text = get(url, "/a?b=1&b=2&c=%3C&d=", method="DELETE")
    assert (response.status, json.loads(text)) == (
        200,
        ["DELETE", "/a", {"b": "2", "c": "<", "d": ""}, ""],
    )
    assert ask(url, "POST", body=b"x" * 65_536).endswith(b'"' + b"x" * 65_536 + b'"]')


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (["Content-Length: x"], b""),
        (["Content-Length: 65537"], b""),
        (["Content-Length: 9"], b"short"),
    ],
)
def test_a_body_without_a_true_and_small_length_is_refused(
    url: str, fields: list[str], body: bytes
) -> None:
    head = "\r\n".join(["POST / HTTP/1.1", "Host: localhost", *fields, "", ""])
    assert talk(url, head.encode() + body).startswith(b"HTTP/1.0 400 ")


def test_a_query_with_many_fields_is_refused(url: str) -> None:
    assert get(url, "/?" + "a&" * 30)[0].status == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "<b>"])
def test_other_methods_are_refused(url: str, method: str) -> None:
    reply = ask(url, method)
    assert reply.startswith(b"HTTP/1.0 405 ")
    assert b"Allow: GET, POST, DELETE, HEAD" in reply


FOREIGN = [
    "Origin: http://evil.test",
    "Origin: null",  # a sandboxed frame
    "Origin: http://127.0.0.1:1",  # another port
    "Origin: https://127.0.0.1",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
]


@pytest.mark.parametrize("field", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_pages_of_other_origins_change_nothing(url: str, method: str, field: str) -> None:
    assert ask(url, method, field).startswith(b"HTTP/1.0 403 ")


def test_a_second_origin_is_refused(url: str) -> None:
    own = f"Origin: http://127.0.0.1:{port_of(url)}"
    assert ask(url, "POST", own).startswith(b"HTTP/1.0 200 ")
    assert ask(url, "POST", own, "Origin: http://evil.test").startswith(b"HTTP/1.0 403 ")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_may_link_here_but_read_nothing(url: str, site: str) -> None:
    for mode, status in [("no-cors", 403), ("cors", 403), ("navigate", 200)]:
        fields = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert get(url, **fields)[0].status == status


def test_half_of_the_clients_may_have_endless_pages_and_they_leave_as_they_like(url: str) -> None:
    request = b"GET /endless HTTP/1.0\r\nHost: localhost\r\n\r\n"
    streams = []
    for _ in range(2):
        streams.append(socket.create_connection(("127.0.0.1", port_of(url))))
        streams[-1].sendall(request)
        assert streams[-1].recv(9) == b"HTTP/1.0 "
    assert b" 503 " in talk(url, request)
    assert get(url)[0].status == 200
    for one in streams:
        one.close()
    while True:  # until the thread of one of them has ended
        with socket.create_connection(("127.0.0.1", port_of(url))) as again:
            again.sendall(request)
            if again.recv(12).endswith(b"200"):
                break
