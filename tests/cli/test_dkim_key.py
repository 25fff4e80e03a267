"""``smtpproto dkim-key``: the key, the record and the table that it makes belong together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from smtpproto.adapters.cryptography_keys import PrivateKey
from smtpproto.cli import main
from smtpproto.cli.mta_signing import read_signer
from smtpproto.cli.toml_table import read_toml
from smtpproto.delivery import ExitStatus
from smtpproto.policy import DKIMKey
from tests.cli.server_process import assert_one_line

COMMAND = ["dkim-key", "bücher.example", "--selector=s1"]


@pytest.mark.parametrize("options", [[], ["--algorithm=ed25519", "--password-file=secret"]])
def test_smtpproto_mta_signs_with_what_is_published(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("word\n")
    assert main([*COMMAND, "--file=a key.pem", *options]) == 0
    shown = capsys.readouterr().out
    assert Path("a key.pem").stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in Path("a key.pem").read_bytes()) is bool(options)
    Path("mail.toml").write_text(re.findall(r"^\[\[sign.*?\n(?=\n|\Z)", shown, re.M | re.S)[0])
    signer = read_signer(read_toml(Path("mail.toml")))
    assert signer is not None
    [key] = signer.keys
    [(name, text)] = re.findall(r"^(\S+)\. IN TXT (.+)$", shown, re.MULTILINE)
    assert (
        name == f"{key.selector}._domainkey.{key.domain}" == "s1._domainkey.xn--bcher-kva.example"
    )
    assert isinstance(key.key, PrivateKey)
    published = DKIMKey.parse("".join(re.findall('"(.*?)"', text)).encode())
    assert published.public_key == key.key.public_key()
    assert ("Not all receivers know Ed25519" in shown) is bool(options)


def test_the_record_can_be_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*COMMAND, "--algorithm=ed25519", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [*found] == ["file", "domain", "selector", "algorithm", "name", "text", "record"]
    assert found["file"] == str(tmp_path / "s1.pem")
    assert found["name"] == "s1._domainkey.xn--bcher-kva.example"
    assert found["record"] == f'{found["name"]}. IN TXT "{found["text"]}"'


def test_a_file_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s1.pem").write_text("precious")
    assert main(COMMAND) == ExitStatus.CANTCREAT
    assert_one_line(capsys, "smtpproto dkim-key: s1.pem exists already", "--file")
    assert Path("s1.pem").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["org", "--selector=s1"], ExitStatus.USAGE, "two labels"),
        (["example.org", "--selector=s 1"], ExitStatus.USAGE, "'s 1'"),
        (
            ["example.org", "--selector=s1", "--password-file=empty"],
            ExitStatus.DATAERR,
            "the password is empty",
        ),
    ],
)
def test_a_usage_error_writes_no_file(
    options: list[str],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    assert main(["dkim-key", *options]) == status
    assert_one_line(capsys, "smtpproto dkim-key: ", words)
    assert [it.name for it in tmp_path.iterdir()] == ["empty"]
