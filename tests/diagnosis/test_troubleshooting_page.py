"""The commands, the code and the promises of docs/howto/troubleshooting.md are right."""

from __future__ import annotations

import re
import shlex
from email.message import EmailMessage
from pathlib import Path

import pytest

from smtpproto.cli import main
from smtpproto.diagnosis import explain
from smtpproto.testing import SMTPD
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/troubleshooting.md").read_text()
COMMANDS = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
# What the tables of the page promise: a text that people see, and the fault that it is.
SEEN = {
    "535 5.7.8 x - gsmtp": "wrong-password",
    "534 5.7.9 Application-specific password required": "application-password-required",
    "535 5.7.139 basic authentication is disabled": "login-disabled",
    "454 4.7.0 Too many login attempts": "login-later",
    "530 Must issue a STARTTLS command first": "tls-required",
    "554 Relay access denied": "relaying-denied",
    "550 relaying denied": "relaying-denied",
    "550 User unknown": "unknown-user",
    "550 No such user": "unknown-user",
    "553 Sender address rejected: not owned by user": "sender-not-owned",
    "552 message size exceeds the limit": "message-too-large",
    "452 over quota": "mailbox-full",
    "552 mailbox full": "mailbox-full",
    "450 greylisted": "greylisted",
    "451 try again later": "not-available",
    "421 rate limited": "rate-limited",
    "421 too many connections": "rate-limited",
    "554 blocked using zen": "blocklisted",
    "550 banned sending IP": "blocklisted",
    "550 5.7.1 (S3140)": "blocklisted",
    "550 SC-001": "blocklisted",
    "550 5.7.515 x": "not-authenticated",
    "550 5.7.1 reverse DNS": "no-reverse-name",
}


def test_there_are_commands_on_the_page() -> None:
    assert len(COMMANDS) >= 2


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_each_command_prints_what_the_page_shows(
    command: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *arguments = shlex.split(command)
    assert program == "smtpproto" and main(arguments) == 0
    assert capsys.readouterr().out == output


def test_the_snippet_prints_a_diagnosis(capsys: pytest.CaptureFixture[str]) -> None:
    check_imports(SNIPPET)
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    with SMTPD(users={"ann": "other"}) as smtpd:
        code = SNIPPET.replace(
            '2525, login=("ann", "secret")',
            f'{smtpd.port}, login=("ann", "secret"), tls="none", login_in_clear=True',
        )
        exec(code, {"message": message})
    out = capsys.readouterr().out
    assert "The user name or the password is wrong." in out
    assert out.endswith("ask the user for another password\n")


@pytest.mark.parametrize(("reply", "fault"), SEEN.items())
def test_what_the_tables_name_is_recognised(reply: str, fault: str) -> None:
    assert explain(reply).fault == fault
