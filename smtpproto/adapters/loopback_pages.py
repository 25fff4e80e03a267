"""A small HTTP server for pages that programs and people on this machine may read, and change
nothing. It is bounded: eight clients at a time, a few seconds and a few KiB for each."""

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
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from attrs import Factory, frozen

from ..errors import SMTPError

__all__ = ["Answer", "Page", "serve_pages"]

_log = logging.getLogger("smtpproto.status")

_CLIENTS = 8  # at the same time
_PATIENCE = 5.0  # seconds for a request, and again for the reply
_MOST = 8192  # octets of a request
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_FIELDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@frozen(kw_only=True)
class Page:
    """A reply."""

    body: str | bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    fields: Mapping[str, str] = Factory(dict)
    """Of the header; they replace the usual ones."""


Answer = Callable[[str, str], Page | None]
"""Returns the page at a path, for a client that accepts what the Accept field says; None if there
is none. A thread calls it. If it raises, the client gets 503."""


@contextlib.contextmanager
def serve_pages(answer: Answer, port: int) -> Iterator[int]:
    """Serve what *answer* returns on *port* of 127.0.0.1 (0: a free one) until the block ends;
    yield the port. Raises OSError."""
    try:
        server = _Server(("127.0.0.1", port), answer)
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

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        self.answer = answer
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(_CLIENTS)
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

    def do_HEAD(self) -> None:
        self.do_GET()

    def _page(self) -> Page:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].strip()):  # by DNS rebinding, it may be
            return _error(421, "use http://127.0.0.1 or http://localhost")
        try:
            answer = cast("_Server", self.server).answer
            page = answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        except (SMTPError, RuntimeError, TimeoutError) as error:
            return _error(503, str(error) or "the MTA does not answer")
        except Exception:
            _log.exception("a page failed")
            return _error(503, "the log says why")
        return _error(404, "no such page") if page is None else page

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that cannot be read, or has another method. Its text is not repeated."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._send(_error(405, "only GET and HEAD", {"Allow": "GET, HEAD"}))
        else:
            self._send(_error(code, HTTPStatus(code).phrase))

    def _send(self, page: Page) -> None:
        body = page.body.encode() if isinstance(page.body, str) else page.body
        self.send_response(page.status)
        size = {"Content-Type": page.kind, "Content-Length": str(len(body))}
        for name, value in (_FIELDS | size | dict(page.fields)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "smtpproto"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log no requests."""


def _error(status: int, text: str, fields: Mapping[str, str] | None = None) -> Page:
    return Page(body=f"{status} {text}\n", status=status, fields=fields or {})


def _head_from(connection: socket.socket) -> bytes:
    """Return the head of a request. Raises TimeoutError, and ValueError for a long one."""
    deadline, head = time.monotonic() + _PATIENCE, b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        left = deadline - time.monotonic()
        if left <= 0 or len(head) > _MOST:
            raise TimeoutError("the client is too slow") if left <= 0 else ValueError("too long")
        connection.settimeout(left)
        data = connection.recv(4096)
        if not data:
            break
        head += data
    connection.settimeout(_PATIENCE)  # sendall keeps to it as a whole
    return head
