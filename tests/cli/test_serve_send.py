"""``smtpproto serve`` and ``smtpproto send``, over real sockets, one against the other."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from attrs import frozen

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.cli import main

MESSAGE = b"From: Ann <ann@a.test>\nTo: bob@b.test\nCc: carol@b.test\nSubject: x\n\n.\nbody\n"
STORED = MESSAGE.replace(b"\n", b"\r\n")
PASSWORD = "open sesame"


@frozen
class Served:
    process: subprocess.Popen[str]
    port: int

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit status, and what it printed besides the port."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[Served]:
    """``smtpproto serve`` on a free port, in a process of its own."""
    command = [sys.executable, "-m", "smtpproto", "serve", "--port", "0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment | {"PYTHONUTF8": "1"}
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:-1] == ["listening", "on", "127.0.0.1", "port"]
        try:
            yield Served(process, int(words[-1]))
        finally:
            process.kill()


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CA, a certificate and its key."""
    directory, ca = tmp_path_factory.mktemp("pem"), trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(directory / "ca")
    issued.private_key_pem.write_to_path(directory / "key")
    issued.cert_chain_pems[0].write_to_path(directory / "certificate")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "both")
    return directory


@pytest.fixture
def message(tmp_path: Path) -> str:
    path = tmp_path / "message.eml"
    path.write_bytes(MESSAGE)
    return str(path)


def send(port: int, *options: str) -> int:
    return main(["send", "--host", "127.0.0.1", "--port", str(port), *options])


def stored(maildir: Path) -> list[bytes]:
    return [path.read_bytes() for path in (maildir / "new").iterdir()]


# -- what is sent arrives --------------------------------------------------------------------


def test_a_file_arrives_in_the_maildir(
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
    assert shown.err == ""


@pytest.mark.req("RFC5321-2.3.8-04")
@pytest.mark.parametrize("lines", [1, 100_000])  # the latter is too much for memory, in a pipe
def test_standard_input_arrives_too(tmp_path: Path, lines: int) -> None:
    content = MESSAGE + b".line\xff after line\n" * lines
    with serving("--maildir", str(tmp_path / "mail")) as server:
        command = [sys.executable, "-m", "smtpproto", "send", "--port", str(server.port)]
        done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=True)
        assert stored(tmp_path / "mail") == [content.replace(b"\n", b"\r\n")]
    assert done.stdout.startswith(b"accepted  bob@b.test  250")
    assert done.stderr == b""


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


@pytest.mark.req("RFC5321-4.1.1.2-02")
@pytest.mark.parametrize(
    ("options", "first_line"),
    [
        ([], "from ann@a.test, to bob@b.test, carol@b.test: 81 octets"),
        (["--from", "x@a.test"], "from x@a.test, to bob@b.test, carol@b.test: 81 octets"),
        (["--from", ""], "from <>, to bob@b.test, carol@b.test: 81 octets"),
        (["--to", "x@b.test"], "from ann@a.test, to x@b.test: 81 octets"),
        (
            ["--from", "jörg@a.test", "--to", "y@b.test", "--to", "zoë@b.test"],
            "from jörg@a.test, to y@b.test, zoë@b.test: 81 octets",
        ),
    ],
)
def test_the_envelope_is_that_of_the_options_and_else_of_the_header(
    options: list[str], first_line: str, message: str
) -> None:
    with serving() as server:
        assert send(server.port, *options, message) == 0
        status, out, err = server.stop()
    assert (status, err) == (0, "")
    content = STORED.decode().replace("\r\n", "\n")
    assert out == f"-------- {first_line}\n{content}-------- end\n"


def test_what_is_printed_cannot_upset_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_bytes(b"Subject: gr\xc3\xbcn\tx\n\n\x1b[2J\x07 \xff \xe2\x80\xae\n")
    with serving() as server:
        assert send(server.port, "--from=a@a.test", "--to=b@b.test", "--tls=none", str(path)) == 0
        _, out, _ = server.stop()
    assert out.splitlines()[1:-1] == ["Subject: grün\tx", "", r"\x1b[2J\x07 \xff \u202e"]


# -- serve -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_the_idle_are_told(number: int) -> None:
    with serving("--hostname", "mx.b.test") as server:
        with socket.create_connection(("127.0.0.1", server.port), 20) as idle:
            assert idle.recv(1000).startswith(b"220 mx.b.test ")
            server.process.send_signal(number)
            assert idle.recv(1000).startswith(b"421 4.3.2 mx.b.test ")
        out, err = server.process.communicate(timeout=20)
        assert (server.process.returncode, out, err) == (0, "", "")


