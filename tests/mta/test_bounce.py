"""Delivery reports made: when one is due, to whom it goes and what it says (RFC 3461, RFC 3464)."""

from __future__ import annotations

import base64
import quopri
import re
from itertools import combinations
from random import Random
from typing import Any, NamedTuple

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.grammar.address import Mailbox, ReversePath
from smtpproto.grammar.dsn import Notify, OriginalRecipient, Ret
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.printable import printable
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.scheduling import DeliverBy
from smtpproto.grammar.timestamp import read_timestamp
from smtpproto.mail.header import header_fields
from smtpproto.mta.bounce import MAX_HEADER, Reporter
from smtpproto.mta.judge import Judge
from smtpproto.mta.queue import Attempt, Result, envelope_of, make_id
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.settlement import Decision, Done, Fate, Hold, Later, Settlement
from smtpproto.mta.status import Action, DeliveryStatus, TypedValue
from smtpproto.mta.store import Queued
from smtpproto.testing import strategies
from smtpproto.testing.strategies import deliver_by

from .settled import REFUSED, T, message, settled, settlement

REPORTER = Reporter(hostname="mx.example.org")
ID = make_id(T, b"0123456789")
FAILED, DELAYED, DELIVERED = (
    Done(Fate.FAILED),
    Later(due=T + 900, warned=True),
    Done(Fate.DELIVERED),
)
RELAYED = Done(Fate.RELAYED)
ORCPT = OriginalRecipient.parse("RFC822;Bob+2BX@B.example")
CONTENT = b"Subject: Lunch\r\nMessage-ID: <a@b.example>\r\n\r\nHello\r\n"


class Part(NamedTuple):
    type: str
    encoding: str
    body: bytes


class Read(NamedTuple):
    header: dict[str, str]
    parts: list[Part]

    @property
    def text(self) -> str:
        part = self.parts[0]
        body = quopri.decodestring(part.body) if part.encoding.startswith("q") else part.body
        return body.decode().replace("\r\n", "\n")

    @property
    def status(self) -> DeliveryStatus:
        return DeliveryStatus.parse(self.parts[1].body)

    @property
    def returned(self) -> bytes:
        part = self.parts[2]
        match part.encoding:
            case "base64":
                return base64.b64decode(part.body)
            case "quoted-printable":
                return quopri.decodestring(part.body)
        return part.body


def read(queued: Queued | None) -> Read:
    """Take a report apart at its boundary, independently of the library's own reader."""
    assert queued is not None and isinstance(queued.content, bytes)
    header, _, body = queued.content.partition(b"\r\n\r\n")
    fields = {it.name: it.text.strip() for it in header_fields(header)}
    found = re.fullmatch(
        r'multipart/report; report-type=delivery-status;\t?boundary="(.+)"', fields["Content-Type"]
    )
    assert found is not None
    before, *parts, after = body.split(f"--{found[1]}".encode())
    assert (before, after) == (b"", b"--\r\n")
    return Read(fields, [part(it) for it in parts])


def part(octets: bytes) -> Part:
    header, _, body = octets.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    fields = {it.name: it.text.strip() for it in header_fields(header)}
    kind, encoding = fields["Content-Type"], fields["Content-Transfer-Encoding"]
    return Part(kind, encoding, body.removesuffix(b"\r\n"))


def made(*settlements: Settlement, content: bytes = CONTENT, **changes: Any) -> Read:
    one = message(**{"size": len(content)} | changes)
    return read(REPORTER.report(one, settlements, content, now=T + 10, report_id=ID))


# -- when a report is due ------------------------------------------------------------------------

_OTHERS: list[Notify] = [each for each in Notify if each is not Notify.NEVER]
SETS = [set(some) for size in (1, 2, 3) for some in combinations(_OTHERS, size)]
NOTIFY: list[set[Notify] | None] = [None, {Notify.NEVER}, *SETS]


def _name(notify: set[Notify] | None) -> str:
    """The same in each process, unlike the order of a set."""
    return "+".join(sorted(each.value for each in notify)) if notify else "None"


