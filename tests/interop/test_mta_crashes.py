"""A mail agent that is killed, or whose disk is full, loses nothing that it has accepted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from smtpproto.adapters.sqlite_control import QueueControl
from smtpproto.errors import QueueFailed, SendRefused
from smtpproto.mta.explain import explain
from smtpproto.mta.store import Selection
from tests.interop.ledger import LARGE, SMALL, Account, Ledger, load
from tests.interop.our_server import serving
from tests.interop.programs import TIMEOUT, free_port, is_open, require_mounts, run, wait_until

_PATIENCE = 90.0  # seconds; what a busy destination has no room for waits for a minute
_MOUNT = 'mount -t tmpfs -o size=32m tmpfs "$0"; exec "$@"'
_MOUNT_READ_ONLY = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'


@contextlib.contextmanager
def program(
    adapter: str,
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
    arguments = (adapter, str(queue), str(port), str(next_hop), f"--hostname=life-{life}.test")
    command = [sys.executable, "-m", "tests.interop.mta_program", *arguments, *options]
    if mount is not None:
        require_mounts()
        command = ["unshare", "--mount", "sh", "-euc", mount, str(queue), *command]
    with (queue / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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
            wait_until("more arrives", partial(more_arrives, missing), _PATIENCE)
    except AssertionError as error:
        error.add_note(f"{len(ledger.missing())} are missing: {ledger.missing()[:10]}")
        with contextlib.suppress(QueueFailed), QueueControl(queue / "queue.db") as control:
            for entry in control.find(Selection(), 5):
                error.add_note(explain(entry, time.time()))
        raise


def assert_done(ledger: Ledger, queue: Path) -> None:
    """Check that nothing is left in the queue of what was accepted.

    There may be messages whose client never learnt that they were.
    """
    with QueueControl(queue / "queue.db") as control:
        found = control.find(Selection(), 1000)
    left = {str(it.recipient) for entry in found for it in entry.deliveries}
    assert left.isdisjoint(recipient for _, recipient in ledger.accepted)


# -- kills ---------------------------------------------------------------------------------------


def kill_often(adapter: str, queue: Path, kills: int, seed: int) -> None:
    dice, ledger, port = Random(seed), Ledger(), free_port()
    with serving("asyncio", ledger) as next_hop:
        with load(port, ledger):
            for life in range(kills):
                with program(adapter, queue, port, next_hop, life) as process:
                    if dice.random() < 0.8:  # else it may die while it opens the queue
                        wait_for_port(process, port)
                    time.sleep(dice.uniform(0, 0.7))
        with program(adapter, queue, port, next_hop, kills) as process:
            wait_for_all(ledger, queue)
            stop(process)
    assert not log_of(queue)
    ledger.check()
    assert_done(ledger, queue)
    assert len(ledger.accepted) > kills


@pytest.mark.req("RFC5321-6.1-01")
def test_an_agent_that_is_killed_loses_nothing(adapter: str, tmp_path: Path) -> None:
    kill_often(adapter, tmp_path, kills=4, seed=0)


@pytest.mark.soak
def test_an_agent_that_is_killed_a_hundred_times_loses_nothing(
    adapter: str, tmp_path: Path
) -> None:
    kill_often(adapter, tmp_path, kills=100, seed=int(time.time()))


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
    adapter: str, tmp_path: Path, reserve: int
) -> None:
    """It loses nothing, and recovers when there is room. It delivers meanwhile if it may use what
    messages must leave free."""
    ledger, port = Ledger(), free_port()
    option = f"--reserve={reserve}"
    with (
        serving("asyncio", ledger) as next_hop,
        program(adapter, tmp_path, port, next_hop, 0, option, mount=_MOUNT) as process,
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
    adapter: str, tmp_path: Path
) -> None:
    ledger, port = Ledger(), free_port()
    bodies = tmp_path / "queue.db.bodies"
    with (
        serving("asyncio", ledger) as next_hop,
        program(adapter, tmp_path, port, next_hop, mount=_MOUNT) as process,
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
    adapter: str, tmp_path: Path
) -> None:
    ledger, port, next_hop = Ledger(), free_port(), free_port()
    with program(adapter, tmp_path, port, next_hop) as process:
        wait_for_port(process, port)
        account = Account(port, ledger)
        for _ in range(5):
            account.send()
    assert not log_of(tmp_path)
    with program(adapter, tmp_path, port, next_hop, mount=_MOUNT_READ_ONLY) as process:
        assert process.wait(TIMEOUT) == 1
    [line] = log_of(tmp_path).splitlines()
    assert str(tmp_path) in line
    assert "read-only" in line.lower()
    with (
        serving("asyncio", ledger, port=next_hop),
        program(adapter, tmp_path, port, next_hop) as process,
    ):
        wait_for_all(ledger, tmp_path)
        stop(process)
    ledger.check()
    assert_done(ledger, tmp_path)
