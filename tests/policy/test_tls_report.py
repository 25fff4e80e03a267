"""Reports about TLS: collected, made, sent and read (RFC 8460)."""

from __future__ import annotations

import contextlib
import email
import email.policy
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import TLSA
from smtpproto.limits import TLS_REPORT, TLS_REPORT_FAILURES, TLS_REPORT_POLICIES
from smtpproto.mail.tls_required import waives_tls
from smtpproto.policy import (
    DANEFinding,
    DANEStatus,
    MTASTSMode,
    MTASTSPolicy,
    ReportedPolicy,
    TLSFailure,
    TLSPolicyResult,
    TLSReport,
    TLSResults,
    TLSResultType,
    read_tls_report,
    tls_report_collector,
    tls_report_mail,
    tls_report_uris,
    write_tls_report,
)

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("SMTPPROTO_VECTORS", ROOT.parent / "shared/vectors")) / "tlsrpt"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"there is no {VECTORS}")
STS = ReportedPolicy.of_sts(
    "b\u00fccher.example",
    MTASTSPolicy(mode=MTASTSMode.ENFORCE, mx=("*.example.org",), max_age=86400),
)
EXPIRED = TLSFailure(
    result=TLSResultType.CERTIFICATE_EXPIRED, sending_ip="192.0.2.1", host="mx.example.org"
)
REPORT = TLSReport(
    organization="Example",
    contact="tls@example.net",
    id="2027-01-15.1",
    start=1_800_000_000,
    end=1_800_086_399,
    results=(TLSPolicyResult(policy=STS, successes=3, failed=1, failures=(EXPIRED,)),),
)

# -- the record ------------------------------------------------------------------------------------


@pytest.mark.req("RFC8460-3-01")
@pytest.mark.parametrize(
    ("record", "uris"),
    [
        (b"v=TLSRPTv1; rua=mailto:a@b.example", ("mailto:a@b.example",)),
        (b"v=TLSRPTv1;rua=mailto:a@b,https://c/d?e=f;", ("mailto:a@b", "https://c/d?e=f")),
        (b"v=TLSRPTv1; x.y=1; rua=mailto:a@b , https://c ; rua=junk", ("mailto:a@b", "https://c")),
    ],
)
def test_a_record_names_addresses(record: bytes, uris: tuple[str, ...]) -> None:
    assert tls_report_uris([b"v=spf1 -all", record]) == uris


@pytest.mark.req("RFC8460-3-01")
@pytest.mark.parametrize(
    "records",
    [
        [],
        [b"v=TLSRPTv1; rua=mailto:a@b", b"v=TLSRPTv1; rua=mailto:a@b"],
        [b"v=TLSRPTv2; rua=mailto:a@b"],
        [b"v=tlsrptv1; rua=mailto:a@b"],
        [b"v=TLSRPTv1;"],
        [b"v=TLSRPTv1; x=1"],
        [b"v=TLSRPTv1; rua="],
        [b"v=TLSRPTv1; rua=a@b"],
        [b"v=TLSRPTv1; rua=http://b"],
        [b"v=TLSRPTv1; rua=mailto:a@b,"],
        [b"v=TLSRPTv1; rua=mailto:a@b c"],
        [b"v=TLSRPTv1; rua=mailto:a@b\xff"],
        [b"v=TLSRPTv1; rua=mailto:a@b\n"],
        [b"v=TLSRPTv1;" + b"a=1 \t \t \t ;" * 2000 + b"!"],
    ],
)
def test_without_one_good_record_nothing_is_sent(records: list[bytes]) -> None:
    with pytest.raises(GrammarError):
        tls_report_uris(records)


