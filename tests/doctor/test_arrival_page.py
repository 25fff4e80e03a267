"""docs/howto/make-your-mail-arrive.md leads from nothing to mail that large receivers accept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.adapters.cryptography_keys import CryptographyKeys
from smtpproto.cli import main
from smtpproto.dns import MX, Kind, Record
from smtpproto.doctor import (
    DEMANDS,
    DoctorOptions,
    Examination,
    Need,
    Severity,
    examine_domain,
    examine_message,
)
from smtpproto.policy import SPFRequest
from smtpproto.testing import Simulation, Zone
from tests.doctor.messages import NOW
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/make-your-mail-arrive.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^smtpproto (dkim-key .*)$", PAGE, re.MULTILINE)
RECORDS = re.findall(r"^(\S+)\.\s+IN (\w+) +(.+)$", PAGE, re.MULTILINE)


def _record(kind: Kind, text: str) -> Record:
    match kind:
        case Kind.MX:
            preference, exchange = text.split()
            return MX(int(preference), exchange.removesuffix("."))
        case Kind.TXT:
            return "".join(re.findall('"(.*?)"', text)).encode()
        case _:
            return text.removesuffix(".")


def _zone(records: list[tuple[str, str, str]]) -> Zone:
    zone = Zone({})
    for name, kind, text in records:
        found = zone.records.setdefault(name, {})
        assert isinstance(found, dict)
        found[Kind(kind)] = (*found.get(Kind(kind), ()), _record(Kind(kind), text))
    return zone


@pytest.fixture
def followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Zone, bytes]:
    """Do what the page says. Return what the DNS says then, and the signed message."""
    monkeypatch.chdir(tmp_path)
    [command] = COMMANDS
    assert main(command.split()) == 0
    names: dict[str, Any] = {}
    for snippet in SNIPPETS:
        check_imports(snippet)
        exec(snippet, names)
    [key] = re.findall(r"^(\S+)\. IN (TXT) (.+)$", capsys.readouterr().out, re.MULTILINE)
    message = names["message"]
    assert isinstance(message, EmailMessage)
    monkeypatch.setattr("time.time", lambda: NOW)
    octets = message.as_bytes().replace(b"\n", b"\r\n")
    return _zone([*RECORDS, key]), names["signed"](octets)


def test_all_large_receivers_accept_the_message(followed: tuple[Zone, bytes]) -> None:
    zone, message = followed
    request = SPFRequest(
        client="198.51.100.1", helo="mx1.example.org", sender="news@example.org", now=NOW
    )
    examined = examine_message(message, zone, CryptographyKeys(), now=NOW, request=request)
    examination = run(examined)
    assert examination.worst in (Severity.OK, Severity.NOTE), str(examination)


def test_the_doctor_finds_nothing_wrong_with_the_records(followed: tuple[Zone, bytes]) -> None:
    options = DoctorOptions(
        selectors=["s1"], senders=["198.51.100.1"], connects=False, keys=CryptographyKeys()
    )
    found: list[Examination] = []
    simulation = Simulation(1)

    async def scene() -> None:
        found.append(await examine_domain("example.org", followed[0], simulation, options))

    simulation.run(scene())
    assert found[0].worst is Severity.NOTE, str(found[0])


def table() -> Iterator[str]:
    """Yield the lines of the table of demands."""
    receivers = [*dict.fromkeys(it.receiver for it in DEMANDS)]
    yield f"| what is demanded | {' | '.join(receivers)} |"
    yield "| --- " * (len(receivers) + 1) + "|"
    demands = {(it.need, it.receiver): it for it in DEMANDS}
    for need in Need:
        cells = []
        for receiver in receivers:
            it = demands.get((need, receiver))
            cells.append("" if it is None else (it.reply or "spam") + " \\*" * it.bulk)
        yield f"| {need.value} | {' | '.join(cells)} |"


def test_the_page_has_what_receivers_demand() -> None:
    assert "\n".join(table()) in PAGE