CONDITIONS: list[tuple[Decision, Action, Notify, bool]] = [
    (FAILED, Action.FAILED, Notify.FAILURE, True),
    (Done(Fate.EXPIRED), Action.FAILED, Notify.FAILURE, True),
    (DELAYED, Action.DELAYED, Notify.DELAY, True),
    (DELIVERED, Action.DELIVERED, Notify.SUCCESS, False),
    (RELAYED, Action.RELAYED, Notify.SUCCESS, False),
    (Done(Fate.EXPANDED), Action.EXPANDED, Notify.SUCCESS, False),
]


@pytest.mark.req(
    "RFC3461-5.2.2-02",
    "RFC3461-5.2.2-03",
    "RFC3461-5.2.2-04",
    "RFC3461-5.2.2-06",
    "RFC3461-5.2.3-01",
    "RFC3461-5.2.3-02",
    "RFC3461-5.2.5-01",
    "RFC3461-5.2.5-02",
    "RFC3461-5.2.6-01",
    "RFC3461-5.2.6-02",
    "RFC3464-2.3.3-01",
    "RFC5321-6.1-02",
)
@pytest.mark.parametrize("notify", NOTIFY, ids=_name)
@pytest.mark.parametrize(("decision", "action", "condition", "by_default"), CONDITIONS)
def test_a_report_is_due_if_notify_asks_for_it_or_by_default_for_what_went_wrong(
    decision: Decision,
    action: Action,
    condition: Notify,
    by_default: bool,
    notify: set[Notify] | None,
) -> None:
    due = by_default if notify is None else condition in notify
    one = settlement(decision, notify=notify, attempt=evolve(REFUSED, dsn=False))
    assert REPORTER.action(message(), one) == (action if due else None)
    assert (REPORTER.report(message(), [one], b"", now=T, report_id=ID) is not None) == due


@pytest.mark.req("RFC3461-5.2-01", "RFC5321-3.6.3-03", "RFC5321-4.5.4-02", "RFC5321-6.1-04")
@pytest.mark.parametrize("notify", NOTIFY, ids=_name)
@pytest.mark.parametrize("decision", [decision for decision, *_ in CONDITIONS])
def test_the_null_sender_is_told_of_no_end_whatever_notify_says(
    decision: Decision, notify: set[Notify] | None
) -> None:
    one = settlement(decision, notify=notify, attempt=REFUSED)
    for authenticated in (False, True):
        bounce = message("", authenticated=authenticated)
        assert REPORTER.action(bounce, one) is None
        assert REPORTER.report(bounce, [one], b"", now=T, report_id=ID) is None


@given(settled(st.just(ReversePath(None))))
def test_nothing_is_ever_reported_to_the_null_sender(case: Any) -> None:
    one, settlements, content = case
    assert REPORTER.octets_needed(one, settlements) == 0
    assert REPORTER.report(one, settlements, content, now=T, report_id=ID) is None


@pytest.mark.parametrize(
    "decision", [Done(Fate.DROPPED), Hold("a person"), Later(due=T), Later(due=T, warned=False)]
)
def test_nothing_is_reported_of_what_is_dropped_held_or_merely_tried_again(
    decision: Decision,
) -> None:
    one = settlement(decision, notify=set(Notify) - {Notify.NEVER})
    assert REPORTER.action(message(), one) is None


