"""``smtpproto mta`` is killed at random moments; every message that it has accepted arrives."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto import Envelope, Handler, Session
from smtpproto.adapters import blocking
from smtpproto.errors import SMTPError

KILLS = 3
KILLS_IN_SOAK = 100


class NextHop(Handler):
    """Counts the messages, and kills the MTA in the middle of one if it is told to."""

    def __init__(self) -> None:
        self.got: dict[int, int] = {}
        self.kill_at = 0
        self.process: subprocess.Popen[str] | None = None
        self.changed = threading.Condition()

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        number = int(body.partition(b"Number: ")[2].split(b"\r\n")[0])
        with self.changed:
            self.got[number] = self.got.get(number, 0) + 1
            self.kill_at -= 1
            if self.kill_at == 0 and self.process is not None:
                self.process.kill()
            self.changed.notify_all()


class Load:
    """Sends messages of many sizes, one after the other, and remembers what was accepted."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.sent = dice, 0
        self.accepted: set[int] = set()

    def send(self, port: int, most: int) -> None:
        """Send at most *most* messages, until the connection breaks."""
        with contextlib.suppress(SMTPError), blocking.connect("127.0.0.1", port, tls="none") as mta:
            for _ in range(most):
                number = self.sent = self.sent + 1
                size = self.dice.choice([10, 4000, 100_000])
                body = b"Number: %d\r\n\r\n" % number + b"x" * 70 + b"\r\n" * (size // 2)
                outcome = mta.send(body, Envelope("ann@a.test", "bob@b.test"))
                if outcome.accepted:
                    self.accepted.add(number)


@contextlib.contextmanager
def running(directory: Path, hop: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the MTA, which passes all on to port *hop*; yield its process and its port."""
    (directory / "mail.toml").write_text(
        f"""hostname = "mx.a.test"
queue = "queue.db"
relay_from = "127.0.0.1"
[[listen]]
port = 0
[routes]
"*" = {{ smart_host = "127.0.0.1", port = {hop}, tls = "none" }}
[retry]
steps = [0.2]
longest = 1
"""
    )
    command = [sys.executable, "-m", "smtpproto", "mta", "--quiet", "--config"]
    with subprocess.Popen(
        [*command, str(directory / "mail.toml")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline().split()[-1])
        finally:
            process.kill()


def kill_often(directory: Path, kills: int, seed: int) -> None:
    """Kill the MTA *kills* times, and check that what it accepted arrives in the end."""
    dice = random.Random(seed)
    hop, load = NextHop(), Load(dice)
    with blocking.serve(hop) as server:
        for _ in range(kills):
            with running(directory, server.port) as (process, port):
                hop.process, hop.kill_at = process, dice.choice([0, dice.randint(1, 20)])
                load.send(port, dice.randint(1, 30))
        hop.process = None
        with running(directory, server.port), hop.changed:
            everything = hop.changed.wait_for(lambda: load.accepted <= hop.got.keys(), 60)
    assert everything, f"lost: {sorted(load.accepted - hop.got.keys())}, seed {seed}"
    assert load.accepted
    again = sum(number - 1 for number in hop.got.values())
    assert again <= 25 * kills  # only those that were on their way at a kill


def test_what_was_accepted_survives_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, KILLS, random.randrange(1000))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
def test_what_was_accepted_survives_many_kills(tmp_path: Path, seed: int) -> None:
    kill_often(tmp_path, KILLS_IN_SOAK // 2, seed)
