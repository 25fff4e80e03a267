"""``smtpproto send`` composes messages, takes a URL, and answers in JSON."""

from __future__ import annotations

import email
import email.policy
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.progress import Progress, TaskID

from smtpproto import PlainPasswords
from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.cli import send_report as report_module
from tests.support.handlers import Inbox

TO = ["--from=Ann <ann@a.test>", "--to=Bob <bob@b.test>"]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def server(inbox: Inbox) -> Iterator[list[str]]:
    """Serve *inbox*, and return the options of ``send`` that name the server."""
    with blocking.serve(inbox) as server:
        yield ["send", "--host=127.0.0.1", f"--port={server.port}"]


def received(inbox: Inbox) -> email.message.EmailMessage:
    [body] = inbox.bodies
    return email.message_from_bytes(body, policy=email.policy.default)


def test_a_message_is_composed_of_options(
    server: list[str], inbox: Inbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("a note\n")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    (tmp_path / "page.html").write_text('<img src="cid:logo">')
    options = [
        *("--subject=Grüße", "--body=Hello", f"--html=@{tmp_path / 'page.html'}"),
        *(f"--attach={tmp_path / 'notes.txt'}", f"--inline=logo={tmp_path / 'logo.png'}"),
        *("--header=X-Campaign: may", "--reply-to=info@a.test", "--cc=cat@c.test"),
        "--bcc=dan@d.test",
    ]
    assert main([*server, *TO, *options]) == 0
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines()] == [
        *("bob@b.test", "cat@c.test", "dan@d.test")
    ]
    assert shown.err == ""
    message = received(inbox)
    assert (message["Subject"], message["X-Campaign"]) == ("Grüße", "may")
    assert (message["To"], message["Cc"], message["Bcc"]) == (
        *("Bob <bob@b.test>", "cat@c.test", None),
    )
    assert message["Reply-To"] == "info@a.test" and message["Date"] and message["Message-ID"]
    plain, [attached] = message.get_body(("plain",)), [*message.iter_attachments()]
    assert plain is not None and plain.get_content().strip() == "Hello"
    assert attached.get_filename() == "notes.txt"


def test_the_text_can_come_from_standard_input(
    server: list[str], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Grüße\n".encode())))
    assert main([*server, *TO, "--body=-"]) == 0
    assert received(inbox).get_content().strip() == "Grüße"


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--subject=x", "message.eml", *TO], 64, "read from FILE or composed"),
        (["--subject=x", "--to=b@b.test"], 64, "add --from and --to"),
        ([*TO, "--header=none"], 64, "use --header 'NAME: VALUE'"),
        ([*TO, "--header=Subject: x"], 64, "use subject="),
        ([*TO, "--header=X-A: 1", "--header=X-A: 2"], 64, "X-A is given twice"),
        ([*TO, "--html=x", "--inline=a=1", "--inline=a=2"], 64, "a is given twice"),
        ([*TO, "--attach=gone"], 66, "cannot read gone: No such file or directory; check: --att"),
        ([*TO, "--body=@gone"], 66, "cannot read gone: No such file or directory; check: --body"),
        (["--url=smtp://ann:secret@b.test"], 64, "use --password-env or --password-file"),
        (["--url=smtp://b.test", "--port=25"], 64, "omit --host, --port and --login"),
        (["--url=http://b.test"], 64, "check: --url"),
        (["--url=smtp://b.test?tls=none&hello=x"], 64, "without options"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    options: list[str],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["send", *options]) == status
    shown = capsys.readouterr().err
    assert words in shown and "secret" not in shown


def test_a_url_names_the_server(inbox: Inbox, message: str) -> None:
    with blocking.serve(inbox) as server:
        assert main(["send", f"--url=smtp://127.0.0.1:{server.port}", message]) == 0
    assert len(inbox.bodies) == 1


def test_a_url_with_a_user_asks_for_the_password_on_a_terminal(
    inbox: Inbox, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.cli.options.is_terminal", lambda stream: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"secret of {prompt.split()[2]}")
    passwords = PlainPasswords({"ann@a.test": "secret of ann@a.test:"})
    with blocking.serve(
        inbox, authenticator=passwords, auth_in_clear=True, require_auth=True
    ) as server:
        url = f"--url=smtp://ann%40a.test@127.0.0.1:{server.port}"
        assert main(["send", url, message]) == 69  # TLS is required with a login
        assert main(["send", url, "--tls=none", message]) == 77
    assert inbox.bodies == []


def test_json_has_each_recipient_and_what_receivers_may_dislike(
    server: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*server, "--json", message]) == 0
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert [*answer] == ["recipients", "queue_ids", "connection_lost", "warnings"]
    assert [it["recipient"] for it in answer["recipients"]] == ["bob@b.test", "carol@b.test"]
    first = answer["recipients"][0]
    assert [*first] == ["recipient", "result", "reply", "code", "enhanced", "diagnosis"]
    assert (first["result"], first["code"], first["enhanced"]) == ("accepted", 250, "2.0.0")
    assert answer["warnings"][0].startswith("no Date field")
    assert shown.err == ""


def test_progress_is_drawn_for_a_large_message_on_a_terminal_only(
    server: list[str], inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.eml"
    path.write_bytes(b"From: a@a.test\nTo: b@b.test\n\n" + b"x" * 70 + b"\n" * (1 << 20))
    monkeypatch.setattr(report_module, "wants_progress", lambda: True)
    started: list[float] = []
    add_task = Progress.add_task

    def noted(self: Progress, description: str, start: bool = True, total: float = 0) -> TaskID:
        started.append(total)
        return add_task(self, description, start, total)

    monkeypatch.setattr(Progress, "add_task", noted)
    assert main([*server, str(path)]) == 0
    assert started == [path.stat().st_size]
    assert len(inbox.bodies[0]) > 1 << 20