@given(st.data())
def test_of_a_delivery_at_most_one_delay_and_one_end_are_reported(data: Any) -> None:
    parameters = MailParameters(by=data.draw(st.none() | deliver_by()))
    schedule, sender = RetrySchedule(), ReversePath.of("ann@a.example")
    one = message(parameters=parameters, expires=schedule.expires(sender, parameters, T))
    delivery, now, told = (
        settlement(FAILED, notify=data.draw(st.none() | strategies.notify())).delivery,
        T,
        [],
    )
    later = [
        Attempt(at=T, result=Result.UNREACHED, host="mx.b.example", error="no answer"),
        Attempt(at=T, result=Result.UNKNOWN, host="mx.b.example"),
        reply_of(450, "4.2.0"),
    ]
    last = [Attempt(at=T, result=Result.RELAYED), Attempt(at=T, result=Result.DELIVERED), REFUSED]
    end = data.draw(st.none() | st.integers(0, 60))
    for number in range(200):
        attempt = data.draw(st.sampled_from(last if number == end else later))
        delivery = evolve(delivery, attempts=delivery.attempts + 1)
        decision = Judge(schedule).decide(one, delivery, attempt, now=now, chance=0.5)
        settled_now = Settlement(delivery=delivery, decision=decision, attempt=attempt)
        told.append(REPORTER.action(one, settled_now))
        delivery = settled_now.delivery_after
        if not isinstance(decision, Later):
            break
        now = max(now, decision.due)
    else:
        raise AssertionError("the delivery does not come to an end")
    assert told.count(Action.DELAYED) <= 1
    assert all(action in (None, Action.DELAYED) for action in told[:-1])


@pytest.mark.parametrize("decision", [DELIVERED, RELAYED])
def test_success_is_reported_only_to_senders_who_logged_in(decision: Decision) -> None:
    one = settlement(decision, notify={Notify.SUCCESS})
    stranger = message(authenticated=False)
    assert REPORTER.action(stranger, one) is None
    assert evolve(REPORTER, success_for_all=True).action(stranger, one) is not None


@pytest.mark.req("RFC3461-5.2.2-02")
def test_success_is_not_reported_here_if_the_next_hop_does_it() -> None:
    one = settlement(RELAYED, notify={Notify.SUCCESS}, attempt=evolve(REFUSED, dsn=True))
    assert REPORTER.action(message(), one) is None


@pytest.mark.req("RFC2852-4.1.4.2-01", "RFC3461-5.2.2-04")
def test_a_message_with_by_that_leaves_the_reach_of_deliverby_is_reported_as_relayed() -> None:
    urgent = message(parameters=MailParameters(by=DeliverBy.parse("600;N")))
    for notify in NOTIFY:
        lost, kept = (
            settlement(RELAYED, notify=notify, attempt=evolve(REFUSED, dsn=True, deliver_by=known))
            for known in (False, True)
        )
        never = notify == {Notify.NEVER}
        assert REPORTER.action(urgent, lost) == (None if never else Action.RELAYED)
        assert REPORTER.action(urgent, kept) is None


def test_each_relay_reports_a_message_whose_by_asks_for_a_trace() -> None:
    traced = message(parameters=MailParameters(by=DeliverBy.parse("600;RT")))
    one = settlement(RELAYED, attempt=evolve(REFUSED, dsn=True, deliver_by=True))
    assert REPORTER.action(traced, one) is Action.RELAYED


# -- to whom, and in which form ------------------------------------------------------------------


@pytest.mark.req(
    "RFC3461-6.1-01",
    "RFC3461-6.1-02",
    "RFC3464-2-01",
    "RFC3464-2-03",
    "RFC5321-3.6.3-04",
    "RFC5321-4.4-14",
    "RFC5321-4.4-17",
    "RFC5321-4.5.5-01",
    "RFC5321-6.1-02",
    "RFC5321-6.1-06",
    "RFC5321-3.6.3-01",
    "RFC3834-3.3-01",
)
@pytest.mark.parametrize("postmaster", [None, Mailbox("root", "b.example")])
def test_a_report_goes_from_the_null_sender_to_the_sender_and_asks_for_no_report_itself(
    postmaster: Mailbox | None,
) -> None:
    one = message("Ann@A.example", parameters=MailParameters(ret=Ret.FULL, envid="x"))
    reporter = evolve(REPORTER, postmaster=postmaster)
    queued = reporter.report(one, [settlement(FAILED)], b"", now=T, report_id=ID)
    assert queued is not None
    envelope = envelope_of(queued.message, queued.deliveries)
    assert bytes(envelope.mail) == b"MAIL FROM:<>"
    assert [bytes(rcpt).partition(b" ORCPT")[0] for rcpt in envelope.rcpts] == [
        b"RCPT TO:<Ann@A.example> NOTIFY=NEVER"
    ]
    assert read(queued).header["To"] == "<Ann@A.example>"


