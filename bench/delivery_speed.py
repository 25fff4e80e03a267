"""Measure delivery to Maildirs against the disk: ``python -m bench.delivery_speed [directory]``.

The probe appends 4 kB to a file and syncs it, again and again. Compare the ratios to the probe of
the same minute only: the speed of a disk differs from hour to hour.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from smtpproto.adapters.maildir import Maildir

from .disk import probe
from .queue_speed import ROUNDS, message

NUMBER = 256
CONTENT = (b"x" * 76 + b"\r\n") * 52  # 4 kB
TASKS = {"1 at a time": 1, "8 at a time": 8, "16 at a time": 16}


def deliver_all(deliver: Maildir, tasks: int) -> float:
    """Return how many messages a second *tasks* threads deliver, to a mailbox each."""
    users = [f"user{number % 16}@example.net" for number in range(NUMBER)]
    queued = [message(4056, time.time(), user) for user in users]

    def one(number: int) -> None:
        it = queued[number]
        [reply] = deliver(it.message, it.deliveries, CONTENT).values()
        assert reply.positive

    start = time.perf_counter()
    with ThreadPoolExecutor(tasks) as pool:
        list(pool.map(one, range(NUMBER)))
    return NUMBER / (time.perf_counter() - start)


def main(directory: Path) -> None:
    """Measure, and print the medians."""
    print(f"{'':16}{'probe/s':>11}{'messages/s':>12}{'x probe':>9}")
    for name, tasks in TASKS.items():
        with tempfile.TemporaryDirectory(dir=directory) as place:
            for number in range(16):
                (Path(place) / f"user{number}").mkdir()
            deliver = Maildir(f"{place}/{{user}}")
            rounds = [(probe(directory), deliver_all(deliver, tasks)) for _ in range(ROUNDS)]
        probed, rate = map(statistics.median, zip(*rounds, strict=True))
        print(f"{name:16}{probed:11.0f}{rate:12.0f}{rate / probed:9.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
