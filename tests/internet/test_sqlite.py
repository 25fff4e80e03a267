"""An MTA with the real SQLite queue in a simulated internet: its process dies, and the next one
opens what was in the files then."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from smtpproto import Envelope
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.testing.internet import Behaviour, Internet
from smtpproto.transfer import MTAConfig
from smtpproto.transfer.running import running

DAY = 86400.0
ANN, TO = "ann@good.example", ["bob@good.example", "bob@grey.example", "bob@bad.example"]
MESSAGES = 4


def play(seed: int, folder: Path) -> Internet:
    """Return an internet after an MTA has died three times, and delivered all."""
    internet = Internet(seed)
    for name, behaviour in {
        "good": Behaviour(),
        "grey": Behaviour(greylists=60),
        "bad": Behaviour(unknown=["bob"]),
    }.items():
        host = internet.mail_host(f"mx.{name}.example", behaviour)
        internet.domain(f"{name}.example", host.name)
    machine, config = internet.host("192.0.2.9"), MTAConfig(hostname="relay.example")

    async def process(files: Path, messages: Sequence[str]) -> None:
        store = SQLiteQueue(files / "queue.db")
        async with running(machine, config, store, internet.zone) as mail:
            for key in messages:
                content = f"X-Key: {key}\r\n\r\nhello\r\n".encode()
                await mail.send(content, Envelope(ANN, TO))
            await machine.sleep(2 * DAY)

    async def lives() -> None:
        files = folder / "0"
        files.mkdir()
        machine.start(process(files, [f"m{number}" for number in range(MESSAGES)]))
        for life in range(1, 4):
            await internet.sleep(internet.dice.choice([0.1, 1, 70]) * internet.dice.random())
            files = shutil.copytree(files, folder / str(life))
            machine.crash()
            await internet.sleep(1)
            machine.start(process(files, []))

    internet.run(lives())
    return internet


@pytest.mark.parametrize("seed", range(2))
def test_what_the_sqlite_queue_has_taken_is_not_lost_when_the_process_dies(
    seed: int, tmp_path: Path
) -> None:
    record = play(seed, tmp_path).record
    expected = {(f"m{number}", to) for number in range(MESSAGES) for to in TO[:2]}
    assert set(record.delivered) == expected
    reported = {arrival.key for arrival in record.arrivals if arrival.is_report}
    assert reported == {f"m{number}" for number in range(MESSAGES)}


def test_a_seed_reproduces_a_run_with_sqlite(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        internet = play(7, tmp_path / name)
        runs.append((internet.record.arrivals, internet.steps))
    assert runs[0] == runs[1]