@pytest.mark.req(
    "RFC3461-6.2-01",
    "RFC6522-3-01",
    "RFC3464-2.1-01",
    "RFC3461-6.3-04",
    "RFC5321-3.6.3-02",
    "RFC5321-4.4-16",
)
def test_a_report_has_a_part_for_people_one_for_programs_and_what_is_returned() -> None:
    report = made(settlement(FAILED), settlement(DELAYED, to="cy@c.example", orcpt=ORCPT))
    kinds = [part.type.partition(";")[0] for part in report.parts]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    about, *groups = report.parts[1].body.removesuffix(b"\r\n").split(b"\r\n\r\n")
    assert about.startswith(b"Reporting-MTA: ") and b"Recipient" not in about
    assert [re.findall(rb"(?m)^(Final-Recipient: .*|Action|Status)", it) for it in groups] == [
        [b"Final-Recipient: rfc822; bob@b.example\r", b"Action", b"Status"],
        [b"Final-Recipient: rfc822; cy@c.example\r", b"Action", b"Status"],
    ]


@pytest.mark.req("RFC3461-5.2.8-01", "RFC5321-4.4-23")
@given(settled())
def test_a_report_goes_once_from_nobody_to_the_sender_and_names_exactly_those_who_are_due(
    case: Any,
) -> None:
    one, settlements, content = case
    due = [it for it in settlements if REPORTER.action(one, it) is not None]
    start = content[: REPORTER.octets_needed(one, settlements)]
    queued = REPORTER.report(one, settlements, start, now=T, report_id=ID)
    if not due:
        assert queued is None
        return
    report = read(queued)
    assert queued is not None and isinstance(queued.content, bytes)

    assert queued.message.sender == ReversePath(None)
    assert queued.message.size == len(queued.content)
    assert [str(it.parameters) for it in queued.deliveries] == ["NOTIFY=NEVER"]
    assert [it.recipient for it in queued.deliveries] == [one.sender.mailbox]
    assert queued.message.parameters.ret is None and queued.message.parameters.envid is None
    assert report.header["To"] == f"<{one.sender}>"

    assert [it.final_recipient.path for it in report.status.recipients] == [
        it.delivery.recipient for it in due
    ]
    expected = [REPORTER.action(one, it) for it in due]
    assert [it.action for it in report.status.recipients] == expected
    assert all(printable(str(it.delivery.recipient)) in report.text for it in due)

    if one.sender.isascii:
        assert queued.content.isascii() and not queued.message.parameters.smtputf8
    assert max(map(len, queued.content.split(b"\r\n"))) <= 998
    assert b"\n" not in queued.content.replace(b"\r\n", b"")
    assert content.startswith(report.returned)


@pytest.mark.req("RFC3834-3.1.7-01", "RFC3834-5.2-01", "RFC3464-2-02")
def test_the_header_says_that_the_postmaster_of_this_server_replies_automatically() -> None:
    report = made(settlement(FAILED, attempt=REFUSED))
    assert report.header == {
        "From": "Mail Delivery System <postmaster@mx.example.org>",
        "To": "<ann@a.example>",
        "Subject": "Not delivered: Lunch",
        "Date": "Mon, 30 Nov 2026 12:00:10 +0000",
        "Message-ID": f"<{ID}@mx.example.org>",
        "Auto-Submitted": "auto-replied",
        "In-Reply-To": "<a@b.example>",
        "References": "<a@b.example>",
        "MIME-Version": "1.0",
        "Content-Type": report.header["Content-Type"],
    }


