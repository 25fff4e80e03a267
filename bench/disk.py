"""The speed of a disk, against which a queue is measured."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path


def probe(directory: Path, number: int = 64) -> float:
    """Return how many appends of 4 kB a second can be synced one by one."""
    octets = bytes(4096)
    with tempfile.TemporaryFile(dir=directory) as file:
        start = time.perf_counter()
        for _ in range(number):
            os.write(file.fileno(), octets)
            os.fdatasync(file.fileno())
        return number / (time.perf_counter() - start)
