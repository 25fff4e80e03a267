"""``smtpproto send``: the message, the envelope, and the result for each recipient."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.cli.send import _envelope, _warnings
from smtpproto.delivery import ExitStatus
from smtpproto.diagnosis import explain
from tests.cli.server_process import (
    MESSAGE,
    PASSWORD,
    STORED,
    WARNING,
    assert_one_line,
    send,
    serving,
    stored,
)

# -- the message and its envelope --------------------------------------------------------------


def test_a_file_arrives_with_crlf_line_ends(
    tmp_path: Path, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("--maildir", str(tmp_path / "mail")) as server:
        assert send(server.port, message) == 0
        assert stored(tmp_path / "mail") == [STORED]
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "accepted  bob@b.test  250 2.0.0 Message accepted",
        "accepted  carol@b.test  250 2.0.0 Message accepted",
    ]
    assert shown.err == WARNING


@pytest.mark.parametrize("lines", [1, 100_000])  # the latter goes through a file
def test_standard_input_arrives(tmp_path: Path, lines: int) -> None:
    content = MESSAGE + b".line\xff after line\n" * lines
    with serving("--maildir", str(tmp_path / "mail")) as server:
        command = [sys.executable, "-m", "smtpproto", "send", "--port", str(server.port)]
        done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=True)
        assert stored(tmp_path / "mail") == [content.replace(b"\n", b"\r\n")]
    assert done.stdout.startswith(b"accepted  bob@b.test  250")
    assert done.stderr == WARNING.encode()


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(MESSAGE + b"x" * 70 + b"\n" + (b"y" * 70 + b"\n") * 150_000)
    with serving("--maildir", str(tmp_path / "mail")) as server:
        tracemalloc.start()
        try:
            assert send(server.port, str(path)) == 0
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert [len(content) for content in stored(tmp_path / "mail")] > [10_000_000]
    assert peak < 2_000_000


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_recipients_are_read_to_the_end_of_a_long_header(tmp_path: Path, end: str) -> None:
    """A header section that is cut off would end with half an address, which is another one."""
    recipients = [f"user{number:04}@b.example.com" for number in range(900)]
    trace = "".join(f"Received: from x by {number:0900}{end}" for number in range(99))
    path = tmp_path / "long.eml"
    dated = ["Date: Tue, 1 Dec 2026 12:00:00 +0000", "Message-ID: <1@a.test>"]
    fields = ["From: ann@a.test", f"To: {f',{end} '.join(recipients)}", *dated]
    path.write_text(f"{trace}{end.join(fields)}{end}{end}Hello{end}", newline="")
    with path.open("rb") as file:
        envelope = _envelope(file, None, None)
        assert [str(it) for it in envelope.recipients] == recipients
        assert _warnings(file, envelope) == [] and file.tell() == 0


def test_options_override_the_envelope_from_the_header(message: str) -> None:
    cases = [
        ([], "from ann@a.test, to bob@b.test, carol@b.test: 81 octets"),
        (["--from", "x@a.test"], "from x@a.test, to bob@b.test, carol@b.test: 81 octets"),
        (["--from", ""], "from <>, to bob@b.test, carol@b.test: 81 octets"),
        (["--to", "x@b.test"], "from ann@a.test, to x@b.test: 81 octets"),
        (
            ["--from", "jörg@a.test", "--to", "y@b.test", "--to", "zoë@b.test"],
            "from jörg@a.test, to y@b.test, zoë@b.test: 81 octets",
        ),
    ]
    with serving("--raw") as server:
        for options, _ in cases:
            assert send(server.port, *options, message) == 0
        status, out, err = server.stop()
    assert (status, err) == (0, "")
    content = STORED.decode().replace("\r\n", "\n")
    assert out == "".join(f"-------- {line}\n{content}-------- end\n" for _, line in cases)


# -- results ---------------------------------------------------------------------------------


class RefusingServer(Handler):
    """Refuses Carol as a recipient, and every message for Oscar."""

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if recipient.local_part != "carol" else Reply(550, "5.1.1", "No such user")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        for_oscar = any(path.local_part == "oscar" for path in envelope.recipients)
        return Reply(554, "5.6.0", "Not this one") if for_oscar else None


@pytest.mark.parametrize(
    ("options", "status", "lines"),
    [
        (
            [],
            ExitStatus.NOUSER,
            [
                "accepted  bob@b.test  250 2.0.0 Message accepted",
                "refused   carol@b.test  550 5.1.1 No such user",
            ],
        ),
        (
            ["--to=carol@b.test"],
            ExitStatus.NOUSER,
            ["refused   carol@b.test  550 5.1.1 No such user"],
        ),
        (
            ["--to=oscar@b.test"],
            ExitStatus.DATAERR,
            ["refused   oscar@b.test  554 5.6.0 Not this one"],
        ),
    ],
    ids=["one of two", "recipient", "message"],
)
def test_refused_recipients_are_printed_and_the_status_says_why(
    options: list[str],
    status: int,
    lines: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with blocking.serve(RefusingServer()) as server:
        assert send(server.port, *options, message) == status
    shown = capsys.readouterr()
    assert shown.out.splitlines() == lines
    assert shown.err == WARNING


def test_causes_of_a_refusal_are_shown_where_a_person_looks(
    message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.cli.send_report.is_terminal", lambda stream: True)
    with blocking.serve(RefusingServer()) as server:
        send(server.port, "--to=carol@b.test", message)
    shown = capsys.readouterr().err.splitlines()
    assert "Likely cause:" in shown
    assert any(it.startswith("     Try: ") for it in shown)


def test_json_has_the_diagnosis_of_each_refusal(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with blocking.serve(RefusingServer()) as server:
        send(server.port, "--json", message)
    bob, carol = json.loads(capsys.readouterr().out)["recipients"]
    assert bob["diagnosis"] is None
    assert carol["diagnosis"] == explain("550 5.1.1 No such user").as_dict()


def test_recipients_are_unknown_if_the_connection_ends_after_the_final_dot(
    message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.cli.send_report.is_terminal", lambda stream: True)
    replies = [b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"250 ok", b"354 go"]

    def hang_up_at_the_dot(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, connection.makefile("rb") as lines:
            for reply in replies:
                connection.sendall(reply + b"\r\n")
                lines.readline()
            while lines.readline() != b".\r\n":
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up_at_the_dot, args=[listener])
        thread.start()
        assert send(listener.getsockname()[1], message) == ExitStatus.TEMPFAIL
        thread.join(20)
    shown = capsys.readouterr()
    assert "Likely cause" in shown.err
    first, second = shown.out.splitlines()
    assert first.startswith("unknown   bob@b.test  250 ok; then the connection was lost")
    assert second.startswith("unknown   carol@b.test  250 ok; then the connection was lost")


# -- connecting ------------------------------------------------------------------------------


def test_a_refused_connection_names_host_and_port(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert send(port, message) == ExitStatus.UNAVAILABLE
    assert_one_line(capsys, "smtpproto send: ", f"check: --host 127.0.0.1 and --port {port}; ")


def test_an_invalid_host_name_is_reported_in_one_line(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", "--host", "mail..b.test", message]) == ExitStatus.UNAVAILABLE
    assert_one_line(capsys, "phase: connect", "check: --host")


@pytest.mark.parametrize(
    ("options", "port"),
    [([], 25), (["--tls=implicit"], 465), (["--login=ann", "--password-file=password"], 587)],
    ids=["plain", "implicit TLS", "login"],
)
def test_the_default_port_depends_on_tls_and_login(
    options: list[str],
    port: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(message).parent)
    Path("password").write_text(PASSWORD)

    def refuse(host: str, port: int, *_: object) -> None:
        raise ConnectionRefusedError(f"asked for {(host, port)}")

    monkeypatch.setattr("smtpproto.adapters.eyeballs.connect", refuse)
    assert main(["send", *options, message]) == ExitStatus.UNAVAILABLE
    assert f"asked for ('localhost', {port})" in capsys.readouterr().err