@pytest.mark.req("RFC5322-2.2.3-01/client")
@given(st.text(st.sampled_from("abü \t=?_"), max_size=300))
def test_the_fields_of_the_header_are_folded_and_ascii(subject: str) -> None:
    content = f"Subject: {subject}\r\nMessage-ID: <{'a' * 300}@b.example>\r\n\r\n".encode()
    queued = REPORTER.report(
        message(size=len(content)), [settlement(FAILED)], content, now=T, report_id=ID
    )
    assert queued is not None and isinstance(queued.content, bytes)
    lines = queued.content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(line.isascii() and len(line) <= 998 for line in lines)
    assert all(len(line) <= 78 or b" " not in line.partition(b": ")[2].strip() for line in lines)


@pytest.mark.req("RFC5322-3.6.4-01")
def test_ids_of_reports_are_unique_and_have_the_form_of_a_message_id() -> None:
    ids = {make_id(T, random.randbytes(10)) for random in map(Random, range(10_000))}
    assert len(ids) == 10_000
    report = REPORTER.report(message(), [settlement(FAILED)], b"", now=T, report_id=ID)
    assert re.fullmatch(r"<[a-z0-9]+@mx\.example\.org>", read(report).header["Message-ID"])


def test_the_subject_tells_the_worst_of_what_is_reported() -> None:
    every = set(Notify) - {Notify.NEVER}
    delivered, relayed, delayed, failed = (
        settlement(decision, notify=every) for decision in (DELIVERED, RELAYED, DELAYED, FAILED)
    )
    assert made(delivered, relayed, delayed, failed).header["Subject"] == "Not delivered: Lunch"
    assert made(delivered, delayed).header["Subject"] == "Delayed: Lunch"
    assert made(delivered, relayed).header["Subject"] == "Passed on: Lunch"
    assert made(delivered, content=b"").header["Subject"] == "Delivered"


WHOLE, HEADER = "message/rfc822", "text/rfc822-headers"


@pytest.mark.req("RFC3461-6.2-02", "RFC6522-3-02", "RFC6522-4-01", "RFC8689-5-02")
@pytest.mark.parametrize(
    ("decision", "parameters", "size", "kind"),
    [
        (FAILED, MailParameters(ret=Ret.FULL), 0, WHOLE),
        (FAILED, MailParameters(ret=Ret.HDRS), 0, HEADER),
        (FAILED, MailParameters(), 0, WHOLE),
        (FAILED, MailParameters(ret=Ret.FULL), 70_000, HEADER),
        (FAILED, MailParameters(ret=Ret.FULL, requiretls=True), 0, HEADER),
        (DELAYED, MailParameters(ret=Ret.FULL), 0, HEADER),
    ],
)
def test_the_message_is_returned_whole_if_it_failed_and_is_small_and_the_sender_agrees(
    decision: Decision, parameters: MailParameters, size: int, kind: str
) -> None:
    content = CONTENT + b"x\r\n" * size
    report = made(settlement(decision), content=content, parameters=parameters)
    assert report.parts[2].type == kind
    header = content.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert report.returned == (content if kind == WHOLE else header)


@pytest.mark.req("RFC6522-3-02")
def test_without_ret_an_option_decides_what_is_returned() -> None:
    reporter = evolve(REPORTER, returned=Ret.HDRS)
    one = message(size=len(CONTENT))
    queued = reporter.report(one, [settlement(FAILED)], CONTENT, now=T, report_id=ID)
    assert read(queued).parts[2].type == HEADER


