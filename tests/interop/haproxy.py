"""HAProxy in front of a server, which it tells the client's address in a PROXY header."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.interop.programs import configuration, find_program, running, shared_directory


@contextlib.contextmanager
def haproxy(back: int, options: str, *, chain: Path | None = None) -> Iterator[int]:
    """Run HAProxy in front of the port *back* while the block runs. Return its own port.

    *options* go into its line "server": "send-proxy" for version 1 of the header, "send-proxy-v2"
    for version 2, "check" for regular health checks. With *chain* it accepts clients over TLS.
    """
    binary = find_program("haproxy")
    with shared_directory() as directory, socket.create_server(("127.0.0.1", 0)) as front:
        port: int = front.getsockname()[1]
        file, log = directory / "haproxy.cfg", directory / "log"
        tls = "" if chain is None else f"ssl crt {chain}"
        values = {"front": front.fileno(), "tls": tls, "back": back, "options": options}
        file.write_text(configuration(file.name, values))
        command: list[str | Path] = [binary, "-db", "-f", file]
        with running("HAProxy", command, log, inherited=[front.fileno()]):
            front.close()  # HAProxy has its own copy; if it ends, the port is closed
            yield port
