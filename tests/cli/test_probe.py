"""``smtpproto probe``: what it prints, and its exit status."""

from __future__ import annotations

import json
import socket

import pytest

from smtpproto.cli import main
from smtpproto.testing import SMTPD, Refuse
from tests.cli.server_process import assert_one_line


def test_a_sound_server_has_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    with SMTPD(tls="starttls", users={"ann": "secret"}) as smtpd:
        arguments = ["probe", "localhost", "--port", str(smtpd.port), "--ca", str(smtpd.ca_file)]
        status = main([*arguments, "--strict"])
        assert not smtpd.messages
    out = capsys.readouterr().out
    assert status == 0, out
    assert "port " in out and "TLSv1.3" in out and "is for localhost" in out
    assert "AUTH" not in "".join(smtpd.sessions).replace("250-AUTH", "").replace("250 AUTH", "")


def test_warnings_count_only_if_strict(capsys: pytest.CaptureFixture[str]) -> None:
    with SMTPD() as smtpd:
        arguments = ["probe", "127.0.0.1", "--port", str(smtpd.port)]
        assert main(arguments) == 0
        assert "does not offer STARTTLS" in capsys.readouterr().out
        assert main([*arguments, "--strict"]) == 1


def test_a_dry_run_that_is_refused_has_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with SMTPD(trouble=Refuse("RCPT", reply="554 5.7.1 Relay access denied")) as smtpd:
        arguments = ["probe", "127.0.0.1", "--port", str(smtpd.port), "--tls", "none", "--json"]
        status = main([*arguments, "--from", "ann@example.org", "--to", "bob@example.net"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert status == 1
    assert "relaying-denied" in {it.get("fault") for it in found}


def test_a_port_where_nobody_listens_has_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        number = unused.getsockname()[1]
        assert main(["probe", "127.0.0.1", "--port", str(number)]) == 1
    assert "No program listens on this port" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [("--to", "bob"), ("--hello", "a b"), ("--ca", "gone.pem"), ("--port", "0")],
)
def test_an_option_that_cannot_be_used_is_named(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "127.0.0.1", option, value]) in (64, 66)
    assert_one_line(capsys, "smtpproto probe: ", option)