def test_a_second_signal_does_not_wait_for_a_message_in_flight() -> None:
    with (
        serving() as server,
        socket.create_connection(("127.0.0.1", server.port), 20) as client,
        client.makefile("rb") as lines,
    ):
        lines.readline()
        client.sendall(b"HELO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nhalf")
        assert [lines.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        server.process.send_signal(signal.SIGTERM)
        tries = 0
        while _listens(server.port):  # until the first signal has arrived
            assert (tries := tries + 1) < 100_000
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == -signal.SIGTERM


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 20).close()
    except OSError:
        return False
    return True


def test_the_limit_on_size_holds(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("--max-size", "65536") as server, open(message, "ab") as file:
        file.write(b"x\n" * 65536)
        file.flush()
        assert send(server.port, message) == 2
    assert "accepts at most 65536" in capsys.readouterr().err


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    assert_one_line(capsys, "smtpproto serve: ", "in use")


# -- TLS and logins --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "sent"),
    [
        (["--certificate=both"], ["--tls=required", "--ca=ca"]),
        (["--certificate=certificate", "--key=key"], ["--tls=opportunistic", "--ca=ca"]),
        (["--certificate=both"], ["--tls=opportunistic"]),
        (["--certificate=both"], ["--tls=none"]),
        (["--certificate=both", "--implicit-tls"], ["--tls=implicit", "--ca=ca"]),
    ],
)
def test_tls(
    served: list[str],
    sent: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    pem: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pem)
    with serving("--trace", *served) as server:
        options = ["--host=localhost", "--trace", *sent]
        assert send(server.port, *options, message) == 0
        status, _, trace = server.stop()
    shown = capsys.readouterr()
    assert shown.out.count("accepted  ") == 2
    assert ("*: TLS: TLSv1." in shown.err) == (sent != ["--tls=none"])
    assert ("C: STARTTLS\n" in trace) == (sent[0] in ("--tls=required", "--tls=opportunistic"))
    assert "C: [81 octets of content]\n" in trace
    assert status == 0


