"""A small HTTP server for pages that programs and people on this machine may read.

It is bounded: so many clients at a time, a few seconds and a few KiB for each. Pages of other sites
cannot read what it serves, nor change anything by it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import parse_qsl

from attrs import Factory, frozen

from ..errors import SMTPError

__all__ = ["Answer", "Page", "Request", "serve_pages"]

_log = logging.getLogger("smtpproto.status")

_CLIENTS = 8  # at the same time
_PATIENCE = 5.0  # seconds for a request, and again for each slice of the reply
_MOST = 8192  # octets of the head of a request
_MOST_BODY = 65_536
_MOST_FIELDS = 20  # of a query
_SLICE = 65_536  # octets
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_FIELDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _is_here() -> bool:
    return True


@frozen(kw_only=True)
class Request:
    """What a client asks for."""

    method: str = "GET"
    """HEAD counts as GET."""
    path: str = "/"
    query: Mapping[str, str] = Factory(dict)
    """The last value of each name after the question mark."""
    accept: str = ""
    """What the client takes, by the Accept field."""
    origin: str = ""
    """The URL of this server as the client knows it, without a slash at its end."""
    body: bytes = b""
    is_here: Callable[[], bool] = _is_here
    """Whether the client still waits for the reply."""


@frozen(kw_only=True)
class Page:
    """A reply."""

    body: str | bytes | Iterator[bytes]
    """An iterator is sent piece by piece, until it ends or the client leaves."""
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    fields: Mapping[str, str] = Factory(dict)
    """Of the header; they replace the usual ones."""


Answer = Callable[[Request], Page | None]
"""Returns the page that a client asks for, or None if there is none. A thread calls it. If it
raises, the client gets 503."""


@contextlib.contextmanager
def serve_pages(
    answer: Answer, port: int, *, methods: Sequence[str] = ("GET",), clients: int = _CLIENTS
) -> Iterator[int]:
    """Serve what *answer* returns on *port* of 127.0.0.1 (0: a free one) until the block ends;
    yield the port. It takes these *methods* and HEAD, from so many *clients* at a time; at most
    half of them may have replies that are iterators. Raises OSError."""
    try:
        server = _Server(("127.0.0.1", port), answer, methods, clients)
    except OSError as error:
        text = f"cannot listen on 127.0.0.1, port {port}: {error.strerror or error}"
        raise OSError(error.errno, text) from None
    thread = threading.Thread(target=server.run, name="smtpproto pages", daemon=True)
    thread.start()
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.stop()
        thread.join()
        server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = sys.platform != "win32"
    daemon_threads = True
    request_queue_size = 32
    timeout = 5.0  # seconds after which run() looks whether to stop, if stop() could not connect
    block_on_close = False  # a client that is slow holds nothing up

    def __init__(
        self, address: tuple[str, int], answer: Answer, methods: Sequence[str], clients: int
    ) -> None:
        self.answer, self.methods = answer, methods
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(clients)
        self.streams = threading.Semaphore(clients // 2)
        super().__init__(address, _Handler)

    def run(self) -> None:
        while not self._stopped.is_set():
            self.handle_request()

    def stop(self) -> None:
        """Let :meth:`run` return. It may wait for a client, so this is one."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self.socket.getsockname(), timeout=1).close()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            self._stopped.wait(0.1)  # no descriptor is free: trying at once would only burn time
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._stopped.is_set() or not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
        else:
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no thread can be started
                self._slots.release()
                raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what a client has caused, or its end."""
        _log.debug("a request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(_head_from(self.connection))

    def do_GET(self) -> None:
        self._send(self._page())

    do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

    def _page(self) -> Page:
        server = cast("_Server", self.server)
        method = "GET" if self.command == "HEAD" else self.command
        if method not in server.methods:
            return self._wrong_method()
        host = _host_of(self.headers)
        if host is None:  # by DNS rebinding, it may be
            return _error(421, "use http://127.0.0.1 or http://localhost")
        if _is_foreign(method, self.headers, f"http://{host}"):
            return _error(403, "pages of other sites may not use this")
        path, _, query = self.path.partition("?")
        try:
            request = Request(
                method=method,
                path=path,
                query=dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)),
                accept=self.headers.get("Accept", ""),
                origin=f"http://{host}",
                body=self._body(),
                is_here=self._is_here,
            )
        except ValueError as error:
            return _error(400, str(error))
        try:
            page = server.answer(request)
        except (SMTPError, RuntimeError, TimeoutError) as error:
            return _error(503, str(error) or "the MTA does not answer")
        except Exception:
            _log.exception("a page failed")
            return _error(503, "the log says why")
        return _error(404, "no such page") if page is None else page

    def _is_here(self) -> bool:
        try:
            self.connection.setblocking(False)
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.connection.settimeout(_PATIENCE)

    def _body(self) -> bytes:
        """Return the body of the request. Raises ValueError, and TimeoutError for a slow one."""
        if "Transfer-Encoding" in self.headers:
            raise ValueError("send a Content-Length instead of a Transfer-Encoding")
        size = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,9}", size) or int(size) > _MOST_BODY:
            raise ValueError(f"a body may have {_MOST_BODY} octets")
        begun = self.rfile.read(int(size))
        return begun + _exactly(int(size) - len(begun), self.connection)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that cannot be read, or has another method. Its text is not repeated."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._send(self._wrong_method())
        else:
            self._send(_error(code, HTTPStatus(code).phrase))

    def _wrong_method(self) -> Page:
        allowed = ", ".join([*cast("_Server", self.server).methods, "HEAD"])
        return _error(405, f"only {allowed}", {"Allow": allowed})

    def _send(self, page: Page) -> None:
        streams = cast("_Server", self.server).streams
        if isinstance(page.body, str | bytes):
            body = page.body.encode() if isinstance(page.body, str) else page.body
            self._send_head(page, {"Content-Length": str(len(body))})
            slices = (body[at : at + _SLICE] for at in range(0, len(body), _SLICE))
            self._send_slices(slices)
        elif not streams.acquire(blocking=False):
            self._send(_error(503, "too many clients wait for events"))
        else:
            try:
                self._send_head(page, {})
                self._send_slices(page.body)
            finally:
                streams.release()

    def _send_head(self, page: Page, size: Mapping[str, str]) -> None:
        self.send_response(page.status)
        kind = {"Content-Type": page.kind}
        for name, value in {**_FIELDS, **kind, **size, **page.fields}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_slices(self, slices: Iterator[bytes]) -> None:
        if self.command != "HEAD":
            for one in slices:
                self.wfile.write(one)

    def version_string(self) -> str:
        return "smtpproto"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log no requests."""


