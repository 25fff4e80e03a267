"""Aggregate reports of DMARC: counted, written, sent by mail, and read."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import os
import re
import zipfile
import zlib
from base64 import encodebytes
from email import message_from_bytes
from email.policy import SMTP
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy import (
    AggregateCounts,
    AggregateReport,
    AggregateRow,
    DKIMCheck,
    DKIMResult,
    DMARCPolicy,
    DMARCRecord,
    MessageCheck,
    PolicyOverride,
    ReportedDKIM,
    ReportedSPF,
    SPFResult,
    report_mail,
    report_xml,
    write_report,
)
from smtpproto.policy.report_file import expand

from .dmarc_zones import check, dkim, spf, zone

VECTORS = (
    Path(os.environ.get("SMTPPROTO_VECTORS", Path(__file__).parents[3] / "shared/vectors"))
    / "dmarc-reports"
)
SAMPLES = sorted(it for it in VECTORS.glob("*/*.*") if it.suffix != ".json")
NONE, QUARANTINE, REJECT = DMARCPolicy
RUA = "; rua=mailto:reports@a.test"

words = st.text('ab<&>"é 漢\U0001f600', max_size=20).map(str.strip)
atoms = st.text("abc123", min_size=1, max_size=8)
policies = st.sampled_from(DMARCPolicy)
results = st.sampled_from([it.value for it in DKIMResult])
rows = st.builds(
    AggregateRow,
    source=st.ip_addresses(),
    count=st.integers(1, 10**9),
    disposition=st.sampled_from(["none", "pass", "quarantine", "reject"]),
    aligned_dkim=st.booleans(),
    aligned_spf=st.booleans(),
    header_from=atoms,
    envelope_from=atoms,
    envelope_to=atoms,
    overrides=st.lists(
        st.builds(PolicyOverride, type=st.sampled_from(["other", "local_policy"]), comment=words),
        max_size=2,
    ).map(tuple),
    dkim=st.lists(
        st.builds(ReportedDKIM, domain=atoms, selector=atoms, result=results, reason=words),
        max_size=2,
    ).map(tuple),
    spf=st.lists(
        st.builds(ReportedSPF, domain=atoms, result=st.just("pass"), scope=st.just("mfrom")),
        max_size=1,
    ).map(tuple),
)
reports = st.builds(
    AggregateReport,
    organization=words,
    email=words,
    report_id=atoms,
    begin=st.integers(0, 2**40),
    end=st.integers(0, 2**40),
    domain=atoms,
    record=st.builds(
        DMARCRecord,
        policy=policies,
        subdomain_policy=st.none() | policies,
        nonexistent_policy=st.none() | policies,
        strict_dkim=st.booleans(),
        strict_spf=st.booleans(),
        testing=st.booleans(),
    ),
    rows=st.lists(rows, min_size=1, max_size=3).map(tuple),
    contact=words,
    errors=st.lists(words.filter(bool), max_size=1).map(tuple),
    generator=words,
)


def message(
    record: str = "v=DMARC1; p=reject",
    sender: str = "a.test",
    result: SPFResult = SPFResult.PASS,
    signatures: tuple[DKIMCheck, ...] = (),
    author: str = "a.test",
) -> MessageCheck:
    by_spf = spf(sender, result)
    found = zone({"a.test": record + RUA})
    return MessageCheck(spf=by_spf, dkim=signatures, dmarc=check(author, found, by_spf, signatures))


def counted(*messages: MessageCheck, **options: Any) -> list[AggregateReport]:
    counts = AggregateCounts()
    for it in messages:
        counts.add(it, **options)
    return take(counts)


def take(counts: AggregateCounts) -> list[AggregateReport]:
    return counts.reports(
        organization="Example & Co", email="dmarc@mx.test", begin=1000, end=2000, unique="id7"
    )


def one() -> AggregateReport:
    [report] = counted(message())
    return report


def mailed(report: AggregateReport) -> bytes:
    to = ["r@a.test", "s@a.test"]
    return report_mail(report, submitter="mx.test", sender="d@mx.test", recipients=to, now=10**9)


# -- writing ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC9990-3.1.1-03")
@given(reports)
def test_a_written_report_is_read_as_it_was(report: AggregateReport) -> None:
    for octets in (write_report(report), gzip.compress(write_report(report))):
        assert AggregateReport.parse(octets) == report
    assert AggregateReport.parse(mailed(report)) == report


@pytest.mark.req("RFC9990-3.1.1-03")
@given(reports)
def test_reports_fit_the_schema(report: AggregateReport) -> None:
    schema = pytest.importorskip("dmarc.report").DMARC2Schema
    schema.validate(io.BytesIO(write_report(report)))


def test_a_report_of_counted_messages_fits_the_schema() -> None:
    schema = pytest.importorskip("dmarc.report").DMARC2Schema
    [report] = counted(
        message(), message("v=DMARC1; p=reject", "b.test", SPFResult.FAIL, (dkim("c.test"),))
    )
    schema.validate(io.BytesIO(write_report(report)))


@pytest.mark.req("RFC9990-3.1.1-01", "RFC9990-3.1.1-02", "RFC9990-3.5.1-01")
def test_each_domain_and_each_state_of_its_record_has_its_own_report() -> None:
    found = counted(
        message(), message("v=DMARC1; p=none"), message(author="x.a.test", sender="x.a.test")
    )
    by_record = [(it.domain, it.record.policy, len(it.rows)) for it in found]
    assert by_record == [("a.test", REJECT, 2), ("a.test", NONE, 1)]
    assert len({it.report_id for it in found}) == 2
    assert [it.header_from for it in found[0].rows] == ["a.test", "x.a.test"]


@pytest.mark.req("RFC9990-3.1.1-04")
def test_a_report_has_at_least_one_row() -> None:
    assert counted() == []
    with pytest.raises(GrammarError, match="at least one row"):
        write_report(evolve(one(), rows=()))


@pytest.mark.req("RFC9990-3.1.1-05")
@pytest.mark.parametrize(
    ("record", "applied", "disposition", "reasons"),
    [
        ("v=DMARC1; p=reject", None, "reject", []),
        ("v=DMARC1; p=reject", REJECT, "reject", []),
        ("v=DMARC1; p=reject", NONE, "none", ["local_policy"]),
        ("v=DMARC1; p=reject; t=y", None, "quarantine", ["policy_test_mode"]),
        ("v=DMARC1; p=reject; t=y", NONE, "none", ["local_policy"]),
        ("v=DMARC1; p=none", None, "none", []),
    ],
)
def test_a_failure_that_was_handled_otherwise_has_a_reason(
    record: str, applied: DMARCPolicy | None, disposition: str, reasons: list[str]
) -> None:
    [report] = counted(message(record, "b.test"), applied=applied)
    [row] = report.rows
    assert (row.disposition, [it.type for it in row.overrides]) == (disposition, reasons)


@pytest.mark.parametrize(("policy", "disposition"), [("none", "none"), ("reject", "pass")])
def test_a_pass_is_one_of_a_policy_or_of_none(policy: str, disposition: str) -> None:
    [report] = counted(message(f"v=DMARC1; p={policy}"))
    [row] = report.rows
    assert (row.disposition, row.passed, row.overrides) == (disposition, True, ())


@pytest.mark.req("RFC9990-3.1.1-06", "RFC9990-3.1.1-07", "RFC9990-3.1.1-08")
def test_a_row_has_the_results_of_dmarc_and_those_of_spf_and_dkim() -> None:
    signatures = (
        dkim("b.test"), dkim("a.test", DKIMResult.FAIL), dkim("mail.a.test"), dkim("a.test"),
        DKIMCheck(result=DKIMResult.NEUTRAL, reason="malformed"),
    )  # fmt: skip
    [report] = counted(message("v=DMARC1; p=reject", "b.test", SPFResult.PASS, signatures))
    [row] = report.rows
    assert (row.aligned_dkim, row.aligned_spf, row.count) == (True, False, 1)
    assert (row.source, row.envelope_from) == (ip_address("192.0.2.1"), "b.test")
    assert [(it.domain, it.result) for it in row.dkim] == [
        ("a.test", "pass"), ("b.test", "pass"), ("mail.a.test", "pass"), ("a.test", "fail"),
    ]  # fmt: skip
    assert {it.selector for it in row.dkim} == {"s1"}
    assert row.spf == (ReportedSPF(domain="b.test", result="pass", scope="mfrom"),)
    assert write_report(report).count(b"<dkim>\n") == 4


def test_messages_that_are_alike_are_counted_together() -> None:
    [report] = counted(message(), message(), message(sender="b.test"), message())
    assert sorted(it.count for it in report.rows) == [1, 3]


@pytest.mark.req("RFC9989-4.7-09")
def test_only_what_a_domain_asks_to_hear_of_is_counted() -> None:
    by_spf = spf("a.test")
    unasked = check("a.test", zone({"a.test": "v=DMARC1; p=reject"}), by_spf)
    temporary = message(sender="a.test", result=SPFResult.TEMPERROR)
    unknown = evolve(message(), spf=None)
    without = MessageCheck(spf=by_spf, dmarc=check("a.test", zone({}), by_spf))
    assert counted(MessageCheck(spf=by_spf, dmarc=unasked), temporary, unknown, without) == []


def test_rows_are_bounded_and_begin_anew_with_each_report() -> None:
    counts = AggregateCounts(most=8)
    for number in (1, 2, 3, 4, 2):
        counts.add(message(sender=f"b{number}.test"))
    assert counts.left_out == 2
    [report] = take(counts)
    assert [it.count for it in report.rows] == [1, 2]
    assert (take(counts), counts.left_out) == ([], 0)
    counts.add(message())
    assert len(take(counts)) == 1


def test_a_domain_with_many_rows_leaves_room_for_others() -> None:
    counts, found = AggregateCounts(most=8), message()
    for number in range(20):
        for sender in range(5):
            dmarc = evolve(found.dmarc, policy_domain=f"d{number}.test")
            counts.add(evolve(message(sender=f"s{sender}.test"), dmarc=dmarc))
    assert counts.left_out == 92
    assert [len(it.rows) for it in take(counts)] == [2] * 4


def test_a_row_keeps_only_the_beginning_of_a_reason_that_a_stranger_writes() -> None:
    counts, found = AggregateCounts(), message(sender="b1.test")
    assert found.spf is not None
    failed = evolve(found.spf, result=SPFResult.FAIL, reason="x" * 8000)
    counts.add(evolve(found, spf=failed))
    [report] = take(counts)
    assert [len(it.reason) for it in report.rows[0].spf] == [200]


def test_text_of_strangers_stays_in_its_element() -> None:
    report = evolve(one(), organization="</org_name><x>&\0\ufffe\ud800", errors=("<a>]]>",))
    text = write_report(report).decode()
    assert "<org_name>&lt;/org_name&gt;&lt;x&gt;&amp;???</org_name>" in text
    assert AggregateReport.parse(text.encode()).errors == ("<a>]]>",)


# -- mail ------------------------------------------------------------------------------------------


@pytest.mark.req("RFC9990-3.1.4-01", "RFC9990-3.5.2-01", "RFC9990-3.5.2-02", "RFC9990-3.5.2-03")
def test_the_mail_with_a_report() -> None:
    report = one()
    mail = mailed(report)
    read = message_from_bytes(mail, policy=SMTP)
    assert read["Subject"] == "Report Domain: a.test Submitter: mx.test Report-ID: <id7x0>"
    assert (read["From"], read["To"]) == ("d@mx.test", "r@a.test, s@a.test")
    assert read["Message-ID"] == "<id7x0@mx.test>"
    text, attached = read.iter_parts()
    assert "by mx.test about mail from a.test" in text.get_content()
    assert attached.get_content_type() == "application/gzip"
    assert attached.get_filename() == "mx.test!a.test!1000!2000!id7x0.xml.gz"
    assert gzip.decompress(attached.get_content()) == write_report(report)
    assert not any(it.defects for it in read.walk())


@pytest.mark.req("RFC9990-3.5.2-02")
def test_the_file_name_has_an_id_only_if_it_is_letters_and_digits() -> None:
    report = evolve(one(), report_id="a.b@mx.test")
    assert b'"mx.test!a.test!1000!2000.xml.gz"' in mailed(report)


@pytest.mark.parametrize("report_id", ["", "a b", "<a>", "a@", "a@b@c", ".a", "a\n"])
def test_an_id_that_is_none_is_refused(report_id: str) -> None:
    with pytest.raises(GrammarError, match="the id of a report"):
        write_report(evolve(one(), report_id=report_id))


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLES, reason="the public samples are not here")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: f"{it.parent.name}-{it.name}")
def test_public_samples_are_read(path: Path) -> None:
    report = AggregateReport.parse(path.read_bytes())
    assert report.domain and report.report_id and report.begin < report.end
    assert report.rows and all(it.source and it.count and it.header_from for it in report.rows)
    expected = path.with_suffix(".json")
    if expected.exists():
        text = expected.read_text()
        assert sum(it.count for it in report.rows) == sum(
            map(int, re.findall(r'"count": (\d+)', text))
        )
        assert [str(it.source) for it in report.rows] == re.findall(r'"source_ip": "(.*?)"', text)
        dispositions = [it.lower() for it in re.findall(r'"disposition": "(.*?)"', text)]
        assert [it.disposition for it in report.rows] == dispositions


XML = b"<feedback><record><row><count>3</count></row></record></feedback>"


def zipped(octets: bytes, name: str = "a.xml") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return file.getvalue()


@pytest.mark.parametrize(
    "octets",
    [XML, b"\xef\xbb\xbf" + XML, b"\n " + XML, gzip.compress(XML), zipped(XML),
     gzip.compress(XML[:9]) + gzip.compress(XML[9:]),
     XML.decode().encode("utf-16"),
     XML.replace(b"feedback", b"d:feedback"),
     b"Content-Type: text/xml\n\n" + XML,
     b"Content-Type: application/octet-stream; name=r.gz\nContent-Transfer-Encoding: base64\n\n"
     + encodebytes(gzip.compress(XML))],
    ids=range(10),
)  # fmt: skip
def test_reports_in_all_forms_are_read(octets: bytes) -> None:
    [row] = AggregateReport.parse(octets).rows
    assert (row.count, row.source, row.passed) == (3, None, False)


@pytest.mark.parametrize(
    "field",
    [
        b'Disposition: attachment; filename="A!b!1!2.XML.gz"',
        b'Disposition: attachment;\n filename*0="a!b!1!";\n filename*1="2.xml.gz"',
        b'Type: application/octet-stream; name="a!b!1!2.xml.gz"',
    ],
)
def test_a_report_in_mail_is_found_by_its_file_name(field: bytes) -> None:
    mail = b"Content-%b\nContent-Transfer-Encoding: base64\n\n" % field
    octets = mail + base64.encodebytes(gzip.compress(XML))
    assert AggregateReport.parse(octets) == AggregateReport.parse(XML)


@pytest.mark.req("RFC9990-3.2-01")
def test_extensions_are_left_out() -> None:
    octets = XML.replace(b"<row>", b'<x:e xmlns:x="urn:x" a="b"><x:f/></x:e><row><g/>')
    assert AggregateReport.parse(octets) == AggregateReport.parse(XML)


DTD = b'<!DOCTYPE feedback [<!ENTITY a "aaaa">]>'
HOSTILE = {
    "nothing": b"",
    "other xml": b"<x/>",
    "not xml": b"<feedback>",
    "document type": b"<!DOCTYPE feedback>" + XML,
    "entity": DTD + b"<feedback>&a;</feedback>",
    "external": b'<!DOCTYPE f SYSTEM "file:///etc/passwd"><feedback/>',
    "unknown encoding": b'<?xml version="1.0" encoding="x-y"?><feedback/>',
    "deep": b"<feedback>" + b"<a>" * 100_000,
    "cut gzip": gzip.compress(XML)[:-9],
    "wrong gzip": b"\x1f\x8bxxxx",
    "wrong zip": b"PK\x03\x04xxxx",
    "empty zip": zipped(b"", "a/"),
    "mail": b"Subject: x\n\nhello\n",
    "mail with damage": b"Content-Type: application/gzip\n\n\x1f\x8bxxx",
    "deep mail": b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 50_000,
    "wrong charset": b"Content-Type: text/xml; charset=x\nContent-Transfer-Encoding: x\n\n<",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_a_report_is_refused(name: str) -> None:
    with pytest.raises(GrammarError):
        AggregateReport.parse(HOSTILE[name])


def test_bombs_do_not_go_off() -> None:
    compressor = zlib.compressobj(9, wbits=31)
    chunk, pieces = bytes(1024 * 1024), []
    for _ in range(70):
        pieces.append(compressor.compress(chunk))
    bomb = b"".join([*pieces, compressor.flush()])
    assert len(bomb) < 100_000
    for octets in (bomb, zipped(bytes(2_000_000))):
        with pytest.raises(GrammarError, match="compressed report of more than"):
            expand(octets, 1_000_000)
    with pytest.raises(GrammarError, match="compressed report of more than"):
        AggregateReport.parse(bomb)
    with pytest.raises(GrammarError, match="report of more than"):
        AggregateReport.parse(bytes(16 * 1024 * 1024 + 1))


def test_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_xml, "_ELEMENTS", 1000)
    with pytest.raises(GrammarError, match="too many elements"):
        AggregateReport.parse(b"<feedback>" + b"<a/>" * 1000)


def test_long_text_is_cut() -> None:
    octets = b"<feedback><report_metadata><org_name>" + b"a\n" * 500_000
    report = AggregateReport.parse(octets + b"</org_name></report_metadata></feedback>")
    assert len(report.organization) < 200_000


BEGINNINGS = [
    b"", b"<feedback>", b"\x1f\x8b", b"PK\x03\x04", b"Content-Type: text/xml\n\n",
    b"Content-Type: multipart/mixed; boundary=a\n\n--a\n",
]  # fmt: skip


@given(st.binary(max_size=200), st.sampled_from(BEGINNINGS))
def test_whatever_is_read_only_our_error_is_raised(octets: bytes, beginning: bytes) -> None:
    with contextlib.suppress(GrammarError):
        AggregateReport.parse(beginning + octets)