def test_a_stranger_is_not_trusted(
    message: str, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("--certificate", str(pem / "both")) as server:
        assert send(server.port, "--host=localhost", "--tls=required", message) == 2
    assert_one_line(capsys, "TLS failed", "check: the CA in use")


@pytest.mark.req("RFC4954-4-30")
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"])
def test_login_with_the_password_in_a_file(
    newline: str, tmp_path: Path, message: str, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}{newline}", newline="")
    login = ["--login", "ann", "--password-file", str(path)]
    with serving("--trace", "--certificate", str(pem / "both"), *login) as server:
        to = ["--host=localhost", "--ca", str(pem / "ca")]
        assert send(server.port, *to, "--trace", *login, message) == 0
        assert "C: AUTH PLAIN ***\n" in (trace := capsys.readouterr().err)
        assert send(server.port, *to, message) == 1  # without a login nothing is taken
        assert "refused   bob@b.test  530 5.7.0 " in capsys.readouterr().out
        _, out, served = server.stop()
    assert "C: AUTH PLAIN ***\n" in served
    assert PASSWORD not in trace + served + out


def test_login_with_the_password_in_the_environment(
    message: str,
    pem: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    login = ["--login", "ann", "--password-env", "WORD"]
    with serving("--certificate", str(pem / "both"), *login, WORD=PASSWORD) as server:
        to = ["--host=localhost", "--ca", str(pem / "ca"), *login]
        monkeypatch.setenv("WORD", PASSWORD)
        assert send(server.port, *to, message) == 0
        capsys.readouterr()
        monkeypatch.setenv("WORD", "wrong")
        assert send(server.port, *to, message) == 2
    assert_one_line(capsys, "535 5.7.8", "check: the user name and password")


@pytest.mark.req("RFC8314-5.1-01", "RFC8314-5.2-01", "RFC8314-4-02")
def test_no_password_is_sent_in_clear(
    message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORD", PASSWORD)
    login = ["--login=ann", "--password-env=WORD"]
    with serving() as server:
        assert send(server.port, *login, message) == 2
        assert_one_line(capsys, "does not offer STARTTLS", "check: whether this port")
        assert send(server.port, *login, "--tls=none", message) == 2
        assert_one_line(capsys, "no login without verified TLS", "check: --tls")


# -- refusals and failures -------------------------------------------------------------------


class Picky(Handler):
    """Refuses who is called carol, and whole messages for oscar."""

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        known = recipient.local_part != "carol"
        return None if known else Reply(550, "5.1.1", "No such user")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        good = all(path.local_part != "oscar" for path in envelope.recipients)
        return None if good else Reply(554, "5.6.0", "Not this one")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            [],
            [
                "accepted  bob@b.test  250 2.0.0 Message accepted",
                "refused   carol@b.test  550 5.1.1 No such user",
            ],
        ),
        (["--to=carol@b.test"], ["refused   carol@b.test  550 5.1.1 No such user"]),
        (["--to=oscar@b.test"], ["refused   oscar@b.test  554 5.6.0 Not this one"]),
    ],
)
def test_a_refusal_is_status_1(
    options: list[str], lines: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with blocking.serve(Picky()) as server:
        assert send(server.port, *options, message) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == lines
    assert shown.err == ""


def test_a_link_that_dies_after_the_final_dot_is_status_1(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = [b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"250 ok", b"354 go"]

    def die_at_the_dot(listener: socket.socket) -> None:
        with listener.accept()[0] as link, link.makefile("rb") as lines:
            for reply in replies:
                link.sendall(reply + b"\r\n")
                lines.readline()
            while lines.readline() != b".\r\n":
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=die_at_the_dot, args=[listener])
        thread.start()
        assert send(listener.getsockname()[1], message) == 1
        thread.join(20)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("unknown   bob@b.test  250 ok; then the connection was lost")
    assert second.startswith("unknown   carol@b.test  250 ok; then")


def test_nobody_listens(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert send(port, message) == 2
    assert_one_line(capsys, "smtpproto send: ", f"is there a server on 127.0.0.1, port {port}?")


def test_a_name_that_is_no_host_name(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--host", "mail..b.test", message]) == 2
    assert_one_line(capsys, "phase: connect", "check: --host")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["send", "--login=ann"], "needs --password-env or --password-file"),
        (["send", "--password-env=WORD"], "give --login too"),
        (["send", "--login=ann", "--password-env=WORD"], "variable WORD is not set"),
        (["send", "--login=ann", "--password-file=nowhere"], "No such file"),
        (["send", "--login=ann", "--password-file=empty"], "cannot be empty"),
        (["send", "--ca=nowhere"], "cannot read CA certificates from nowhere: No such file"),
        (["send", "--ca=message.eml"], "cannot read CA certificates from message.eml: NO_CERT"),
        (["send", "nowhere"], "No such file"),
        (["send", "empty"], "no Sender or From field"),
        (["send", "--from=ann", "--to=b@b.test", "message.eml"], "check: --from, --to"),
        (["send", "--hello=a b", "message.eml"], "check: --from, --to, --hello"),
        (["serve", "--implicit-tls"], "--implicit-tls needs TLS"),
        (["serve", "--login=ann", "--password-file=message.eml"], "--login needs TLS"),
        (["serve", "--key=nowhere"], "give --certificate too"),
        (["serve", "--certificate=nowhere"], "in nowhere: No such file"),
        (["serve", "--certificate=message.eml", "--key=empty"], "in message.eml and empty: "),
        (["serve", "--hostname=a b"], "a label must be letters"),
        (["serve", "--maildir=message.eml"], "File exists"),
    ],
)
def test_wrong_usage_is_one_line(
    options: list[str],
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(message).parent)
    monkeypatch.delenv("WORD", raising=False)
    Path("empty").touch()
    assert main(options) == 2
    assert_one_line(capsys, f"smtpproto {options[0]}: ", words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "COMMAND"),
        (["send", "--port=65536"], "not a port number: '65536'"),
        (["send", "--port=x"], "not a port number: 'x'"),
        (["send", "--tls=perhaps"], "invalid choice"),
        (["send", "--password-env=A", "--password-file=B"], "not allowed with"),
        (["serve", "--max-size=10"], "must be 65536 octets or more"),
        (["serve", "--max-size=x"], "'x'"),
    ],
)
def test_options_that_cannot_be_read_are_argparse_s(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "serve", "send"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: smtpproto {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "port"),
    [([], 25), (["--tls=implicit"], 465), (["--login=ann", "--password-file=word"], 587)],
)
def test_the_usual_ports(
    options: list[str],
    port: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(message).parent)
    Path("word").write_text(PASSWORD)

    def refuse(host: str, port: int, *_: object) -> None:
        raise ConnectionRefusedError(f"asked for {(host, port)}")

    monkeypatch.setattr("smtpproto.adapters.eyeballs.connect", refuse)
    assert main(["send", *options, message]) == 2
    assert f"asked for ('localhost', {port})" in capsys.readouterr().err


def assert_one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """One line on standard error with these words, and nothing on standard output."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("smtpproto ")
    for word in words:
        assert word in shown.err
