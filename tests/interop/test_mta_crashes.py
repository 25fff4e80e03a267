"""A mail agent that is killed, or whose disk is full, loses nothing that it has accepted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from smtpproto.adapters.sqlite_control import SQLiteControl
from smtpproto.errors import QueueFailed, SendRefused
from smtpproto.mta.explain import explain
from smtpproto.mta.store import Selection
from tests.interop.ledger import LARGE, SMALL, Account, Ledger, load
from tests.interop.mta_program import COMMAND
from tests.interop.our_server import ADAPTERS, serving
from tests.interop.programs import TIMEOUT, free_port, is_open, require_mounts, run, wait_until

_KILLS = 100
_PROGRAM = [sys.executable, "-m", "tests.interop.mta_program"]
_MOUNT = 'mount -t tmpfs -o size=32m tmpfs "$0"; exec "$@"'
_MOUNT_READ_ONLY = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'


@pytest.fixture(params=[*ADAPTERS, COMMAND])
def kind(request: pytest.FixtureRequest) -> str:
    """How the mail agent is run."""
    name: str = request.param
    return name


@contextlib.contextmanager
def program(
    kind: str,
    queue: Path,
    port: int,
    next_hop: int,
    life: int = 0,
    *options: str,
    mount: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``mta_program`` while the block runs; the name of the agent is that of its life.

    *mount* are commands of a shell, which mount a file system on the directory *queue*.
    """
    command = [*_PROGRAM, *arguments(kind, queue, port, next_hop, life), *options]
    if mount is not None:
        require_mounts()
        command = ["unshare", "--mount", "sh", "-euc", mount, str(queue), *command]
    with (queue / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def arguments(kind: str, queue: Path, port: int, next_hop: int, life: int) -> list[str]:
    return [kind, str(queue), str(port), str(next_hop), f"--hostname=life-{life}.test"]


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the program takes mail."""
    wait_until("the port is open", lambda: is_open(port, process))


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the program in order, and check that it ended well."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 0


def log_of(queue: Path) -> str:
    return (queue / "log").read_text()


def wait_for_all(ledger: Ledger, queue: Path) -> None:
    """Wait until all that was accepted has arrived, or was reported. If not, tell why."""

    def more_arrives(missing: int) -> bool | None:
        return True if len(ledger.missing()) < missing else None

    try:
        while missing := len(ledger.missing()):
            wait_until("more arrives", partial(more_arrives, missing), 3 * TIMEOUT)
    except AssertionError as error:
        error.add_note(f"{len(ledger.missing())} are missing: {ledger.missing()[:10]}")
        with contextlib.suppress(QueueFailed), SQLiteControl(queue / "queue.db") as control:
            for entry in control.find(Selection(), 5):
                error.add_note(explain(entry, time.time()))
        raise


def assert_done(ledger: Ledger, queue: Path) -> None:
    """Check that nothing is left in the queue of what was accepted.

    There may be messages whose client never learnt that they were.
    """
    with SQLiteControl(queue / "queue.db") as control:
        found = control.find(Selection(), 1000)
    left = {str(it.recipient) for entry in found for it in entry.deliveries}
    assert left.isdisjoint(recipient for _, recipient in ledger.accepted)


# -- kills ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def forked_lives(queue: Path) -> Iterator[Callable[[Sequence[str]], AbstractContextManager[None]]]:
    """Run the agent in processes that begin at once: in one while the block of a life runs."""
    with (
        (queue / "log").open("ab") as log,
        subprocess.Popen(
            _PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as parent,
    ):
        asked, told = parent.stdin, parent.stdout
        assert asked is not None
        assert told is not None

        @contextlib.contextmanager
        def life(its: Sequence[str]) -> Iterator[None]:
            print(*its, sep="\t", file=asked, flush=True)
            process = int(told.readline())
            try:
                yield
            finally:
                os.kill(process, signal.SIGKILL)
                assert told.readline() == "ended\n"

        yield life


def wait_for_a_moment(dice: Random, ledger: Ledger) -> None:
    """Wait until the agent has begun to start, or until it has done some work."""
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, 0.2))
        return
    most = ledger.events + dice.randrange(80)
    wait_until("the agent works", lambda: ledger.events >= most or None)
    time.sleep(dice.uniform(0, 0.02))


@pytest.mark.req("RFC5321-6.1-01")
def test_an_agent_that_is_killed_a_hundred_times_loses_nothing(kind: str, tmp_path: Path) -> None:
    dice, ledger, port = Random(), Ledger(), free_port()
    with serving("asyncio", ledger) as next_hop:
        with forked_lives(tmp_path) as lives, load(port, ledger):
            for number in range(_KILLS):
                with lives(arguments(kind, tmp_path, port, next_hop, number)):
                    wait_for_a_moment(dice, ledger)
        with program(kind, tmp_path, port, next_hop, _KILLS) as process:
            wait_for_port(process, port)
            wait_for_all(ledger, tmp_path)
            stop(process)
    assert not log_of(tmp_path)
    ledger.check()
    assert_done(ledger, tmp_path)
    assert len(ledger.accepted) > _KILLS


# -- disks ---------------------------------------------------------------------------------------


def inside(process: subprocess.Popen[bytes], directory: Path) -> Path:
    """Return the path by which this process finds what *process* has mounted on *directory*."""
    return Path(f"/proc/{process.pid}/root{directory}")


def fill(file: Path, left: int) -> None:
    """Write *file* until *left* octets of the disk are free."""
    disk = os.statvfs(file.parent)
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as ballast:
        for _ in range(disk.f_bavail - left // disk.f_bsize):
            ballast.write(bytes(disk.f_bsize))


@pytest.mark.parametrize("reserve", [0, 16_000_000])
def test_an_agent_with_a_full_disk_refuses_mail_for_now(
    kind: str, tmp_path: Path, reserve: int
) -> None:
    """It loses nothing, and recovers when there is room. It delivers meanwhile if it may use what
    messages must leave free."""
    ledger, port = Ledger(), free_port()
    option = f"--reserve={reserve}"
    with (
        serving("asyncio", ledger) as next_hop,
        program(kind, tmp_path, port, next_hop, 0, option, mount=_MOUNT) as process,
    ):
        wait_for_port(process, port)
        account, ballast = Account(port, ledger), inside(process, tmp_path) / "ballast"
        ledger.busy = True
        for _ in range(20):
            account.send()
        fill(ballast, left=reserve // 2)
        for _ in range(5):
            with pytest.raises(SendRefused, match=r"452 4\.3\.1"):
                account.send()
        ledger.busy = False
        if reserve:
            wait_for_all(ledger, tmp_path)
        ballast.unlink()
        wait_for_all(ledger, tmp_path)
        for _ in range(5):
            account.send()
        wait_for_all(ledger, tmp_path)
        stop(process)
    ledger.check()
    assert "Traceback" not in log_of(tmp_path)


def test_an_agent_whose_disk_takes_no_new_files_refuses_large_mail_for_now(
    kind: str, tmp_path: Path
) -> None:
    ledger, port = Ledger(), free_port()
    bodies = tmp_path / "queue.db.bodies"
    with (
        serving("asyncio", ledger) as next_hop,
        program(kind, tmp_path, port, next_hop, mount=_MOUNT) as process,
    ):
        wait_for_port(process, port)
        account = Account(port, ledger)
        account.send(LARGE)
        in_namespace(process, 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"', bodies)
        for _ in range(3):
            with pytest.raises(SendRefused, match=r"451 4\.3\.0"):
                account.send(LARGE)
        account.send(SMALL)
        in_namespace(process, 'umount "$0"', bodies)
        account.send(LARGE)
        wait_for_all(ledger, tmp_path)
        stop(process)
    ledger.check()
    assert "Traceback" not in log_of(tmp_path)


def in_namespace(process: subprocess.Popen[bytes], commands: str, directory: Path) -> None:
    run("nsenter", "--mount", f"--target={process.pid}", "sh", "-euc", commands, directory)


def test_an_agent_with_a_read_only_queue_does_not_start_and_loses_nothing(
    kind: str, tmp_path: Path
) -> None:
    ledger, port, next_hop = Ledger(), free_port(), free_port()
    with program(kind, tmp_path, port, next_hop) as process:
        wait_for_port(process, port)
        account = Account(port, ledger)
        for _ in range(5):
            account.send()
    assert not log_of(tmp_path)
    with program(kind, tmp_path, port, next_hop, mount=_MOUNT_READ_ONLY) as process:
        assert process.wait(TIMEOUT) > 0
    [line] = log_of(tmp_path).splitlines()
    assert str(tmp_path) in line
    assert "read-only" in line.lower()
    with (
        serving("asyncio", ledger, port=next_hop),
        program(kind, tmp_path, port, next_hop) as process,
    ):
        wait_for_all(ledger, tmp_path)
        stop(process)
    ledger.check()
    assert_done(ledger, tmp_path)
