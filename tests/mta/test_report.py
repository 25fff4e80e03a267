"""Delivery reports read: our own, those of other programs, and anything else."""

from __future__ import annotations

import ast
import email
import email.policy
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.grammar.reply import EnhancedCode
from smtpproto.mail.parts import parts_of
from smtpproto.mta.queue import make_id
from smtpproto.mta.report import read_report
from smtpproto.mta.settlement import Done, Fate
from smtpproto.mta.status import Action, DeliveryStatus

from .settled import REFUSED, T, message, settled, settlement
from .test_bounce import REPORTER

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("SMTPPROTO_VECTORS", ROOT.parent / "shared/vectors")) / "dsn"
SAMPLES = sorted(VECTORS.glob("*/*.eml"))
FLUFL = Path(os.environ.get("SMTPPROTO_FLUFL_BOUNCE", ROOT.parent / "flufl_bounce")) / "tests"
"""The tests of the source package of flufl.bounce, which this variable may name."""


# -- our own ---------------------------------------------------------------------------------------


@given(settled())
def test_a_report_that_was_made_is_read_as_it_was_meant(case: Any) -> None:
    one, settlements, content = case
    queued = REPORTER.report(one, settlements, content, now=T, report_id=make_id(T, bytes(10)))
    if queued is None:
        return
    assert isinstance(queued.content, bytes)
    report = read_report(queued.content)
    due = [it for it in settlements if REPORTER.action(one, it) is not None]
    status = REPORTER.status(one, due, content)
    assert report is not None and report.standard
    assert report.status == DeliveryStatus.parse(status.write(utf8=not one.sender.isascii))
    assert content.startswith(report.returned)
    assert report.text.startswith("Your message ") and one.id in report.text


@given(settled())
def test_the_email_package_reads_the_same_in_a_report_and_finds_no_defect(case: Any) -> None:
    one, settlements, content = case
    queued = REPORTER.report(one, settlements, content, now=T, report_id=make_id(T, bytes(10)))
    if queued is None:
        return
    assert isinstance(queued.content, bytes)
    report = read_report(queued.content)
    theirs = email.message_from_bytes(queued.content, policy=email.policy.SMTP)
    people, programs, returned = theirs.iter_parts()
    defects = [str(it) for part in (theirs, people, programs) for it in part.defects]
    assert report is not None and defects == []
    assert theirs.get_content_type() == "multipart/report"
    assert people.get_content().replace("\r\n", "\n") == report.text
    groups: Any = programs.get_payload()
    if programs.get_content_type() == "message/delivery-status":
        actions = [group["Action"] for group in groups if group["Action"]]
        assert actions == [it.action.value for it in report.recipients]
    assert returned.get_content_maintype() in ("message", "text")


def reports() -> st.SearchStrategy[bytes]:
    """Reports, whole or cut and joined at random."""
    one = message(size=9)
    content = b"Subject: Lunch\r\nMessage-ID: <a@b.example>\r\n\r\n"
    queued = REPORTER.report(
        one, [settlement(Done(Fate.FAILED), attempt=REFUSED)], content, now=T, report_id="x"
    )
    assert queued is not None and isinstance(queued.content, bytes)
    whole = queued.content
    places = st.tuples(
        st.integers(0, len(whole)), st.integers(0, len(whole)), st.binary(max_size=5)
    )
    return places.map(lambda it: whole[: it[0]] + it[2] + whole[it[1] :])


@given(st.binary() | reports())
def test_anything_is_read_without_an_error(content: bytes) -> None:
    report = read_report(content)
    assert report is None or report.recipients


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 2000])
def test_parts_in_parts_are_read_to_a_bounded_depth(depth: int) -> None:
    head = "".join(f'Content-Type: multipart/x; boundary="{at}"\n\n--{at}\n' for at in range(depth))
    parts = parts_of(f"{head}\nthe end".encode())
    assert len(parts) <= 9
    assert (parts[-1].body == b"the end") == (depth <= 8)


def test_of_very_many_parts_a_hundred_are_read() -> None:
    parts = parts_of(b'Content-Type: multipart/x; boundary="b"\n\n' + b"--b\n\nx\n" * 10_000)
    assert len(parts) == 100


# -- those of other programs -----------------------------------------------------------------------


def status_of(content: str) -> list[tuple[str, str, str]]:
    report = read_report(content.replace("\n", "\r\n").encode())
    recipients = () if report is None else report.recipients
    return [(it.address, it.action.value, str(it.status)) for it in recipients]


