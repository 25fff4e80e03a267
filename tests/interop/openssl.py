"""The server and client of OpenSSL, and a proxy that records what the client sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.interop.programs import TIMEOUT, find_program, free_port, run, running


@contextlib.contextmanager
def s_server(log: Path, chain: Path, *options: str | Path) -> Iterator[int]:
    """Run a server while the block runs: it speaks TLS at once, but no SMTP. Return its port."""
    port = free_port()
    command: list[str | Path] = [
        find_program("openssl"),
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
    ]
    command += ["-cert", chain, "-key", chain, "-rev", *options]
    with running("openssl s_server", command, log, port=port):
        yield port


def s_client(port: int, *options: str | Path, check: bool = True) -> str:
    """Run a client that ends after the handshake. Return its output."""
    server = ("-connect", f"127.0.0.1:{port}", "-verify_return_error")
    return run(find_program("openssl"), "s_client", *server, *options, check=check)


@contextlib.contextmanager
def recording_proxy(server_port: int) -> Iterator[tuple[int, bytearray]]:
    """Forward one connection to *server_port* while the block runs.

    Return the port of the proxy, and a bytearray that receives what the client sends.
    """
    sent = bytearray()

    def forward(source: socket.socket, target: socket.socket, *, record: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(4096):
                if record:
                    sent.extend(octets)
                target.sendall(octets)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def connect() -> None:
        near, _ = listener.accept()
        with near, socket.create_connection(("127.0.0.1", server_port), TIMEOUT) as far:
            replies = threading.Thread(target=lambda: forward(far, near, record=False), daemon=True)
            replies.start()
            forward(near, far, record=True)
            replies.join(TIMEOUT)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        yield listener.getsockname()[1], sent
        thread.join(TIMEOUT)
