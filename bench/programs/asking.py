"""How a client is told what to do: lines ``LOAD PORT COUNT`` on its standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

Work = Callable[[int, int], None]
"""A function that does the work of a load, with a port and a count."""


def work_on_request(loads: Mapping[str, Work]) -> None:
    """Print ``ready``; do what standard input asks for, and print ``done`` after each line."""
    print("ready", flush=True)
    for line in sys.stdin:
        name, port, count = line.split()
        loads[name](int(port), int(count))
        print("done", flush=True)
