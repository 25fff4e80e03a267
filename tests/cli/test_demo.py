"""``smtpproto demo``: its output, and the failures that its check finds."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from smtpproto.adapters.maildir import NewMessage
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from smtpproto.testing import certificates
from smtpproto.testing.mail_host import BUSY
from smtpproto.transfer.receive import QueueSink

PASSWORD = "correct-horse-battery"

STEPS = [
    "--- 1. Greeting",
    "S: 220 mail.example",
    "C: EHLO client.example",
    "S: 250-PIPELINING",
    "S: 250 STARTTLS",
    "--- 2. Encryption",
    "C: STARTTLS",
    "S: 220",
    "*: TLS: TLSv1",
    "C: EHLO client.example",
    "S: 250 AUTH PLAIN",
    "--- 3. Login",
    "C: AUTH PLAIN ***",
    "S: 235",
    "--- 4. A message with one refused recipient",
    "| Subject: Hello",
    "C: MAIL FROM:<ann@client.example>",
    "C: RCPT TO:<bob@mail.example>",
    "are sent in one write",
    "C: RCPT TO:<carol@mail.example>",
    "C: DATA",
    "S: 250 2.1.5",
    "S: 550 5.1.1 No such mailbox here       # Dave is refused, the others are not",
    "S: 250 2.1.5",
    "S: 354",
    "C: end of data",
    "S: 250 2.0.0",
    "--- 5. Addresses and text beyond ASCII",
    "| Subject: Grüße aus Köln",
    "C: MAIL FROM:<jörg@bücher.example>",
    "BODY=8BITMIME SMTPUTF8",
    "C: RCPT TO:<zoë@mail.example>",
    "S: 250 2.0.0",
    "--- 6. A message full of dots",
    "| .                                   # sent as ..",
    "| ..                                  # sent as ...",
    "| .x                                  # sent as ..x",
    "| .                                   # sent as ..",
    "S: 250 2.0.0",
    "--- 7. Goodbye",
    "C: QUIT",
    "S: 221",
    "--- 8. Check",
    "Hello sent",
    "Grüße sent",
    "Dots  sent",
    "OK: 3 of 3 messages arrived octet for octet as they were sent.\n",
    "--- 9. Who takes mail",
    "--- 10. The first attempts",
    "0:05 ",
    "dave@mail.example failed",
    "queued a report",
    "1:00 ",
    "bob@books.example is tried again later",
    "--- 11. Where is the message now?",
    "bob@books.example waits for its next attempt",
    "mx1.books.example [198.18.0.1]: 198.18.0.1 did",
    "451 4.7.1 Greylisted",
    "dave@mail.example failed for good",
    "--- 12. The sender is told",
    "| Your message was NOT delivered to:",
    "|     dave@mail.example",
    "|     550 5.1.1 No such mailbox here",
    "--- 13. The second attempt",
    "bob@books.example relayed",
    "bob@books.example was accepted by the next host",
    "--- 14. Who wrote it?",
    "client.example                v=spf1 ip4:192.0.2.25 -all",
    "s1._domainkey.client.example  v=DKIM1; k=ed25519; p=",
    "_dmarc.client.example         v=DMARC1; p=reject",
    "| Authentication-Results: mx2.books.example;",
    "|  spf=pass smtp.mailfrom=client.example",
    "|  dkim=pass header.d=client.example",
    "|  dmarc=pass header.from=client.example",
    "--- 15. Check of the mailboxes",
    "OK: 4 of 4 checks of the mail agent hold.\n",
]


@pytest.fixture(autouse=True)
def _known_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: PASSWORD)


def test_the_steps_are_printed_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capsys.readouterr()
    at = 0
    for step in STEPS:
        at = shown.out.find(step, at) + len(step)
        assert at >= len(step), f"not printed, or out of order: {step}"
    assert at == len(shown.out)
    assert shown.err == ""


def test_the_output_fits_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line for line in lines if not line.isprintable()] == []


def test_the_short_form_sends_one_message_and_checks_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--short"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 80
    assert shown.count("C: MAIL FROM") == 1
    assert "OK: 1 of 1 messages arrived octet for octet" in shown
    assert "the greeting" in shown and "The client has connected" not in shown


@pytest.mark.parametrize(("variable", "colours"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_the_demo_is_in_colour_where_a_person_looks(
    variable: str,
    colours: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["demo", "--short"])
    plain = capsys.readouterr().out
    monkeypatch.setenv(variable, "1")
    main(["demo", "--short"])
    shown = capsys.readouterr().out
    assert ("\x1b[" in shown) is colours
    changes = re.compile(r"\x1b\[[0-9;]*m|port [0-9]+|[0-9a-f]{64}|Date: .*")
    assert changes.sub("", shown) == changes.sub("", plain)


def test_the_password_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo"])
    shown = capsys.readouterr().out
    assert PASSWORD not in shown
    assert base64.b64encode(f"\0ann\0{PASSWORD}".encode()).decode() not in shown


def test_messages_are_kept_in_the_given_maildir(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maildir = tmp_path / "mail"
    assert main(["demo", "--maildir", str(maildir)]) == 0
    assert f"kept in {maildir}.\nOK: 3 of 3" in capsys.readouterr().out
    assert main(["demo", "--maildir", str(maildir)]) == 0  # with messages in it already
    stored = [path.read_bytes() for path in (maildir / "new").iterdir()]
    assert len(stored) == 6
    dots = [b".", b"..", b".x", b"", b".hidden and ...", b"no dot in front.", b"..", b"."]
    assert stored.count(b"".join(line + b"\r\n" for line in dots)) == 2
    assert sum("Subject: Grüße aus Köln\r\n".encode() in content for content in stored) == 2
    assert list((maildir / "tmp").iterdir()) == []


def test_an_altered_octet_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = NewMessage.write
    monkeypatch.setattr(
        NewMessage, "write", lambda self, data: write(self, data.replace(b"x", b"y"))
    )
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert "DIFFERENT" in shown
    assert "\nFAILED: 0 of 3 messages" in shown  # ".example", ".x"


def test_a_lost_message_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = NewMessage.commit
    deliveries: list[NewMessage] = []

    def drop_second(self: NewMessage) -> None:
        deliveries.append(self)
        (self.abort if len(deliveries) == 2 else lambda: commit(self))()

    monkeypatch.setattr(NewMessage, "commit", drop_second)
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert "DIFFERENT: 0 kept for 1 sent" in shown
    assert "FAILED: 2 of 3 messages" in shown


def test_a_wrong_recipient_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("smtpproto.cli.demo._Inbox.rcpt", lambda *_: None)
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert "WRONG RECIPIENTS" in shown
    assert "FAILED: 2 of 3 messages" in shown


def test_an_octet_that_the_agent_alters_fails_the_checks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = QueueSink.write
    monkeypatch.setattr(
        QueueSink, "write", lambda self, data: write(self, data.replace(b"Hello Bob", b"Hallo Bob"))
    )
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert "  NO   Bob has the message once" in shown
    assert "  NO   SPF, DKIM and DMARC pass" in shown
    assert shown.endswith("FAILED: 2 of 4 checks of the mail agent hold.\n")


def test_a_missing_report_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("smtpproto.testing.mail_host.NO_MAILBOX", BUSY)
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    assert "  NO   Ann has one report" in shown
    assert shown.endswith("FAILED: 3 of 4 checks of the mail agent hold.\n")


def test_without_cryptography_the_message_is_sent_unsigned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "smtpproto.adapters.cryptography_keys", None)
    assert main(["demo"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    [said] = [line for line in lines if "pip install 'smtpproto-sansio[auth]'" in line]
    assert said.startswith("The message is not signed")
    assert not any(name in shown.out for name in ("Who wrote it?", "DKIM", "_domainkey"))
    assert lines[-1] == "OK: 3 of 3 checks of the mail agent hold."
    assert shown.err == ""


def test_an_error_without_trustme_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    certificates.server_context.cache_clear()
    certificates._authority.cache_clear()
    assert main(["demo"]) == ExitStatus.UNAVAILABLE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "pip install 'smtpproto-sansio[cli]'" in shown.err


def test_a_closed_output_ends_the_demo_without_a_traceback() -> None:
    command = [sys.executable, "-m", "smtpproto", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.close()
        assert demo.stderr.read() == b""
        assert demo.wait(20) == ExitStatus.IOERR


def test_characters_are_escaped_for_a_terminal_without_utf8() -> None:
    command = [sys.executable, "-m", "smtpproto", "demo"]
    environment = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=20, check=True)
    assert rb"C: MAIL FROM:<j\xf6rg@b\xfccher.example>" in done.stdout
