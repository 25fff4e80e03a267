"""NSD, a name server, with the zone ``etc/example.test.zone``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.interop.programs import (
    configuration,
    find_program,
    free_port,
    running,
    shared_directory,
)


@contextlib.contextmanager
def name_server() -> Iterator[int]:
    """Run NSD while the block runs; return its port."""
    binary = find_program("nsd")
    with shared_directory() as directory:
        port = free_port()
        file, log = directory / "nsd.conf", directory / "log"
        zone = "example.test.zone"
        (directory / zone).write_text(configuration(zone, {}))
        file.write_text(configuration(file.name, {"port": port, "directory": directory}))
        command: list[str | Path] = [binary, "-d", "-c", file]
        with running("NSD", command, log, port=port):
            yield port