# -- values and JSON -------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
COUNT = st.integers(0, 2**63 - 1)
REPORTS = st.builds(
    TLSReport,
    organization=TEXT,
    contact=TEXT,
    id=TEXT,
    start=st.integers(0, 4_000_000_000),
    end=st.integers(0, 4_000_000_000),
    results=st.lists(
        st.builds(
            TLSPolicyResult,
            policy=st.builds(
                ReportedPolicy,
                type=TEXT,
                domain=TEXT,
                lines=st.lists(TEXT, max_size=2).map(tuple),
                hosts=st.lists(TEXT, max_size=2).map(tuple),
            ),
            successes=COUNT,
            failed=COUNT,
            failures=st.lists(
                st.builds(TLSFailure, result=TEXT, count=COUNT, host=TEXT, reason=TEXT), max_size=2
            ).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)


@given(REPORTS)
def test_what_is_written_is_read(report: TLSReport) -> None:
    octets = write_tls_report(report)
    assert read_tls_report(octets) == report
    assert read_tls_report(gzip.decompress(octets)) == report


@pytest.mark.req("RFC8460-4.4-01")
def test_a_report_has_the_form_of_the_rfc() -> None:
    assert json.loads(gzip.decompress(write_tls_report(REPORT))) == {
        "organization-name": "Example",
        "date-range": {
            "start-datetime": "2027-01-15T08:00:00Z",
            "end-datetime": "2027-01-16T07:59:59Z",
        },
        "contact-info": "tls@example.net",
        "report-id": "2027-01-15.1",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": [
                        "version: STSv1",
                        "mode: enforce",
                        "mx: *.example.org",
                        "max_age: 86400",
                    ],
                    "policy-domain": "xn--bcher-kva.example",
                    "mx-host": ["*.example.org"],
                },
                "summary": {
                    "total-successful-session-count": 3,
                    "total-failure-session-count": 1,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "192.0.2.1",
                        "receiving-mx-hostname": "mx.example.org",
                        "failed-session-count": 1,
                    }
                ],
            }
        ],
    }


@pytest.mark.req("RFC8460-4.3-01")
def test_the_results_are_the_registered_words() -> None:
    assert {*TLSResultType} == {
        "starttls-not-supported", "certificate-host-mismatch", "certificate-not-trusted",
        "certificate-expired", "validation-failure", "tlsa-invalid", "dnssec-invalid",
        "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid",
    }  # fmt: skip


def test_tlsa_records_are_reported_as_text() -> None:
    records = (TLSA(3, 1, 1, b"\xab" * 4),)
    found = DANEFinding(status=DANEStatus.USABLE, reason="", records=records)
    policy = ReportedPolicy.of_dane("example.org", found)
    assert (policy.type, policy.lines) == ("tlsa", ("3 1 1 abababab",))
    assert ReportedPolicy.none("example.org").type == "no-policy-found"


@needs_vectors
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_reports_of_others_are_read(number: int) -> None:
    octets = (VECTORS / f"rpt0{number}.json").read_bytes()
    value, report = json.loads(octets), read_tls_report(octets)
    assert report.organization == value["organization-name"]
    assert len(report.results) == len(value["policies"])
    for it, theirs in zip(report.results, value["policies"], strict=True):
        assert it.policy.type == theirs["policy"]["policy-type"]
        assert it.successes == theirs["summary"]["total-successful-session-count"]
        details = theirs.get("failure-details", [])
        assert [f.count for f in it.failures] == [f["failed-session-count"] for f in details]
        assert {f.result for f in it.failures} <= {*TLSResultType}


@needs_vectors
@pytest.mark.parametrize("number", [1, 2])
def test_the_reports_in_mail_are_those_of_the_files(number: int) -> None:
    mail = (VECTORS / f"rpt0{number}.eml").read_bytes()
    assert read_tls_report(mail) == read_tls_report((VECTORS / f"rpt0{number}.json").read_bytes())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.sampled_from(
        ["policies", "policy", "summary", "failure-details", "date-range", "start-datetime",
         "end-datetime", "policy-string", "failed-session-count", "result-type"]
    ), it, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=40) | JSON.map(lambda it: json.dumps(it).encode()))
def test_nothing_but_an_error_of_ours_leaves_the_reader(octets: bytes) -> None:
    for text in (octets, gzip.compress(octets), b"\x1f\x8b" + octets):
        with contextlib.suppress(GrammarError):
            read_tls_report(text)


