"""``smtpproto queue``: what it prints, and what it changes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from smtpproto import Reply
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from smtpproto.mta.destination_stats import DestinationStats
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.queue_values import iso_date
from smtpproto.mta.settlement import Later, Settlement
from smtpproto.testing.queue_contract import NOW, make_queued
from tests.support.queues import claim, do, open_queue

BUSY = DestinationStats(window=5, running=3, paused_until=None, trouble=None)


@pytest.fixture
def queue(tmp_path: Path) -> str:
    """Return the path of a queue: m1 waits after an attempt, m2 is for two recipients, a report."""
    path = tmp_path / "queue.db"
    greylisted = Attempt(
        at=NOW,
        result=Result.REFUSED,
        host="mx.example.com",
        address="192.0.2.9",
        reply=Reply(450, "4.7.1", "Greylisted"),
        command="RCPT TO:<bob@example.com>",
    )
    with open_queue(path) as store:
        do(store.put([make_queued("m1", content=b"Subject: \x1b[1m\r\n\r\nhello\r\n")]))
        [one] = claim(store)
        later = Later(due=NOW + 60)
        it = Settlement(delivery=one.deliveries[0], decision=later, attempt=greylisted)
        do(store.settle([it], NOW))
        do(store.put([make_queued("m2", "al@a.test", "bo@b.test", sender="")]))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["queue", *arguments])
    return status, capsys.readouterr().out


def test_list_has_each_message_and_what_its_recipients_wait_for(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run(capsys, "list", "--queue", queue)
    assert status == 0
    assert out.splitlines() == [
        "m1 from ann@example.org, 24 octets",
        "  bob@example.com is due, and waits for a connection",
        "m2 from <>, 22 octets",
        "  al@a.test is due, and waits for a connection",
        "  bo@b.test is due, and waits for a connection",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--to", "@a.test"], ["m2 from", "  al@a"]),
        (["--from", ""], ["m2 from", "  al@a", "  bo@b"]),
        (["--from", "@example.org"], ["m1 from", "  bob@"]),
        (["--limit", "1"], ["m1 from", "  bob@", "and mo"]),
        (["--state", "held"], ["nothing"]),
    ],
)
def test_list_can_be_narrowed(
    queue: str, capsys: pytest.CaptureFixture[str], options: list[str], found: list[str]
) -> None:
    lines = run(capsys, "list", "--queue", queue, *options)[1].splitlines()
    assert len(lines) == len(found)
    assert all(line.startswith(start) for line, start in zip(lines, found, strict=True))


def test_explain_has_what_each_host_answered(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run(capsys, "explain", "m1", "--queue", queue)
    assert status == 0
    assert "mx.example.com [192.0.2.9] refused it for now: 450 4.7.1 Greylisted" in out


def test_show_has_the_envelope_and_the_header_escaped(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, "show", "m1", "--queue", queue)[1]
    assert "from:       ann@example.org\nto:         bob@example.com (waiting)\n" in out
    assert out.endswith("\nSubject: \\x1b[1m\n")


def test_stats_has_the_domains(queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "stats", "--queue", queue)[1]
    assert out.startswith("messages: 2, 46 octets\nwaiting: 3\n")
    lines = [line.split() for line in out.splitlines()]
    assert [line[-1] for line in lines[3:] if line[:3] == ["1", "0", "0"]] == [
        "a.test",
        "b.test",
        "example.com",
    ]
    assert "mx.example.com [192.0.2.9] refused it for now: 450 4.7.1 Greylisted" in out


def test_stats_has_the_windows_of_destinations_as_long_as_an_mta_posts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = str(tmp_path / "queue.db"), time.time()
    tried = Attempt(at=now, result=Result.UNREACHED, host="mx\x1b.test")
    dead = DestinationStats(window=1, running=0, paused_until=now + 7300, trouble=tried)
    with open_queue(Path(path)) as store:
        do(store.put([make_queued("m1")]))
        do(store.post({"busy.test": BUSY, "dead.test": dead}, now))
        lines = run(capsys, "stats", "--queue", path)[1].splitlines()
        start = lines.index(" running  window  paused for             destination")
        assert lines[start + 1].split() == ["3", "5", "busy.test"]
        assert lines[start + 2].split()[:4] == ["0", "1", "2", "hours"]
        assert lines[start + 3] == "          mx\\x1b.test could not be reached"
        stats = json.loads(run(capsys, "stats", "--json", "--queue", path)[1])
        [busy, its] = stats["destinations"]
        window = {"window": 5, "running": 3, "paused_until": None}
        assert busy == {"destination": "busy.test", **window, "trouble": None}
        assert its["trouble"]["result"] == "unreached"
    monkeypatch.setattr("time.time", lambda: now + 200)
    assert "busy.test" not in run(capsys, "stats", "--queue", path)[1]


@pytest.mark.parametrize(
    ("options", "recipients", "more"),
    [
        ([], [["bob@example.com"], ["al@a.test", "bo@b.test"]], False),
        (["--to", "@a.test"], [["al@a.test"]], False),
        (["--limit", "1"], [["bob@example.com"]], True),
    ],
)
def test_list_can_be_json(
    queue: str,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    recipients: list[list[str]],
    more: bool,
) -> None:
    status, out = run(capsys, "list", "--json", "--queue", queue, *options)
    found = json.loads(out)
    lists = [[it["recipient"] for it in its["deliveries"]] for its in found["messages"]]
    assert (status, lists, found["more"]) == (0, recipients, more)


@pytest.mark.parametrize("action", ["show", "explain"])
def test_a_message_can_be_json(queue: str, capsys: pytest.CaptureFixture[str], action: str) -> None:
    status, out = run(capsys, action, "m1", "--json", "--queue", queue)
    [found] = json.loads(out)["messages"]
    [delivery] = found["deliveries"]
    assert (status, found["id"], found["sender"], found["size"]) == (0, "m1", "ann@example.org", 24)
    assert (delivery["state"], delivery["attempts"]) == ("waiting", 1)
    assert delivery["next"] == "is due, and waits for a connection"
    assert delivery["due"] == iso_date(NOW + 60)
    assert [it["reply"] for it in delivery["log"]] == ["450 4.7.1 Greylisted"]
    assert found.get("header") == (["Subject: \\x1b[1m"] if action == "show" else None)


def test_json_has_what_ended_and_says_what_was_changed(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run(capsys, "drop", "m2", "--to", "@a.test", "--json", "--queue", queue)
    assert (status, json.loads(out)) == (0, {"action": "drop", "deliveries": 1})
    [found] = json.loads(run(capsys, "explain", "m2", "--json", "--queue", queue)[1])["messages"]
    assert [(it["recipient"], it["result"]) for it in found["ended"]] == [("al@a.test", "dropped")]
    status, out = run(capsys, "drop", "m3", "--json", "--queue", queue)
    assert (status, json.loads(out)) == (1, {"action": "drop", "deliveries": 0})
    status, out = run(capsys, "show", "m3", "--json", "--queue", queue)
    assert (status, json.loads(out)) == (1, {"messages": []})


def test_stats_can_be_json(queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    stats = json.loads(run(capsys, "stats", "--json", "--queue", queue)[1])
    assert (stats["messages"], stats["deliveries"]) == (2, {"waiting": 3})
    [*_, last] = stats["domains"]
    assert last["domain"] == "example.com"
    assert last["last"]["reply"] == "450 4.7.1 Greylisted"
    assert (last["last"]["at"], last["due"]) == (iso_date(NOW), iso_date(NOW + 60))


def test_deliveries_are_held_released_retried_and_dropped(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held = run(capsys, "hold", "m1", "--queue", queue, "--reason", "too \x07 large")
    assert held == (0, "hold: 1 delivery\n")
    assert (
        "held until somebody releases it: too \\x07 large"
        in run(capsys, "explain", "m1", "--queue", queue)[1]
    )
    assert run(capsys, "retry", "m1", "--queue", queue) == (1, "retry: 0 deliveries\n")
    assert run(capsys, "release", "--all", "--queue", queue) == (0, "release: 1 delivery\n")
    assert run(capsys, "retry", "--to", "@b.test", "--queue", queue)[0] == 0
    assert run(capsys, "drop", "--from", "", "--queue", queue) == (0, "drop: 2 deliveries\n")
    assert (
        "was dropped, and the sender was not told"
        in run(capsys, "explain", "m2", "--queue", queue)[1]
    )


@pytest.mark.parametrize("options", [[], ["m1", "--all"]])
def test_a_change_must_say_of_what(
    queue: str, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["queue", "drop", *options, "--queue", queue]) == ExitStatus.USAGE
    assert "name what to change" in capsys.readouterr().err


def test_the_beginning_of_an_id_must_name_one_message(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["queue", "explain", "m", "--queue", queue]) == ExitStatus.USAGE
    assert "m is the beginning of several ids, such as m1 and m2" in capsys.readouterr().err


def test_an_error_names_the_option(queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "list", "--to", "a b", "--queue", queue]) == ExitStatus.USAGE
    assert "check: ID, --from and --to" in capsys.readouterr().err
    assert main(["queue", "list", "--queue", queue + "x"]) == ExitStatus.NOINPUT
    assert "there is no queue at" in capsys.readouterr().err
