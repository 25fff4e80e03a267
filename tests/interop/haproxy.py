"""HAProxy in front of a server, saying with a PROXY header who the client is."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.interop.programs import configuration, program, running, workplace


@contextlib.contextmanager
def haproxy(back: int, options: str, *, chain: Path | None = None) -> Iterator[int]:
    """An HAProxy in front of the port *back*; its own port.

    *options* are those of its line "server": "send-proxy" for version 1, "send-proxy-v2" for 2;
    "check", and it greets the server from time to time. With *chain* it speaks TLS with clients.
    """
    binary = program("haproxy")
    with workplace() as directory, socket.create_server(("127.0.0.1", 0)) as front:
        port: int = front.getsockname()[1]
        file, log = directory / "haproxy.cfg", directory / "log"
        tls = "" if chain is None else f"ssl crt {chain}"
        values = {"front": front.fileno(), "tls": tls, "back": back, "options": options}
        file.write_text(configuration(file.name, values))
        command: list[str | Path] = [binary, "-db", "-f", file]
        with running("HAProxy", command, log, inherited=[front.fileno()]):
            front.close()  # it listens alone: if it ends, nobody does
            yield port