@pytest.mark.req("RFC6533-4.5-01", "RFC6531-3.2-09")
@pytest.mark.parametrize(
    ("content", "ret", "sender", "kind", "encoding"),
    [
        ("Subject: für\r\n\r\nx\r\n", Ret.FULL, "ann@a.example", "message/global", "base64"),
        ("Subject: ü\r\n\r\n", Ret.HDRS, "ann@a.example", "message/global-headers",
         "quoted-printable"),
        ("Subject: für\r\n\r\nx\r\n", Ret.FULL, "jö@a.example", "message/global", "8bit"),
        ("Subject: für\r\n\r\nx\r\n", Ret.HDRS, "jö@a.example", "message/global-headers", "8bit"),
        ("Subject: x\r\n\r\nfür\r\n", Ret.FULL, "ann@a.example", "message/global", "base64"),
        ("Subject: x\r\n\r\nfür\r\n", Ret.FULL, "jö@a.example", "message/rfc822", "8bit"),
        ("Subject: x\r\n\r\n\0\r\n", Ret.FULL, "ann@a.example", "message/global", "base64"),
    ],
)  # fmt: skip
def test_what_is_returned_is_in_ascii_unless_the_way_back_has_smtputf8(
    content: str, ret: Ret, sender: str, kind: str, encoding: str
) -> None:
    parameters = MailParameters(ret=ret, smtputf8=True)
    report = made(
        settlement(FAILED, to="bö@b.example"),
        content=content.encode(),
        sender=ReversePath.of(sender),
        parameters=parameters,
    )
    assert report.parts[2][:2] == (kind, encoding)
    status = (
        "message/global-delivery-status" if sender == "jö@a.example" else "message/delivery-status"
    )
    assert report.parts[1].type == status
    (recipient,) = report.status.recipients
    assert recipient.final_recipient.type == "utf-8"
    assert recipient.final_recipient.path == "bö@b.example"


@given(st.integers(1, 60), st.integers(0, 2))
def test_of_a_large_header_only_whole_fields_are_returned(number: int, spare: int) -> None:
    fields = [b"X-%d: %s\r\n folded\r\n" % (at, b"x" * 900) for at in range(number)]
    content = b"".join(fields) + b"\r\n" + b"body\r\n" * spare
    one = message(size=len(content), parameters=MailParameters(ret=Ret.HDRS))
    assert REPORTER.octets_needed(one, [settlement(FAILED)]) == MAX_HEADER
    queued = REPORTER.report(one, [settlement(FAILED)], content[:MAX_HEADER], now=T, report_id=ID)
    returned = read(queued).returned
    whole = returned.count(b"X-")
    assert returned == b"".join(fields[:whole])
    assert whole == number or len(returned) + 2 * len(fields[0]) > MAX_HEADER


@pytest.mark.req("RFC8689-5-01", "RFC6710-4.6-01")
def test_a_report_requires_tls_and_has_the_priority_as_the_message_had() -> None:
    parameters = MailParameters(requiretls=True, mt_priority=-3)
    for given_parameters in (parameters, MailParameters()):
        one = message(parameters=given_parameters)
        queued = REPORTER.report(one, [settlement(FAILED)], b"", now=T, report_id=ID)
        assert queued is not None
        assert queued.message.parameters == given_parameters


# -- what it says to programs --------------------------------------------------------------------


def recipient_of(*settlements: Settlement, **changes: Any) -> Any:
    return made(*settlements, **changes).status.recipients[0]


@pytest.mark.req(
    "RFC3461-6.3-01",
    "RFC3461-6.3-03",
    "RFC3461-6.3-07",
    "RFC3464-2.3.1-01",
    "RFC3464-2.2.1-01",
    "RFC3461-9.1-01",
    "RFC3464-2.3.2-01",
)
def test_envid_and_orcpt_are_repeated_decoded_and_only_if_they_were_given() -> None:
    status = made(
        settlement(FAILED, to="Joe.B@X.example", orcpt=ORCPT),
        parameters=MailParameters(envid="AbC d"),
    ).status
    (recipient,) = status.recipients
    assert recipient.original_recipient is not None
    original, final = recipient.original_recipient, recipient.final_recipient
    assert status.envelope_id == "AbC d"
    assert (original.type, original.value) == ("RFC822", "Bob+X@B.example")
    assert (final.type, final.value) == ("rfc822", "Joe.B@X.example")
    plain = made(settlement(FAILED))
    assert b"Original-" not in plain.parts[1].body


