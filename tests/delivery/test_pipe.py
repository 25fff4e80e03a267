"""Delivery to programs, whatever they do."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from smtpproto import ForwardPath
from smtpproto.adapters.pipe import Pipe
from tests.delivery.samples import ANN, BOB, CONTENT, SENDER, fields, queued, stored

LARGE = b"Subject: x\r\n\r\n" + b"y" * 1_000_000 + b"\r\n"  # more than a pipe holds


def shell(script: str, *arguments: str, **options: Any) -> Pipe:
    """Return a pipe to a shell script; its arguments are $1, $2 ..."""
    return Pipe(["/bin/sh", "-c", script, "sh", *arguments], **options)


def reply(
    deliver: Pipe, recipient: ForwardPath = ANN, content: bytes = CONTENT, sender: str = SENDER
) -> str:
    """Return what came of a delivery."""
    return str(deliver(*queued(recipient, sender=sender), content)[recipient])


DELIVERED = "250 2.0.0 Delivered to a program"


# -- what it gets --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_the_program_reads_the_message_for_each_recipient(tmp_path: Path, content: bytes) -> None:
    deliver = shell('cat > "$1/$2"', str(tmp_path), "{user}")
    replies = deliver(*queued(ANN, BOB), content)
    assert [str(replies[it]) for it in (ANN, BOB)] == [DELIVERED] * 2
    for recipient in (ANN, BOB):
        assert (tmp_path / recipient.local_part).read_bytes() == stored(recipient, content)


def test_lines_end_with_crlf_on_request(tmp_path: Path) -> None:
    reply(shell('cat > "$1"', str(tmp_path / "x"), crlf=True))
    assert (tmp_path / "x").read_bytes() == fields(ANN).replace(b"\n", b"\r\n") + CONTENT


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    recipient = ForwardPath.of('"; touch x; $(id) `id`"@example.org')
    deliver = Pipe(
        [sys.executable, "-S", "-c", code, str(tmp_path / "x"), "{recipient}", "<{sender}>", "{{}}"]
    )
    assert reply(deliver, recipient, sender="") == DELIVERED
    assert eval((tmp_path / "x").read_text()) == [str(recipient), "<>", "{}"]


@pytest.mark.parametrize(
    ("argument", "recipient", "refusal"),
    [
        ("{user}", "-rf@example.org", "550 5.1.1"),
        ("{user}", '"a b"@example.org', "550 5.1.1"),
        ("{detail}", '"ann+-x"@example.org', "550 5.1.1"),
        ("{recipient}", "-rf@example.org", "501 5.1.3"),
        ("{detail}{recipient}", "-rf@example.org", "501 5.1.3"),
        ("-f{recipient}", "-rf@example.org", "250 2.0.0"),
        ("{detail}", "ann@example.org", "250 2.0.0"),
    ],
)
def test_an_address_is_never_an_option(argument: str, recipient: str, refusal: str) -> None:
    assert reply(shell("cat", argument), ForwardPath.of(recipient))[:9] == refusal


def test_a_sender_is_never_an_option() -> None:
    assert reply(shell("cat", "{sender}"), sender="-x@example.net").startswith("501 5.1.3")


def test_the_environment_keeps_the_secrets_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "secret")
    script = 'env > "$1"; pwd >> "$1"'
    reply(shell(script, str(tmp_path / "x"), environment={"A": "b"}))
    lines = (tmp_path / "x").read_text().split()
    assert "A=b" in lines and lines[-1] == "/"
    assert not any(line.startswith(("PASSWORD", "PATH")) for line in lines)
    reply(shell('/usr/bin/env > "$1"', str(tmp_path / "x")))
    assert "secret" not in (tmp_path / "x").read_text()
    assert f"PATH={os.environ['PATH']}" in (tmp_path / "x").read_text()


# -- what it does --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", DELIVERED),
        ("exec 0<&-; exit 0", DELIVERED),
        ("head -c 10 > /dev/null", DELIVERED),
        (
            "cat > /dev/null; exit 75",
            "451 4.3.0 The program asks to try again later (exit status 75)",
        ),
        ("echo no ann >&2; exit 67", "550 5.1.1 No such mailbox (exit status 67): no ann"),
        ("kill -TERM $$", "451 4.3.0 The program failed (signal 15 ended it)"),
        (
            "echo once; exec 1>&- 2>&-; cat > /dev/null; exit 1",
            "451 4.3.0 The program failed (exit status 1): once",
        ),
    ],
)
@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_the_end_of_the_program_decides(script: str, expected: str, content: bytes) -> None:
    assert reply(shell(script), content=content) == expected


@pytest.mark.parametrize(
    "script",
    ["sleep 99", "exec 0<&- 1>&- 2>&-; sleep 99", "trap '' TERM; sleep 99 & wait"],
    ids=["idle", "closed", "child"],
)
@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_a_program_that_hangs_is_killed_with_all_that_it_has_started(
    script: str, content: bytes, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    deliver = shell(f'exec 9> "$1"; {script}', str(tmp_path / "alive"), timeout=0.1)
    assert reply(deliver, content=content) == "451 4.3.0 The program took too long"
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # it ends when the last of them has ended
    os.close(reader)


def test_a_program_that_floods_is_killed() -> None:
    assert reply(shell("exec yes")) == "451 4.3.0 The program wrote too much"


def test_a_program_may_leave_another_one_behind(tmp_path: Path) -> None:
    """It has the output still, but it is not waited for."""
    script = 'cat > /dev/null; sleep 99 & echo $! > "$1"'
    assert reply(shell(script, str(tmp_path / "x"))) == DELIVERED
    os.kill(int((tmp_path / "x").read_text()), signal.SIGKILL)


def test_what_a_program_wrote_just_before_its_end_is_read() -> None:
    script = "sleep 99 & echo $!; exit 1"
    text = reply(shell(script))
    os.kill(int(text.rpartition(": ")[2]), signal.SIGKILL)


def test_a_program_that_cannot_be_run_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    assert reply(Pipe(["/nowhere/program"])).startswith("451 4.3.0")
    assert "No such file or directory: b'/nowhere/program'" in caplog.text


def test_a_program_never_takes_a_part_of_a_message_for_the_whole(tmp_path: Path) -> None:
    """If the content cannot be read to its end, the program is killed before its input ends."""
    pieces = [b"Subject: x\r\n"]

    class Broken:
        def read(self, size: int) -> bytes:
            if pieces:
                return pieces.pop()
            raise RuntimeError("lost")

    deliver = shell('cat > /dev/null; touch "$1"', str(tmp_path / "x"))
    replies = deliver(*queued(ANN), Broken())  # type: ignore[arg-type]
    assert replies[ANN].code == 451
    assert not (tmp_path / "x").exists()


def test_no_descriptors_are_left() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for script in ("exit 0", "exit 1", "exec yes"):
        reply(shell(script))
    assert len(os.listdir("/proc/self/fd")) == before


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["program", [], ["x", 1]])
def test_arguments_are_a_list_of_texts(arguments: Any) -> None:
    with pytest.raises(TypeError):
        Pipe(arguments)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": 301}, {"timeout": float("nan")}])
def test_a_timeout_is_bounded(options: Any) -> None:
    with pytest.raises(ValueError, match="at most 300 seconds"):
        Pipe(["x"], **options)


def test_other_names_in_braces_are_refused() -> None:
    with pytest.raises(ValueError, match=r"{recipient}, {sender}"):
        Pipe(["x", "{rcpt}"])
