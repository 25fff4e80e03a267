"""The reports of a mail agent are signed by the domain in their From field."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.policy import DKIM, Algorithm
from smtpproto.testing.internet import Behaviour, Internet
from tests.policy.signing import ed25519, verify, zone

UNKNOWN, BUSY = Behaviour(unknown=["bob"]), Behaviour(busy=1.0)


def reports(internet: Internet, behaviour: Behaviour, **options: Any) -> list[bytes]:
    """Send a message to a host with *behaviour*; return the reports that come back."""
    internet.mail_host("mx.example.org", behaviour)
    internet.mail_host("mx.example.net")
    internet.domain("example.org", "mx.example.org")
    internet.domain("example.net", "mx.example.net")
    mta = internet.mta("relay.example.net", **options)

    async def scene() -> None:
        await internet.submit(mta, "first", "ann@example.net", ["bob@example.org"])
        await internet.until_delivered(days=6)

    internet.run(scene())
    internet.check()
    return [it.content for it in internet.record.arrivals if it.is_report]


def signers(report: bytes, internet: Internet) -> list[str]:
    checks = verify(report, zone("example.net"), now=internet.utc())
    return [it.domain for it in checks if it.passed]


@pytest.mark.parametrize(("behaviour", "number"), [(UNKNOWN, 1), (BUSY, 2)])
def test_reports_of_failures_and_delays_are_signed(behaviour: Behaviour, number: int) -> None:
    internet = Internet(seed=7)
    found = reports(internet, behaviour, sign=ed25519("example.net"))
    assert [signers(it, internet) for it in found] == [["example.net"]] * number


@pytest.mark.parametrize("postmaster", ["ann@example.com", None])
def test_a_report_from_another_domain_is_not_signed(postmaster: str | None) -> None:
    domain = "example.net" if postmaster else "other.test"
    options = {"postmaster": postmaster, "sign": ed25519(domain)}
    [report] = reports(Internet(seed=7), UNKNOWN, **options)
    assert b"DKIM-Signature" not in report


class Broken:
    algorithm = Algorithm.ED25519_SHA256

    def sign(self, octets: bytes) -> bytes:
        raise OSError("the key is gone")


class Hanging:
    algorithm = Algorithm.ED25519_SHA256

    def __init__(self, internet: Internet) -> None:
        self._internet = internet

    async def sign(self, octets: bytes) -> bytes:
        await self._internet.sleep(1e9)
        return b""


@pytest.mark.parametrize("hangs", [False, True])
def test_a_key_that_does_not_work_keeps_no_report_back(
    hangs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    internet = Internet(seed=7)
    key = DKIM("example.net", selector="s", key=Hanging(internet) if hangs else Broken())
    [report] = reports(internet, UNKNOWN, sign=key)
    assert b"DKIM-Signature" not in report
    assert "is sent unsigned" in caplog.text