@pytest.mark.req("RFC3461-6.3-02", "RFC3461-6.3-08")
@pytest.mark.parametrize(
    ("hostname", "kind"),
    [("mx.example.org", "dns"), ("[192.0.2.1]", "dns"), ("localhost", "x-local-hostname")],
)
def test_the_reporting_server_is_of_type_dns_only_with_a_full_name(
    hostname: str, kind: str
) -> None:
    queued = Reporter(hostname=hostname).report(
        message(), [settlement(FAILED)], b"", now=T, report_id=ID
    )
    reporting = read(queued).status.reporting_mta
    assert reporting is not None and (reporting.type, reporting.value) == (kind, hostname)


@pytest.mark.req("RFC3461-6.3-05", "RFC3461-9.2-01")
def test_the_server_that_refused_is_named_and_its_reply_repeated_line_by_line() -> None:
    report = made(settlement(FAILED, attempt=REFUSED))
    (recipient,) = report.status.recipients
    assert recipient.remote_mta is not None and recipient.diagnostic_code is not None
    assert (recipient.remote_mta.type, recipient.remote_mta.value) == ("dns", "mx.b.example")
    assert recipient.diagnostic_code.reply == REFUSED.reply
    lines = b"smtp; 550-5.1.1 no such user\r\n 550 5.1.1 see http://b.example\r\n"
    assert b"Diagnostic-Code: " + lines in report.parts[1].body


@pytest.mark.req("RFC3464-2.3.5-01", "RFC3464-2.3.7-01")
def test_without_an_attempt_no_server_no_answer_and_no_date_of_one_are_named() -> None:
    recipient = recipient_of(settlement(FAILED))
    assert recipient.remote_mta is recipient.diagnostic_code is recipient.last_attempt is None


@pytest.mark.req("RFC3464-2.3.5-01")
@pytest.mark.parametrize(
    "attempt",
    [
        Attempt(at=T, result=Result.UNREACHED, host="mx.b.example", error="connection refused"),
        Attempt(at=T, result=Result.UNREACHED, error="no MX", reply=Reply(550, "5.4.4", "no MX")),
        Attempt(at=T, result=Result.REFUSED, host="lmtp", address="/run/lmtp", reply=REFUSED.reply),
    ],
)
def test_a_server_that_did_not_answer_is_not_named(attempt: Attempt) -> None:
    assert recipient_of(settlement(FAILED, attempt=attempt)).remote_mta is None


def test_a_reply_that_no_server_sent_is_not_given_as_one_of_smtp() -> None:
    reply = Reply(550, "5.1.2", "The domain b.example does not exist")
    attempt = Attempt(at=T, result=Result.UNREACHED, reply=reply)
    recipient = recipient_of(settlement(FAILED, attempt=attempt))
    assert recipient.status == reply.enhanced
    assert recipient.diagnostic_code == TypedValue("x-smtpproto", str(reply))


def reply_of(code: int, enhanced: str | None) -> Attempt:
    return evolve(REFUSED, reply=Reply(code, enhanced, "no"))


@pytest.mark.req("RFC3461-6.3-06")
@pytest.mark.parametrize(
    ("decision", "code", "enhanced", "status"),
    [
        (FAILED, 550, "5.7.1", "5.7.1"),
        (FAILED, 550, None, "5.0.0"),
        (FAILED, 450, None, "4.0.0"),
        (DELAYED, 451, None, "4.0.0"),
        (DELAYED, 452, "4.2.2", "4.2.2"),
        (DELAYED, 550, "5.1.1", "4.0.0"),
        (Done(Fate.EXPIRED), 452, "4.2.2", "4.4.7"),
        (DELIVERED, 250, "2.1.5", "2.1.5"),
        (RELAYED, 250, None, "2.0.0"),
    ],
)
def test_the_status_is_the_code_of_the_reply_or_that_of_its_class(
    decision: Decision, code: int, enhanced: str | None, status: str
) -> None:
    notify = {Notify.SUCCESS, Notify.FAILURE, Notify.DELAY}
    one = settlement(decision, notify=notify, attempt=reply_of(code, enhanced))
    assert str(recipient_of(one).status) == status


