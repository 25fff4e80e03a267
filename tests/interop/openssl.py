"""OpenSSL's own server and client, and a wire between two programs that remembers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.interop.programs import PATIENCE, free_port, program, run, running


@contextlib.contextmanager
def s_server(log: Path, chain: Path, *options: str | Path) -> Iterator[int]:
    """TLS from the first octet, and then not a word; its port."""
    port = free_port()
    command: list[str | Path] = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}"]
    command += ["-cert", chain, "-key", chain, "-rev", *options]
    with running("openssl s_server", command, log, port=port):
        yield port


def s_client(port: int, *options: str | Path, check: bool = True) -> str:
    """Shake hands and leave; what it printed."""
    server = ("-connect", f"127.0.0.1:{port}", "-verify_return_error")
    return run(program("openssl"), "s_client", *server, *options, check=check)


@contextlib.contextmanager
def recorded(back: int) -> Iterator[tuple[int, bytearray]]:
    """A wire to the port *back* for one connection: its port, and what its client said."""
    said = bytearray()

    def carry(source: socket.socket, target: socket.socket, *, keep: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(4096):
                if keep:
                    said.extend(octets)
                target.sendall(octets)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def join() -> None:
        near, _ = listener.accept()
        with near, socket.create_connection(("127.0.0.1", back), PATIENCE) as far:
            answers = threading.Thread(target=lambda: carry(far, near, keep=False), daemon=True)
            answers.start()
            carry(near, far, keep=True)
            answers.join(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=join, daemon=True)
        thread.start()
        yield listener.getsockname()[1], said
        thread.join(PATIENCE)