def _host_of(header: Message) -> str | None:
    """Return the host and port that a request is for, or None if it is not the loopback."""
    hosts = header.get_all("Host", [])
    host = hosts[0].strip() if len(hosts) == 1 else ""
    return host if _HOST.fullmatch(host) else None


def _is_foreign(method: str, header: Message, own: str) -> bool:
    """Return whether a page of another origin than *own* makes this request in a browser. A person
    may follow a link from there. Programs that are no browsers say nothing of this."""
    site = header.get("Sec-Fetch-Site", "none")
    if method == "GET":
        mode = header.get("Sec-Fetch-Mode")
        return site in ("cross-site", "same-site") and mode != "navigate"
    return site not in ("same-origin", "none") or header.get_all("Origin", [own]) != [own]


def _error(status: int, text: str, fields: Mapping[str, str] | None = None) -> Page:
    return Page(body=f"{status} {text}\n", status=status, fields=fields or {})


def _head_from(connection: socket.socket) -> bytes:
    """Return the head of a request, and what has arrived after it. Raises TimeoutError, and
    ValueError for a long one."""
    deadline, head = time.monotonic() + _PATIENCE, b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        if len(head) > _MOST:
            raise ValueError("too long")
        data = _receive(connection, deadline)
        if not data:
            break
        head += data
    connection.settimeout(_PATIENCE)  # sendall keeps to it as a whole
    return head


def _exactly(size: int, connection: socket.socket) -> bytes:
    """Return the next *size* octets. Raises TimeoutError, and ValueError if there are fewer."""
    deadline, octets = time.monotonic() + _PATIENCE, b""
    while len(octets) < size:
        data = _receive(connection, deadline)
        if not data:
            raise ValueError("the body ended early")
        octets += data
    connection.settimeout(_PATIENCE)
    return octets[:size]


def _receive(connection: socket.socket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the client is too slow")
    connection.settimeout(left)
    return connection.recv(4096)
