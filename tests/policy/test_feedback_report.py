"""Feedback reports about single messages."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy import AggregateReport, FeedbackReport, read_tls_report

VECTORS = (
    Path(os.environ.get("SMTPPROTO_VECTORS", Path(__file__).parents[3] / "shared/vectors")) / "arf"
)
SAMPLES = sorted(VECTORS.rglob("*.eml"))

REPORT = b"""\
From: <dmarc@mx.test>
Content-Type: multipart/report; report-type=feedback-report; boundary=a

--a
Content-Type: text/plain

This is about mail from a.test.
--a
Content-Type: message/feedback-report

Feedback-Type: Auth-Failure
Version: 1
Auth-Failure: DMARC
Source-IP: 192.0.2.1
Identity-Alignment: SPF, dkim
Delivery-Result: reject
Reported-Domain: a.test
Reported-Domain: b.test
X-Folded: one
 two \x07
--a
Content-Type: message/rfc822

From: <ann@a.test>
Subject: hello

text
--a--
"""


@pytest.mark.req("RFC9991-4-03")
def test_a_report_of_a_failure_is_read() -> None:
    for mail in (REPORT, REPORT.replace(b"\n", b"\r\n")):
        report = FeedbackReport.parse(mail)
        assert (report.feedback_type, report.auth_failure) == ("auth-failure", "dmarc")
        assert (report.source_ip, report.delivery_result) == ("192.0.2.1", "reject")
        assert report.identity_alignment == ("spf", "dkim")
        assert report.reported_domains == ("a.test", "b.test")
        assert report.get("X-FOLDED") == "one two \\x07"
        assert report.get("absent") == ""
        assert report.text.strip() == "This is about mail from a.test."
        assert report.message.startswith(b"From: <ann@a.test>")


def test_a_message_that_is_malformed_is_kept_as_it_is() -> None:
    mail = REPORT.replace(b"Subject: hello\n", b"Date: Thu\x0cSubject: hello\n")
    report = FeedbackReport.parse(mail)
    assert report.auth_failure == "dmarc"
    assert report.message.startswith(b"From: <ann@a.test>\nDate: Thu\x0cSubject: hello\n")


@pytest.mark.req("RFC9991-4-02")
@pytest.mark.parametrize(
    ("value", "methods"),
    [
        (b"none", ()),
        (b"(a comment) NONE", ()),
        (b"spf", ("spf",)),
        (b"dkim,spf", ("dkim", "spf")),
        (b" DKIM (failed) ,\n (and) Spf (too)", ("dkim", "spf")),
        (b"", ()),
    ],
)
def test_the_methods_that_were_not_aligned_are_read(value: bytes, methods: tuple[str, ...]) -> None:
    mail = REPORT.replace(b"SPF, dkim", value)
    assert FeedbackReport.parse(mail).identity_alignment == methods


@pytest.mark.skipif(not SAMPLES, reason="the public samples are not here")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: f"{it.parent.name}-{it.name}")
def test_public_samples_are_read(path: Path) -> None:
    report = FeedbackReport.parse(path.read_bytes())
    assert report.message
    if (file := path.with_suffix(".json")).exists():
        expected = json.loads(file.read_text())
        kind = report.feedback_type.replace("-", "")
        assert kind == expected["feedback_type"].lower()
        assert report.get("user-agent") == (expected["user_agent"] or "")
        assert [*report.reported_domains] == expected["reported_domain"]
        failure = expected["auth_failure"].lower()
        assert report.auth_failure.replace("-", "") == failure.replace("unspecified", "")


@pytest.mark.parametrize(
    "mail",
    [b"", b"Subject: x\n\nhello", REPORT.replace(b"message/feedback-report", b"text/x"),
     REPORT.replace(b"Feedback-Type", b"Type")],
)  # fmt: skip
def test_what_is_not_a_report_is_refused(mail: bytes) -> None:
    with pytest.raises(GrammarError):
        FeedbackReport.parse(mail)


@given(st.integers(0, len(REPORT)), st.binary(max_size=40))
def test_whatever_is_read_only_our_error_is_raised(at: int, octets: bytes) -> None:
    with contextlib.suppress(GrammarError):
        FeedbackReport.parse(REPORT[:at] + octets + REPORT[at:])


@pytest.mark.parametrize(
    "read",
    [AggregateReport.parse, FeedbackReport.parse, read_tls_report],
    ids=lambda it: it.__qualname__,
)
@pytest.mark.parametrize("report", ["text", Path("report.xml.gz")], ids=["str", "path"])
def test_a_report_that_is_not_octets_is_refused(read: Any, report: object) -> None:
    with pytest.raises(TypeError, match=r"a report cannot be of the type .*; pass the octets"):
        read(report)
