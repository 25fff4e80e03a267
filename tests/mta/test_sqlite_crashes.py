"""What a queue in SQLite has confirmed survives that its process is killed at any moment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta.queue import State
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.store import Selection
from smtpproto.testing.queue_contract import NOW, make_queued

from ..support.queues import ALL, claim, do, names, open_queue, relayed

LIMITS = QueueLimits(reserve=0, row=1000, spool=20_000)
SIZES = (100, 5_000, 60_000)  # in a row, in a file with others, in a file of its own


def content_of(name: str) -> bytes:
    """Return the content that the message *name* has in these tests."""
    return (name.encode() + b"\r\n") * (SIZES[sum(name.encode()) % 3] // (len(name) + 2))


def read(queue: SQLiteQueue, name: str) -> bytes:
    source: Any = do(queue.content(make_queued(name).message))
    return source if isinstance(source, bytes) else source.read()


def put(queue: SQLiteQueue, name: str) -> None:
    content = content_of(name)
    body = queue.body()
    for start in range(0, len(content), 4096):
        do(body.write(content[start : start + 4096]))
    do(queue.put([evolve(make_queued(name, content=content), content=body)]))


def work(path: str, run: str) -> None:
    """Put messages and finish some of them, from several threads; say what is done. For ever."""

    def put_many(thread: int) -> None:
        number = 0
        while True:
            name = f"r{run}t{thread}n{number}"
            put(queue, name)
            sys.stdout.write(f"put {name}\n")
            sys.stdout.flush()
            number += 1

    def finish_many() -> None:
        while True:
            claims = claim(queue, 3)
            report = f"r{run}x{claims[0].message.id}" if claims else "none"
            new = [make_queued(report, content=content_of(report))] if claims else []
            if claims and "x" in claims[0].message.id:
                new = []
            do(queue.settle(relayed(claims), NOW, new))
            lines = [f"end {name}" for name in names(claims)] + [
                f"put {it.message.id}" for it in new
            ]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()

    with open_queue(Path(path), LIMITS) as queue, ThreadPoolExecutor(4) as pool:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for thread in range(3):
            pool.submit(put_many, thread)
        pool.submit(finish_many).result()


def run_and_kill(path: Path, run: int, seconds: float) -> list[str]:
    """Run :func:`work` in a process, kill it after *seconds*, and return what it has said."""
    code = f"from {__name__} import work; work({str(path)!r}, '{run}')"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    time.sleep(seconds)
    process.kill()
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.req("RFC5321-6.1-01")
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.soak) for n in (1, 2))])
def test_a_process_that_is_killed_loses_nothing_that_it_confirmed(
    tmp_path: Path, seed: int
) -> None:
    dice, path = Random(seed), tmp_path / "queue.db"
    confirmed: Counter[str] = Counter()
    for run in range(3 if seed == 0 else 6):
        said = run_and_kill(path, run, dice.uniform(0.05, 0.6))
        assert said[0] == "open"
        confirmed.update(said[1:])
        with open_queue(path, LIMITS) as queue:
            entries = {entry.message.id: entry for entry in do(queue.find(ALL, 10**6))}
            for line in confirmed:
                verb, name = line.split()
                if verb == "end":
                    assert name not in entries, "finished, and in the queue again"
                elif name not in entries:
                    (left,) = (
                        it for it in do(queue.find(Selection(id=name))) if it.message.id == name
                    )
                    assert left.ended, "confirmed, and neither in the queue nor finished"
            for name in entries:
                assert read(queue, name) == content_of(name)
            assert do(queue.find(Selection(state=State.LEASED))) == []
    assert max(confirmed.values()) == 1
    assert any(line.startswith("put") for line in confirmed)


def test_a_copy_that_is_made_after_any_write_has_all_that_was_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    inside: set[str] = set()
    with open_queue(path, LIMITS) as queue:
        for number in range(12):
            put(queue, f"m{number}")
            inside.add(f"m{number}")
            if number % 3 == 2:
                claims = claim(queue, 1)
                do(queue.settle(relayed(claims), NOW, [make_queued(f"report{number}")]))
                inside -= {*names(claims)}
                inside.add(f"report{number}")
            copy = tmp_path / f"copy{number}"
            shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy*", "*.lock"))
            with open_queue(copy / "queue.db", LIMITS) as copied:
                assert {*names(do(copied.find(ALL)))} == inside
                for name in inside:
                    if name.startswith("m"):
                        assert read(copied, name) == content_of(name)
            shutil.rmtree(copy)
