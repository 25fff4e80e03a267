"""The doctor finds what is wrong with a domain, and says how to mend it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import MX, TLSA, Answer, Kind, Record, Status
from smtpproto.doctor import DoctorOptions, Examination, Finding, Severity, Subject
from smtpproto.policy import MTASTSMode
from smtpproto.testing.zone import Mood
from tests.doctor.faults import FAULTS, Fault
from tests.doctor.healthy import DOMAIN, HOSTS, World
from tests.support.certificates import CA

_CONNECTED = {
    Subject.PORT,
    Subject.STARTTLS,
    Subject.CERTIFICATE,
    Subject.POSTMASTER,
    Subject.DANE,
}


def test_a_domain_in_order_has_neither_errors_nor_warnings() -> None:
    world = World()
    examination = world.examine()
    assert examination.worst in (Severity.OK, Severity.NOTE), str(examination)
    assert {it.subject for it in examination.findings if it.severity is Severity.OK} >= {
        Subject.MX,
        Subject.PTR,
        Subject.PORT,
        Subject.STARTTLS,
        Subject.CERTIFICATE,
        Subject.POSTMASTER,
        Subject.SPF,
        Subject.DKIM,
        Subject.DMARC,
        Subject.MTA_STS,
        Subject.DANE,
        Subject.TLS_RPT,
    }
    assert world.mailboxes.messages == 0


def test_there_are_more_than_twenty_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_doctor_finds_a_planted_fault_and_says_how_to_mend_it(fault: Fault) -> None:
    world = World()
    fault.plant(world)
    if fault.subject not in _CONNECTED:
        world.options = evolve(world.options, connects=False)
    examination = world.examine()
    found = [
        it
        for it in examination.of(fault.subject)
        if it.severity is fault.severity
        and fault.what in it.what
        and fault.mend in f"{it.mend} {it.record}"
    ]
    assert found, str(examination)
    assert all(it.why for it in found)
    assert world.mailboxes.messages == 0


class _Storm:
    """Answers whatever *draw* says, whatever is asked."""

    def __init__(self, draw: st.DataObject) -> None:
        self._draw = draw
        self.asked = 0

    async def lookup(self, name: str, kind: Kind) -> Answer:
        self.asked += 1
        return self._draw.draw(_ANSWERS[kind])


_NAMES = st.sampled_from(
    [
        DOMAIN,
        "mx1.example.org",
        "",
        "x" * 300,
        "-",
        "a_b.example",
        "\x1b[2J",
        "é.example",
        "1.2.3.4",
    ]
)
_OCTETS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"v=spf1 include:example.org a -all",
            b"v=DKIM1; p=AAAA",
            b"v=TLSRPTv1;",
            b"v=spf1 \xff",
            b"v=DMARC1; p=reject; rua=mailto:a@b.c,x; rua=; " + b"z" * 99 + b"=1",
            b"v=STSv1; id=1",
        ]
    ),
)
_RECORDS: dict[Kind, st.SearchStrategy[Record]] = {
    Kind.MX: st.builds(MX, st.integers(0, 65535), _NAMES),
    Kind.A: st.sampled_from([*HOSTS.values(), "127.0.0.1", "192.0.2.99"]),
    Kind.AAAA: st.sampled_from(
        ["2001:db8::2", "::1", "fe80::1%eth0", "::ffff:192.0.2.1", "nonsense"]
    ),
    Kind.PTR: _NAMES,
    Kind.TXT: _OCTETS,
    Kind.TLSA: st.builds(
        TLSA, st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.binary(max_size=64)
    ),
}
_ANSWERS = {
    kind: st.one_of(
        st.sampled_from([*Status]).map(lambda status: Answer(status=status, detail="\r\nbad")),
        st.lists(records, min_size=1, max_size=3).map(
            lambda found: Answer(status=Status.FOUND, records=tuple(found), name="alias.example")
        ),
    )
    for kind, records in _RECORDS.items()
}


@given(st.data())
def test_whatever_the_dns_answers_is_a_finding_on_printable_lines(data: st.DataObject) -> None:
    world, storm = World(), _Storm(data)
    examination = world.examine(storm)
    assert examination.findings
    assert all(line.isprintable() for line in str(examination).splitlines())
    assert storm.asked <= DoctorOptions().questions
    json.dumps(examination.as_dict())


def test_the_doctor_asks_each_question_once_and_no_more_than_it_may() -> None:
    world = World()
    world.examine()
    asked = world.zone.asked
    assert len(asked) == len(set(asked))
    world = World()
    world.options = evolve(world.options, questions=3)
    assert "more than 3 questions" in str(world.examine())
    assert len(world.zone.asked) == 3


def test_an_examination_that_takes_too_long_tells_what_it_has_found_until_then() -> None:
    world = World()
    world.zone.moods[DOMAIN, Kind.TXT] = Mood(delay=1000)
    examination = world.examine()
    assert world.net.now() < 200
    assert [it.severity for it in examination.of(Subject.MX)] == [Severity.OK, Severity.OK]
    [late] = examination.of(Subject.SPF)
    assert "the time of 180 seconds is over" in late.what


def test_a_domain_that_takes_no_mail_is_not_connected_to() -> None:
    world = World()
    world.publish(DOMAIN, Kind.MX, MX(0, ""))
    examination = world.examine()
    [found] = examination.of(Subject.MX)
    assert found.severity is Severity.NOTE and "takes no mail" in found.what
    assert not examination.of(Subject.PORT)


def test_without_connecting_only_the_dns_is_asked() -> None:
    world = World()
    world.options = evolve(world.options, connects=False)
    assert not world.examine().of(Subject.PORT)
    assert all(host.connections == 0 for host in world.net.hosts.values())


def test_what_is_not_a_domain_is_refused() -> None:
    world = World()
    with pytest.raises(GrammarError):
        world.examine(domain="no domain")


def test_options_that_are_one_text_are_refused() -> None:
    with pytest.raises(TypeError, match="selectors cannot be a str"):
        DoctorOptions(selectors="s1")
    with pytest.raises(TypeError, match="senders cannot be a str"):
        DoctorOptions(senders="192.0.2.1")
    with pytest.raises(ValueError, match="IP"):
        DoctorOptions(senders=["nobody"])


def test_what_a_stranger_writes_is_cut() -> None:
    long = Finding(
        subject=Subject.PORT,
        severity=Severity.OK,
        about="mx",
        what="x" * 100_000,
        record="\x1b" * 100_000,
        detail="y\n" * 100_000 + "z" * 100_000,
    )
    assert len(str(long)) < 30_000
    assert long.what.endswith("x...") and long.detail.endswith("y\n...")


def test_a_diagnosis_is_told_by_subject_and_as_json() -> None:
    bad = Finding(
        subject=Subject.SPF,
        severity=Severity.ERROR,
        about=DOMAIN,
        what="nothing\r\nhere",
        why="W",
        mend="M",
        record="R",
        detail="one\ntwo\x1b",
    )
    good = Finding(subject=Subject.MX, severity=Severity.OK, about="mx", what="fine")
    examination = Examination(about=DOMAIN, findings=(bad, good))
    assert str(examination) == (
        "example.org: 1 error, 1 ok\n\n"
        "SPF\n"
        "  error    example.org: nothing\\r\\nhere\n"
        "           Why: W\n"
        "           Do: M\n"
        "           Publish: R\n"
        "           one\n"
        "           two\\x1b\n\n"
        "Hosts that take mail (MX)\n"
        "  ok       mx: fine"
    )
    assert examination.as_dict()["counts"] == {"ok": 1, "note": 0, "warning": 0, "error": 1}
    assert good.as_dict() == {"subject": "mx", "severity": "ok", "about": "mx", "what": "fine"}
    assert Examination(about=DOMAIN, findings=()).worst is Severity.OK


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (b"v=DMARC1; p=none; rua=mailto:d@example.org", "is let through"),
        (b"v=DMARC1; p=reject; t=y; rua=mailto:d@example.org", "next weaker policy"),
        (b"v=DMARC1; p=reject", "nobody tells you"),
    ],
)
def test_a_weak_dmarc_record_is_a_note(record: bytes, what: str) -> None:
    world = World()
    world.publish(f"_dmarc.{DOMAIN}", Kind.TXT, record)
    examination = world.examine()
    [found] = [it for it in examination.of(Subject.DMARC) if it.severity is Severity.NOTE]
    assert what in found.what and found.mend
    assert examination.worst is Severity.NOTE


def test_a_domain_above_answers_for_a_subdomain() -> None:
    world = World()
    world.publish("news.example.org", Kind.MX, MX(0, ""))
    examination = world.examine(domain="news.example.org")
    [found, *_] = examination.of(Subject.DMARC)
    assert found.severity is Severity.OK and "(of example.org" in found.what
    assert "_dmarc.news.example.org" in found.detail and "_dmarc.org" in found.detail


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"mode": MTASTSMode.TESTING}, "only tested"),
        ({"mx": (*HOSTS, "old.example.org")}, "no MX record does"),
        ({"max_age": 60}, "forgotten after 60 seconds"),
    ],
)
def test_a_policy_that_could_be_better_is_a_note(changes: dict[str, Any], what: str) -> None:
    world = World()
    world.web.policy = evolve(world.web.policy, **changes)
    examination = world.examine()
    assert any(it.severity is Severity.NOTE and what in it.what for it in examination.findings)
    assert examination.worst is Severity.NOTE
    assert world.web.asked == ["https://mta-sts.example.org/.well-known/mta-sts.txt"]


def test_what_a_domain_without_dane_and_mta_sts_could_have_is_a_note() -> None:
    world = World()
    world.zone.authentic = False
    world.publish(f"_mta-sts.{DOMAIN}", Kind.TXT)
    world.publish(f"_smtp._tls.{DOMAIN}", Kind.TXT)
    examination = world.examine()
    assert examination.worst is Severity.NOTE
    [policy] = examination.of(Subject.MTA_STS)
    assert "mode: testing, mx: mx1.example.org mx: mx2.example.org" in policy.mend
    assert policy.record == '_mta-sts.example.org. IN TXT "v=STSv1; id=1"'
    assert "without effect" in examination.of(Subject.DANE)[0].what
    assert examination.of(Subject.TLS_RPT)[0].record.startswith("_smtp._tls.example.org. IN TXT")


def test_without_the_extras_less_is_judged_and_nothing_is_wrong() -> None:
    world = World()
    world.options = evolve(world.options, keys=None, fetch=None, certificates=None)
    examination = world.examine()
    assert examination.worst is Severity.NOTE
    assert "was not fetched" in examination.of(Subject.MTA_STS)[0].what
    assert "no certificate was compared" in examination.of(Subject.DANE)[0].what


def test_without_a_policy_a_wrong_certificate_is_only_a_warning() -> None:
    world = World()
    world.publish(f"_mta-sts.{DOMAIN}", Kind.TXT)
    for name in HOSTS:
        world.publish(f"_25._tcp.{name}", Kind.TLSA)
    world.serve("mx1.example.org", CA.issue_cert("www.example.org"))
    assert world.examine().worst is Severity.WARNING
