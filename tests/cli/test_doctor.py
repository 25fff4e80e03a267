"""``smtpproto doctor``: what it prints, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.support.name_server import NameServer, serving

DOMAIN = "example.test"
RECORDS = {
    DOMAIN: [("MX", f"10 mx.{DOMAIN}."), ("TXT", '"v=spf1 mx -all"')],
    f"mx.{DOMAIN}": [("A", "198.51.100.1")],
    "1.100.51.198.in-addr.arpa": [("PTR", f"mx.{DOMAIN}.")],
    f"_dmarc.{DOMAIN}": [("TXT", f'"v=DMARC1; p=reject; rua=mailto:d@{DOMAIN}"')],
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    with serving(NameServer({name: [*records] for name, records in RECORDS.items()})) as server:
        yield server


def _run(
    server: NameServer, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    resolver = f"127.0.0.1:{server.port}"
    status = main(["doctor", DOMAIN, "--no-connect", "--resolver", resolver, *arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


def test_a_domain_in_order_has_status_0(
    server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = _run(server, capsys, "--strict")
    assert (status, err) == (0, ""), out
    assert out.startswith(f"{DOMAIN}: ") and "v=spf1 mx -all" in out


def test_warnings_count_only_if_strict(
    server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.records[DOMAIN][1] = ("TXT", '"v=spf1 mx"')
    assert _run(server, capsys)[0] == 0
    assert _run(server, capsys, "--strict")[0] == 1


def test_errors_have_status_1(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    del server.records[f"mx.{DOMAIN}"]
    status, out, _ = _run(server, capsys)
    assert status == 1 and f"mx.{DOMAIN}: the host has no address" in out


def test_json_has_the_same_findings(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _run(server, capsys, "--json", "--selector", "none")
    examination = json.loads(out)
    assert examination["about"] == DOMAIN and examination["worst"] == "error"
    [found] = [it for it in examination["findings"] if it["subject"] == "dkim"]
    assert found["what"] == "there is no key"
    assert found["record"].startswith(f"none._domainkey.{DOMAIN}. IN TXT")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--resolver", "name"),
        ("--resolver", "127.0.0.1:x"),
        ("--selector", "a b"),
        ("--ca", "gone.pem"),
        ("--hello", "a b"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", DOMAIN, "--no-connect", option, value]) in (
        ExitStatus.USAGE,
        ExitStatus.NOINPUT,
    )
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--sender", "--source"])
def test_an_option_that_is_no_address_is_named(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", DOMAIN, option, "mx"]) == ExitStatus.USAGE
    assert f"argument {option}: not an IP address: 'mx'" in capsys.readouterr().err


def test_what_is_not_a_domain_is_refused(
    server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    resolver = f"127.0.0.1:{server.port}"
    assert main(["doctor", "a@b.test", "--resolver", resolver]) == ExitStatus.USAGE
    assert "smtpproto doctor: not a domain name: 'a@b.test'" in capsys.readouterr().err
