"""The session in docs/howto/mta.md: mta, swaks, NSD, Postfix and a host that greylists."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto import ForwardPath, RcptParameters, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.mta.report import read_report
from tests.interop.our_server import Inbox
from tests.interop.postfix import Postfix
from tests.interop.programs import TIMEOUT, find_program, free_port, running, wait_for_log

pytest.importorskip("dns")

PAGE = (Path(__file__).parents[2] / "docs/howto/mta.md").read_text()
SESSION = PAGE.partition("\n### A whole session\n")[2].partition("\n## ")[0]
CONFIGURATION, *COMMANDS = [
    re.sub(r"^    ", "", block, flags=re.MULTILINE)
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", SESSION, re.MULTILINE)
]
EVENTS = [
    "carol@greylists.box.test is tried again later",
    "bob@box.test relayed",
    "dave@nowhere.box.test failed",
    "carol@greylists.box.test relayed",
]
"""What is in the log before each explanation."""

_ID = r"\b01[0-9a-z]{24}\b"
_SPAN = r"(?:\d+ (?:day|hour|minute|second)s? ?)+"
_VARYING = {  # from run to run
    _ID: "ID",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC": "DATE",
    rf"(?:(?:in )?{_SPAN}(?:ago )?|now )\(DATE\)": "WHEN",
    rf", after {_SPAN}$": "",
    r"\d+ octets": "OCTETS",
    r"queued as \w+": "QUEUED",
}


class Greylisting(Inbox):
    """Refuses each recipient once, for now."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        known = str(recipient) in self.seen
        self.seen.add(str(recipient))
        return None if known else Reply(451, "4.7.1", "Greylisted, please try again")


def without_varying(text: str) -> str:
    """Return *text* without what differs from run to run."""
    for pattern, name in _VARYING.items():
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command on the page, and what it prints there."""
    for block in COMMANDS:
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output.strip("\n")


@contextlib.contextmanager
def serving(directory: Path, next_hop: int, zone: int) -> Iterator[int]:
    """Run the command mta with the configuration on the page, but other ports. Yield its port."""
    port = free_port()
    text = CONFIGURATION.replace("2525", str(port)).replace("2526", str(next_hop))
    (directory / "mail.toml").write_text(text.replace("5353", str(zone)))
    command = [sys.executable, "-m", "smtpproto", "mta", "--config", str(directory / "mail.toml")]
    with running("smtpproto mta", command, directory / "log", port=port):
        yield port


def run(command: str, directory: Path) -> str:
    """Run *command* in a shell, and return what it prints."""
    programs = {
        "smtpproto": f"{shlex.quote(sys.executable)} -m smtpproto",
        "swaks": shlex.quote(find_program("swaks")),
    }
    name, _, rest = command.partition(" ")
    done = subprocess.run(
        f"{programs[name]} {rest}",
        shell=True,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout.strip("\n")


@pytest.mark.peer("nsd")
@pytest.mark.peer("postfix")
@pytest.mark.peer("swaks")
def test_the_commands_on_the_page_print_what_the_page_says(
    tmp_path: Path, zone: int, postfix: Postfix
) -> None:
    events, ids = iter(EVENTS), dict[str, str]()  # the ids of this run, by those on the page
    with (
        blocking.serve(inbox := Greylisting(), "127.0.0.3", postfix.port),
        serving(tmp_path, postfix.port, zone) as port,
    ):
        for command, expected in steps():
            if "explain" in command:
                wait_for_log(tmp_path / "log", next(events))
            for on_page, here in {**ids, "2525": str(port)}.items():
                command = command.replace(on_page, here)  # noqa: PLW2901
            output = run(command, tmp_path).replace(str(postfix.port), "2526")
            ids.update(zip(re.findall(_ID, expected), re.findall(_ID, output), strict=False))
            assert without_varying(output) == without_varying(expected), command
    assert [*events] == []
    assert inbox.next().recipients == ["carol@greylists.box.test"]
    assert b"\r\nTo: bob@box.test\r\n" in postfix.mailboxes.next("bob")
    report = read_report(postfix.mailboxes.next("alice"))
    assert report is not None
    assert [it.final_recipient.value for it in report.recipients] == ["dave@nowhere.box.test"]