GOOD = gzip.decompress(write_tls_report(REPORT))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"policies":' * 100_000,
        gzip.compress(GOOD)[:-9],
        gzip.compress(b" " * (TLS_REPORT + 1)),
        b" " * (TLS_REPORT + 1),
        GOOD.replace(b'"failed-session-count": 1', b'"failed-session-count": -1'),
        GOOD.replace(b'"failed-session-count": 1', b'"failed-session-count": true'),
        GOOD.replace(b'"failed-session-count": 1', b'"failed-session-count": 1' + b"0" * 5000),
        GOOD.replace(b"2027-01-15T", b"2027-13-15T"),
        GOOD.replace(b'"policies": [', b'"policies": [' + b"{}," * 10_000),
        GOOD.replace(b'["*.example.org"]', b"[1]"),
    ],
    ids=range(14),
)
def test_what_is_cut_malformed_or_large_is_no_report(octets: bytes) -> None:
    assert octets != GOOD
    with pytest.raises(GrammarError):
        read_tls_report(octets)


# -- mail ------------------------------------------------------------------------------------------


def mail(
    report: TLSReport = REPORT,
    sender: str = "tls@example.net",
    recipients: tuple[str, ...] = ("a@b.example",),
    submitter: str = "example.net",
) -> bytes:
    return tls_report_mail(
        report, sender=sender, recipients=recipients, submitter=submitter, now=1_800_090_000
    )


@pytest.mark.req("RFC8460-5.3-01")
def test_a_report_in_mail_has_its_fields_and_its_part() -> None:
    message = email.message_from_bytes(mail(), policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    assert message["TLS-Report-Domain"] == "xn--bcher-kva.example"
    assert message["TLS-Report-Submitter"] == "example.net"
    assert message["Subject"] == (
        "Report Domain: xn--bcher-kva.example Submitter: example.net Report-ID: <2027-01-15.1>"
    )
    text, part = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert part.get_content_type() == "application/tlsrpt+gzip"
    assert part.get_filename() == (
        "example.net!xn--bcher-kva.example!1800000000!1800086399.json.gz"
    )
    octets: Any = part.get_payload(decode=True)
    assert read_tls_report(octets) == read_tls_report(mail()) == REPORT
    assert not any(it.defects for it in message.walk())


@pytest.mark.req("RFC8460-3-02")
def test_a_report_in_mail_is_sent_although_tls_fails() -> None:
    assert waives_tls(mail().partition(b"\r\n\r\n")[0])


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "a@b\r\nX: y"},
        {"recipients": ["a"]},
        {"recipients": ["b\u00fc@b.example"]},
        {"submitter": "a b"},
        {"report": evolve(REPORT, id="a\r\nX: y")},
        {"report": evolve(REPORT, id='a"b')},
        {"report": evolve(REPORT, id="a" * 201)},
        {"report": evolve(REPORT, results=())},
    ],
)
def test_what_does_not_fit_into_a_header_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GrammarError):
        mail(**change)


def test_the_name_of_an_organization_cannot_leave_its_line() -> None:
    octets = mail(evolve(REPORT, organization="B\u00fccher\r\n--=_report--\r\n"))
    assert octets.isascii()
    assert octets.count(b"\r\n--=_report--") == 1


# -- collecting ------------------------------------------------------------------------------------


def test_sessions_are_counted_by_domain_policy_and_failure() -> None:
    results, plain = TLSResults(), ReportedPolicy.none("example.org")
    for failure in (None, None, EXPIRED, EXPIRED, evolve(EXPIRED, host="mx2.example.org")):
        results.add("b.example", STS, failure)
    results.add("b.example", plain)
    results.add("c.example", plain)
    taken = results.take()
    assert [*taken] == ["b.example", "c.example"]
    first, second = taken["b.example"]
    assert (first.policy, first.successes, first.failed) == (STS, 2, 3)
    assert [it.count for it in first.failures] == [2, 1]
    assert (second.policy, second.successes, second.failed) == (plain, 1, 0)
    assert results.take() == {}


def test_what_is_collected_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_report_collector, "TLS_REPORT_DOMAINS", 2)
    results = TLSResults()
    for number in range(TLS_REPORT_FAILURES + 5):
        results.add("a.example", STS, evolve(EXPIRED, helo=f"h{number}"))
        results.add(f"{number}.example", STS)
        results.add("0.example", ReportedPolicy.none(f"{number}.example"))
    taken = results.take()
    assert [*taken] == ["a.example", "0.example"]
    assert len(taken["0.example"]) == TLS_REPORT_POLICIES
    [result] = taken["a.example"]
    assert (result.failed, len(result.failures)) == (TLS_REPORT_FAILURES + 5, TLS_REPORT_FAILURES)
