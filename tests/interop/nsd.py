"""NSD, a name server, with the zones ``etc/*.zone``."""

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

_ZONES = ("example.test.zone", "box.test.zone")


@contextlib.contextmanager
def name_server(port: int | None = None) -> Iterator[int]:
    """Run NSD on *port*, or on a free one, while the block runs; return its port."""
    binary = find_program("nsd")
    with shared_directory() as directory:
        port = port or free_port()
        file, log = directory / "nsd.conf", directory / "log"
        for zone in _ZONES:
            (directory / zone).write_text(configuration(zone, {}))
        file.write_text(configuration(file.name, {"port": port, "directory": directory}))
        command: list[str | Path] = [binary, "-d", "-c", file]
        with running("NSD", command, log, port=port):
            yield port
