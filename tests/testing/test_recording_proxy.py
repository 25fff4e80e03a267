"""The proxy that records, and `smtpproto record`."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from smtpproto.cli import main
from smtpproto.testing import (
    SMTPD,
    RecordingProxy,
    Transcript,
    assert_matches,
    replay_to_server,
)
from smtpproto.testing.certificates import client_context
from smtpproto.testing.inbox import Inbox

FROM, TO = "ann@example.org", ["bob@example.org"]


@contextmanager
def proxied(smtpd: SMTPD, **options: int) -> Iterator[RecordingProxy]:
    with RecordingProxy(smtpd.host, smtpd.port, **options) as proxy:  # type: ignore[arg-type]
        yield proxy


def test_a_session_of_two_programs_is_recorded_and_replays() -> None:
    with SMTPD() as smtpd, proxied(smtpd) as proxy:
        with smtplib.SMTP(proxy.host, proxy.port, local_hostname="client.example") as mail:
            mail.sendmail(FROM, TO, "Subject: hi\n\n.\n")
        assert len(smtpd.messages) == 1
        (recorded,) = proxy.transcripts
    assert "C: ehlo client.example\nS: 250-localhost" in str(recorded)
    assert "C:\nC: ..\nC: .\n" in str(recorded)
    replay_to_server(recorded, Inbox, splits="octets")


def test_logins_are_masked() -> None:
    users = {"ann": "hunter2"}
    with SMTPD(users=users) as smtpd, proxied(smtpd) as proxy:
        with smtplib.SMTP(proxy.host, proxy.port) as mail:
            mail.login("ann", "hunter2")
        said = str(proxy.transcripts[0])
    assert "C: AUTH" in said and "***" in said
    assert not any(word in said for word in ("aHVudGVyMg", "hunter2", "AGFubg"))


def test_of_what_tls_encrypts_only_the_size_is_recorded() -> None:
    with SMTPD(tls="starttls") as smtpd:
        with proxied(smtpd) as proxy, smtplib.SMTP("localhost", proxy.port) as mail:
            mail.starttls(context=client_context())
            mail.sendmail(FROM, TO, "Subject: hi\n\n")
        assert len(smtpd.messages) == 1
        head, _, tail = str(proxy.transcripts[0]).partition("-- TLS: encrypted, not recorded --\n")
    assert head.endswith("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS\n")
    assert tail.startswith("*: ") and tail.endswith(" of the server\n")


def test_tls_from_the_first_octet_is_not_recorded() -> None:
    with SMTPD(tls="implicit") as smtpd:
        with (
            proxied(smtpd) as proxy,
            smtplib.SMTP_SSL("localhost", proxy.port, context=client_context()) as mail,
        ):
            mail.noop()
        assert str(proxy.transcripts[0]).startswith("-- TLS: encrypted, not recorded --\n*: ")


def test_a_session_without_a_server_ends_with_a_note() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with RecordingProxy("127.0.0.1", port) as proxy:
        with socket.create_connection((proxy.host, proxy.port)) as sock:
            assert sock.recv(1) == b""
        assert str(proxy.transcripts[0]).startswith("*: no connection to the server: ")


@pytest.mark.parametrize("options", [{"port": 70_000}, {"port": "x"}, {"seconds": 0}])
def test_wrong_options_are_refused_before_the_proxy_starts(options: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        RecordingProxy("localhost", 25, **options)


def test_silent_sessions_and_too_many_end() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        with RecordingProxy("127.0.0.1", port, seconds=0.05) as proxy:
            with socket.create_connection((proxy.host, proxy.port)) as sock:
                assert sock.recv(1) == b""
            assert str(proxy.transcripts[0]) == "*: no side sent anything for 0.05 seconds\n"
        with RecordingProxy("127.0.0.1", port, connections=0) as proxy:
            with socket.create_connection((proxy.host, proxy.port)) as sock:
                assert sock.recv(1) == b""
            assert proxy.transcripts == []


def test_a_proxy_that_stops_leaves_no_connection_and_its_port() -> None:
    with SMTPD(allow_connected=True) as smtpd:
        with proxied(smtpd) as proxy:
            sock = socket.create_connection((proxy.host, proxy.port))
            assert sock.recv(4) == b"220 "
            with pytest.raises(OSError, match="address"), proxied(smtpd, port=proxy.port):
                pass
        with sock:
            while sock.recv(100):
                pass
        with proxied(smtpd, port=proxy.port) as again:
            assert again.port == proxy.port


@pytest.mark.parametrize("leaves", ["client", "server"])
def test_a_connection_that_breaks_ends_the_session(leaves: str) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        RecordingProxy("127.0.0.1", listener.getsockname()[1]) as proxy,
    ):
        client = socket.create_connection((proxy.host, proxy.port))
        server, _ = listener.accept()
        one, other = (client, server) if leaves == "client" else (server, client)
        with one, other:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
            one.close()
            other.settimeout(5)
            assert other.recv(1) == b""


def test_a_proxy_runs_in_the_loop_of_asyncio() -> None:
    async def talk(smtpd: SMTPD) -> Transcript:
        async with RecordingProxy(smtpd.host, smtpd.port) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            await reader.readline()
            writer.write(b"QUIT\r\n")
            await reader.read()
            writer.close()
            return proxy.transcripts[0]

    with SMTPD() as smtpd:
        assert_matches(asyncio.run(talk(smtpd)), "S: 220 ...\nC: QUIT\nS: 221 ...")


# -- the command --------------------------------------------------------------------------------


def record(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "smtpproto", "record", *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_command_records_into_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "session.txt"
    with SMTPD() as smtpd:
        options = ("--short", "--sessions", "1", "-o", str(path))
        with record("0", f"{smtpd.host}:{smtpd.port}", *options) as process:
            assert process.stderr is not None
            port = int(process.stderr.readline().split()[-1])
            with smtplib.SMTP("127.0.0.1", port) as mail:
                mail.sendmail(FROM, TO, "Subject: hi\n\n")
            assert process.wait(10) == 0
    text = path.read_text()
    assert text.startswith("*: session 1\nS: 220 localhost")
    assert "C: [15 octets of content]\nC: .\n" in text
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_command_prints_sessions_as_json() -> None:
    with SMTPD() as smtpd:
        options = ("--json", "--sessions", "1")
        with record("0", f"{smtpd.host}:{smtpd.port}", *options) as process:
            assert process.stderr is not None and process.stdout is not None
            port = int(process.stderr.readline().split()[-1])
            with smtplib.SMTP("127.0.0.1", port) as mail:
                mail.noop()
            assert process.wait(10) == 0
            [line] = process.stdout.readlines()
    session = json.loads(line)
    assert session["session"] == 1
    assert session["lines"][1] == "C: noop"
    assert Transcript.parse("\n".join(session["lines"])).entries


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("2525", "mail.example.org"),
            "not HOST:PORT: 'mail.example.org'; use mail",
        ),
        (("0", "localhost:x"), "not a port number: 'x'"),
        (("0", "localhost:25", "--sessions", "0"), "not a number of sessions: '0'"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *arguments]) == 64
    assert error in capsys.readouterr().err
