"""NSD, a name server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.interop.programs import (
    configuration,
    find_program,
    free_port,
    running,
    shared_directory,
)

_ZONES = ("example.test", "box.test")


@contextlib.contextmanager
def name_server(port: int | None = None, zones: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run NSD on *port*, or on a free one, while the block runs; return its port.

    *zones* are the texts of its zones by name; None: the files ``etc/*.zone``.
    """
    if zones is None:
        zones = {name: configuration(f"{name}.zone", {}) for name in _ZONES}
    binary = find_program("nsd")
    with shared_directory() as directory:
        port = port or free_port()
        file, log = directory / "nsd.conf", directory / "log"
        text = configuration(file.name, {"port": port, "directory": directory})
        for name, zone in zones.items():
            (directory / f"{name}.zone").write_text(zone)
            text += f"zone:\n  name: {name}\n  zonefile: {name}.zone\n"
        file.write_text(text)
        command: list[str | Path] = [binary, "-d", "-c", file]
        with running("NSD", command, log, port=port):
            yield port