POSTMASTER = "From: MAILER-DAEMON@mx.example\nTo: ann@a.example\nSubject: "


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            f"{POSTMASTER}failure notice\n\nHi. This is the qmail-send program.\nI'm afraid I"
            " wasn't able to deliver your message to the following addresses.\n\n<bob@b.example>:\n"
            "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 unknown\n\n"
            "--- Below this line is a copy of the message.\n\nTo: eve@e.example\n",
            [("bob@b.example", "failed", "5.1.1")],
        ),
        (
            f"X-Failed-Recipients: bob@b.example\n{POSTMASTER}Mail delivery failed\n\nA message"
            " that you sent could not be delivered. The following address(es) failed:\n\n"
            "  bob@b.example\n    Unrouteable address\n",
            [("bob@b.example", "failed", "5.0.0")],
        ),
        (
            f"{POSTMASTER}Undeliverable: Lunch\n\nYour message\n\n  To:      cy@c.example\n"
            "  Subject: Lunch\n\ndid not reach the following recipient(s):\n\n"
            "bob@b.example on Mon, 30 Nov 2026 12:00:00 -0000\n    The recipient is not known\n",
            [("bob@b.example", "failed", "5.0.0")],
        ),
        (
            f"{POSTMASTER}Warning: message delayed 2 days\n\nA message that you sent has not yet"
            " been delivered to:\n\n  bob@b.example\n    host mx.b.example: 451 4.7.1 greylisted\n",
            [("bob@b.example", "delayed", "4.7.1")],
        ),
        (
            f"{POSTMASTER}Mail failure\nContent-Type: text/html\n\n<p>Not delivered to:<br>"
            "<b>bob@b.example</b><br>552 full</p>",
            [("bob@b.example", "failed", "5.0.0")],
        ),
        ("From: cy@c.example\nSubject: Lunch\n\nbob@b.example has a problem\n", []),
        ("Return-Path: <>\nFrom: cy@c.example\nSubject: I am away\n\nAsk bob@b.example\n", []),
        (
            f"{POSTMASTER}failure\nContent-Type: multipart/report; report-type=feedback-report;"
            " boundary=b\n\n--b\n\nbob@b.example\n--b--\n",
            [],
        ),
    ],
)
def test_older_forms_say_who_did_not_get_the_message(
    content: str, expected: list[tuple[str, str, str]]
) -> None:
    assert status_of(content) == expected


def test_an_older_form_does_not_count_as_standard_and_tells_what_it_returns() -> None:
    text = (
        "Delivery failed: bob@b.example\n\nOriginal message follows.\n\nMessage-ID: <a@b>\n\nHi\n"
    )
    report = read_report(f"{POSTMASTER}Mail failure\n\n{text}".encode())
    assert report is not None and not report.standard and report.status.faults
    assert report.message_id == "<a@b>"
    assert report.recipients[0].final_recipient.path == "bob@b.example"


INTERNATIONAL = """\
From: postmaster@mx.example
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain; charset=utf-8

Für jö.
--b
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: {}

{}
--b
Content-Type: message/global-headers

Message-ID: <ä@b.example>
--b--
"""


@pytest.mark.req("RFC6533-4.4-01/client", "RFC6533-4.4-01/server")
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable"])
def test_the_types_of_internationalised_reports_are_read_like_those_in_ascii(encoding: str) -> None:
    status = "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: utf-8; jö@b.example\n"
    status += "Action: failed\nStatus: 5.1.1\n"
    if encoding == "quoted-printable":
        status = status.replace("ö", "=C3=B6")
    report = read_report(INTERNATIONAL.format(encoding, status).encode())
    assert report is not None and report.standard and not report.status.faults
    assert report.recipients[0].final_recipient.path == "jö@b.example"
    assert report.recipients[0].status == EnhancedCode(5, 1, 1)
    assert (report.text, report.message_id) == ("Für jö.", "<ä@b.example>")


def test_a_report_that_another_program_forwards_in_a_message_is_found() -> None:
    inner = INTERNATIONAL.format("8bit", "Final-Recipient: rfc822; bob@b.example\nAction: failed")
    head = "Subject: Failure\nContent-Type: multipart/mixed; boundary=outer\n\n--outer\n"
    report = read_report(f"{head}Content-Type: message/rfc822\n\n{inner}\n--outer--\n".encode())
    assert report is not None and report.recipients[0].address == "bob@b.example"


@pytest.mark.skipif(not SAMPLES, reason=f"no samples in {VECTORS}")
def test_the_samples_are_read_and_all_but_complaints_and_replies_name_a_recipient() -> None:
    unread = []
    for sample in SAMPLES:
        report = read_report(sample.read_bytes())
        if report is None:
            unread.append(sample.stem)
        else:
            assert all("@" in it.address or sample.stem == "3" for it in report.recipients)
    assert len(SAMPLES) > 100
    assert not [it for it in unread if not it.startswith(("arf-", "rfc3834-"))]


# Files of flufl.bounce of which we say something else, and why.
DIFFERENT = {
    "aol_01.txt": "the address has no domain",
    "llnl_01.txt": "the address stands in the middle of a text that names others first",
    "sendmail_01.txt": "the alias is named besides the address that failed",
    "simple_14.txt": "one address is named as the recipient, another one in the reply",
    "simple_42.txt": "the address in the standard form is damaged, and given as it is",
    "yale_01.txt": "the address has no domain",
}


def expected_by_flufl() -> dict[str, tuple[set[str], bool]]:
    """The addresses that flufl.bounce finds in each file, and whether they are only delayed."""
    tree = ast.parse((FLUFL / "test_detectors.py").read_text())
    (rows,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DETECTORS"
    ]
    found: dict[str, tuple[set[str], bool]] = {}
    for _, file, addresses, temporary in rows:
        if addresses or file not in found:
            found[file] = ({it.decode().lower() for it in addresses}, temporary)
    return found


@pytest.mark.skipif(not FLUFL.exists(), reason=f"no source package of flufl.bounce in {FLUFL}")
def test_recipients_and_whether_they_failed_are_those_that_flufl_bounce_finds() -> None:
    different = []
    for file, (addresses, temporary) in expected_by_flufl().items():
        report = read_report((FLUFL / "data" / file).read_bytes())
        recipients = () if report is None else report.recipients
        found = {it.address.strip("<>").partition(" ")[0].lower() for it in recipients}
        actions = {it.action for it in recipients}
        action = Action.DELAYED if temporary else Action.FAILED
        if found != addresses or actions - {action}:
            different.append(file)
    assert sorted(different) == sorted(DIFFERENT)
