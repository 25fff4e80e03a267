"""Judgements of single facts that a simulation cannot show well."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smtpproto import Reply, TLSInfo
from smtpproto.diagnosis.receivers import refusals
from smtpproto.doctor import DEMANDS, Examination, Need, Severity, Subject
from smtpproto.doctor.finding import error, note, ok
from smtpproto.doctor.port_findings import judge_roles
from smtpproto.doctor.session import Session
from smtpproto.doctor.tls_findings import judge_tls
from smtpproto.tls.validity import expiry
from tests.support.certificates import CA, LEAF, der, expired

_DAY = 86400.0


def test_the_end_of_a_certificate_is_read_from_it() -> None:
    assert expiry(der(LEAF)) == datetime(3000, 1, 1, tzinfo=UTC).timestamp()
    end = expiry(der(expired(CA)))
    assert end is not None and abs(end + _DAY - datetime.now(UTC).timestamp()) < 600


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"\x30\x80", der(LEAF)[:40], b"\x30\x02\x30\x00"],
    ids=["empty", "text", "endless", "cut off", "without fields"],
)
def test_of_what_is_no_certificate_there_is_no_end(octets: bytes) -> None:
    assert expiry(octets) is None


def _session(**facts: object) -> Session:
    return Session(host="mx.example.org", address="192.0.2.1", port=25, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "severity"), [(13, Severity.WARNING), (15, Severity.OK), (-1, Severity.WARNING)]
)
def test_a_certificate_that_ends_soon_is_a_warning(days: float, severity: Severity) -> None:
    end = expiry(der(LEAF))
    assert end is not None
    tls = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", der(LEAF), True)
    _, found = judge_tls(_session(tls=tls), end - days * _DAY)
    assert found.severity is severity and "3000-01-01" in found.what


def test_a_refusal_of_starttls_is_an_error() -> None:
    refusal = Reply(454, "4.7.0", "TLS not available")
    [found] = judge_tls(_session(tls_refused=refusal), 0)
    assert found.severity is Severity.ERROR and "454 4.7.0" in found.what


def test_a_session_that_failed_says_nothing_about_tls() -> None:
    from smtpproto import ConnectFailed  # noqa: PLC0415

    assert not [*judge_tls(_session(error=ConnectFailed("no")), 0)]


@pytest.mark.parametrize("need", [*Need], ids=lambda need: need.name)
def test_each_need_is_demanded_by_a_receiver_with_a_source(need: Need) -> None:
    found = [it for it in DEMANDS if it.need is need]
    assert found and all(it.source.startswith("https://") for it in found)
    assert all(it.receiver in refusals(need) and it.reply in refusals(need) for it in found)


def test_a_receiver_that_refuses_all_is_told_once() -> None:
    said = refusals(Need.AUTHENTICATION, Need.SPF)
    assert said.count("Gmail") == said.count("Yahoo") == said.count("Outlook.com") == 1


def test_greylisting_of_postmaster_is_only_a_note() -> None:
    replies = {"postmaster@example.org": Reply(451, "4.7.1", "Later")}
    [found] = judge_roles([_session(replies=replies)])
    assert found.severity is Severity.NOTE and "451" in found.what


def test_receivers_are_told_with_their_codes() -> None:
    assert refusals(Need.PTR) == ("Refused by Gmail (550 5.7.25), Yahoo (or sorted out as spam).")
    assert refusals(Need.DKIM).startswith(
        "Refused from senders of 5,000 messages a day or more by Gmail ("
    )


def test_the_worst_is_told_first() -> None:
    found = [
        ok(Subject.MX, "a", "is well"),
        error(Subject.MX, "b", "is bad", "", ""),
        ok(Subject.SPF, "c", "is well"),
        note(Subject.DKIM, "d", "is noted"),
        error(Subject.DMARC, "e", "is bad", "", ""),
    ]
    lines = str(Examination(about="x", findings=tuple(found))).splitlines()
    assert [it.split()[1] for it in lines if it.startswith("  ")] == ["b:", "a:", "e:", "d:", "c:"]