@pytest.mark.req("RFC2852-4.1.3-01", "RFC2852-4.1.3-02")
def test_a_message_that_misses_its_time_has_status_4_7_with_the_class_of_its_mode() -> None:
    told = []
    for mode in "RN":
        parameters = MailParameters(by=DeliverBy.parse(f"600;{mode}"))
        expires = RetrySchedule().expires(ReversePath.of("ann@a.example"), parameters, T)
        late: dict[str, Any] = {"parameters": parameters, "expires": expires}
        attempt = reply_of(452, "4.2.2")
        one = settlement(FAILED).delivery
        decision = Judge().decide(message(**late), one, attempt, now=T + 600, chance=0.5)
        report = made(settlement(decision, attempt=attempt), **late)
        (recipient,) = report.status.recipients
        told.append((type(decision), recipient.action, str(recipient.status)))
        assert report.status.others == (("Deliver-By-Date", "Mon, 30 Nov 2026 12:10:00 +0000"),)
    assert told == [(Done, Action.FAILED, "5.4.7"), (Later, Action.DELAYED, "4.4.7")]


@pytest.mark.req("RFC3464-2.3.9-01")
def test_only_a_delay_says_until_when_the_message_is_tried() -> None:
    assert recipient_of(settlement(DELAYED)).will_retry_until == T + 432_000
    for decision in (FAILED, DELIVERED):
        one = settlement(decision, notify={Notify.SUCCESS, Notify.FAILURE})
        assert recipient_of(one).will_retry_until is None


@pytest.mark.req("RFC4865-5.1.2-01", "RFC3464-2.2.5-01")
def test_a_message_for_later_is_reported_with_its_arrival_and_what_was_asked() -> None:
    until = read_timestamp("2026-12-01T12:00:00Z")
    for parameters, asked in (
        (MailParameters(hold_for=3600), "for;3600"),
        (MailParameters(hold_until=until), "until;2026-12-01T12:00:00Z"),
    ):
        report = made(settlement(FAILED), parameters=parameters)
        assert report.status.others == (("Future-Release-Request", asked),)
        assert b"\r\nArrival-Date: Mon, 30 Nov 2026 12:00:00 +0000\r\n" in report.parts[1].body


@pytest.mark.req("RFC3464-2.2.4-01")
def test_the_client_is_named_from_the_received_field_of_this_server_only() -> None:
    for by, name in (("mx.example.org", "c.example ([192.0.2.7])"), ("other.example", None)):
        content = f"Received: from c.example ([192.0.2.7])\r\n\tby {by}\r\n\twith SMTP; x\r\n\r\n"
        found = made(settlement(FAILED), content=content.encode()).status.received_from
        assert (None if found is None else found.value) == name


@pytest.mark.req("RFC5321-6.1-03", "RFC5321-C-07")
def test_the_route_in_a_sender_is_not_followed() -> None:
    sender = ReversePath.parse("<@x.example,@y.example:ann@a.example>")
    one = message(sender=sender)
    queued = REPORTER.report(one, [settlement(FAILED)], b"", now=T, report_id=ID)
    assert queued is not None and queued.deliveries[0].recipient == "ann@a.example"


def test_octets_are_asked_for_only_as_far_as_they_are_returned() -> None:
    small, large = message(size=1000), message(size=10**9)
    assert REPORTER.octets_needed(small, [settlement(FAILED)]) == 1000
    assert REPORTER.octets_needed(large, [settlement(FAILED)]) == MAX_HEADER
    assert REPORTER.octets_needed(small, [settlement(DELAYED)]) == MAX_HEADER
    assert REPORTER.octets_needed(small, [settlement(DELIVERED)]) == 0


def test_a_settlement_without_a_report_cannot_be_put_into_one() -> None:
    with pytest.raises(ValueError, match="no report is due for bob"):
        REPORTER.status(message(), [settlement(DELIVERED)])
