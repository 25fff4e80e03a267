"""``smtpproto serve`` and ``smtpproto send`` with TLS and logins."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpproto.delivery import ExitStatus
from tests.cli.server_process import PASSWORD, assert_one_line, send, serving


@pytest.mark.parametrize(
    ("served", "sent"),
    [
        (["--certificate=both"], ["--tls=required", "--ca=ca"]),
        (["--certificate=certificate", "--key=key"], ["--tls=opportunistic", "--ca=ca"]),
        (["--certificate=both"], ["--tls=opportunistic"]),
        (["--certificate=both"], ["--tls=none"]),
        (["--certificate=both", "--implicit-tls"], ["--tls=implicit", "--ca=ca"]),
    ],
    ids=["required", "key file", "unverified", "none", "implicit"],
)
def test_a_message_is_sent_in_each_tls_mode(
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


def test_a_server_of_an_unknown_ca_is_not_trusted(
    message: str, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("--certificate", str(pem / "both")) as server:
        assert (
            send(server.port, "--host=localhost", "--tls=required", message) == ExitStatus.PROTOCOL
        )
    assert_one_line(capsys, "TLS failed", "check: the CA in use; trust another with --ca or ")


def test_a_certificate_for_another_name_is_not_trusted(
    message: str, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("--certificate", str(pem / "both")) as server:
        to = ["--host=localhost", "--server-name=other.test", "--ca", str(pem / "ca")]
        assert send(server.port, *to, "--tls=required", message) == ExitStatus.PROTOCOL
    assert_one_line(capsys, "TLS failed", "check: --host; pass --server-name if")


@pytest.mark.req("RFC4954-4-30/client", "RFC4954-4-30/server")
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_a_password_can_be_in_a_file(
    newline: str, tmp_path: Path, message: str, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}{newline}", newline="")
    login = ["--login", "ann", "--password-file", str(path)]
    with serving("--trace", "--certificate", str(pem / "both"), *login) as server:
        to = ["--host=localhost", "--ca", str(pem / "ca")]
        assert send(server.port, *to, "--trace", *login, message) == 0
        assert "C: AUTH PLAIN ***\n" in (trace := capsys.readouterr().err)
        assert (
            send(server.port, *to, message) == ExitStatus.NOPERM
        )  # without a login, all mail is refused
        assert "refused   bob@b.test  530 5.7.0 " in capsys.readouterr().out
        _, out, served = server.stop()
    assert "C: AUTH PLAIN ***\n" in served
    assert PASSWORD not in trace + served + out


def test_a_password_can_be_in_the_environment(
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
        assert send(server.port, *to, message) == ExitStatus.NOPERM
    assert_one_line(capsys, "535 5.7.8", "check: the user name and password")


@pytest.mark.req("RFC8314-5.1-01", "RFC8314-5.2-01", "RFC8314-4-02")
def test_a_password_is_not_sent_without_tls(
    message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORD", PASSWORD)
    login = ["--login=ann", "--password-env=WORD"]
    with serving() as server:
        assert send(server.port, *login, message) == ExitStatus.UNAVAILABLE
        assert_one_line(capsys, "does not offer STARTTLS", "check: whether this port")
        assert send(server.port, *login, "--tls=none", message) == ExitStatus.NOPERM
        assert_one_line(capsys, "no login without verified TLS", "check: --tls")
