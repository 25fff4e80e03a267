"""The public test suite of RFC 7208, read where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Answer, Kind, Record, Status
from smtpproto.policy.spf import SPFRequest, check_spf

yaml = pytest.importorskip("yaml")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is quicker

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("SMTPPROTO_VECTORS", ROOT.parent / "shared/vectors"))
SUITE = VECTORS / "spf/rfc7208-tests.yml"
TIMEOUT = "TIMEOUT"


class SuiteResolver:
    """Answers as a zone of the suite says: records of the type SPF stand for TXT unless the name
    also has TXT, and TIMEOUT is what happens after the records that stand before it."""

    def __init__(self, zone: dict[str, list[Any]]) -> None:
        self._zone = {name.lower(): records for name, records in zone.items()}

    async def lookup(self, name: str, kind: Kind) -> Answer:
        for _ in range(10):
            records = self._zone.get(name)
            if records is None:
                return Answer(status=Status.NO_NAME)
            aliases = [it["CNAME"] for it in records if "CNAME" in it]
            if not aliases:
                return self._answer(records, kind)
            name = aliases[0].lower().rstrip(".")
        return Answer(status=Status.FAILED, detail="a loop of aliases")

    def _answer(self, records: list[Any], kind: Kind) -> Answer:
        has_txt = any("TXT" in it for it in records if it != TIMEOUT)
        found: list[Record] = []
        for record in records:
            if record == TIMEOUT and not found:
                return Answer(status=Status.FAILED, detail="timeout")
            for name, value in () if record == TIMEOUT else record.items():
                if name == kind.value or (name == "SPF" and kind is Kind.TXT and not has_txt):
                    found += [] if value == "NONE" else [_record(kind, value)]
        return Answer(status=Status.FOUND if found else Status.NO_DATA, records=tuple(found))


def _record(kind: Kind, value: Any) -> MX | str | bytes:
    if kind is Kind.TXT:
        return "".join(value).encode("latin-1")
    if kind is Kind.MX:
        return MX(value[0], value[1].rstrip("."))
    return str(value).rstrip(".")


def cases() -> list[Any]:
    if not SUITE.is_file():
        return [pytest.param({}, {}, marks=pytest.mark.skip(f"there is no {SUITE}"), id="suite")]
    return [
        pytest.param(case, scenario["zonedata"], id=f"{scenario['description'][:24]}-{name}")
        for scenario in yaml.load_all(SUITE.read_text(), LOADER)
        for name, case in scenario["tests"].items()
    ]


@pytest.mark.parametrize(("case", "zone"), cases())
def test_the_suite_is_answered_as_it_wants(case: dict[str, Any], zone: dict[str, Any]) -> None:
    request = SPFRequest(
        client=case["host"], helo=case["helo"], sender=case["mailfrom"], now=0, receiver="x.test"
    )
    check = run(check_spf(request, SuiteResolver(zone)))
    wanted = case["result"]
    assert check.result.value in (wanted if isinstance(wanted, list) else [wanted]), str(check)
    if (explanation := case.get("explanation")) is not None:
        assert check.explanation == explanation.replace("DEFAULT", "")


def test_the_suite_is_whole() -> None:
    if SUITE.is_file():
        assert len(cases()) == 203
