"""``smtpproto serve --web``: mail and its page in one process."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from smtpproto.cli import main
from tests.cli.server_process import assert_one_line, send, serving
from tests.watching.reading import get


def test_mail_is_on_the_page_and_in_one_line_on_the_terminal(message: str) -> None:
    with serving("--web", "0", "--hostname", "mx.b.test") as server:
        assert server.process.stdout is not None
        url = server.process.stdout.readline().removeprefix("the page is at ").strip()
        assert send(server.port, "--tls=none", message) == 0
        response, text = get(url, "/api/messages")
        assert (response.status, json.loads(text)["messages"]) == (200, 1)
        assert get(url)[0].headers["Content-Type"] == "text/html; charset=utf-8"
        assert " 220 mx.b.test " in get(url, "/api/messages/1/transcript")[1]
        status, out, err = server.stop()
    assert (status, err) == (0, "")
    assert "from ann@a.test, to bob@b.test, carol@b.test: x, " in out
    assert out.count("\n") == 1


def test_a_page_whose_port_is_taken_is_an_error_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", "0", "--web", port]) != 0
    assert_one_line(
        capsys, f"or on 127.0.0.1 port {port} for the page: ", "--host, --port and --web"
    )


def test_the_page_stores_nothing_on_disk(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["serve", "--web", "0", "--maildir", str(tmp_path / "mail")]) != 0
    assert_one_line(capsys, "--web keeps mail in memory; omit --maildir")
    assert not (tmp_path / "mail").exists()


def test_messages_that_cannot_be_kept_are_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--web", "0", "--keep-octets", "100000"]) != 0
    assert_one_line(capsys, "octets must be at least", "check: --keep-octets and --max-size")
