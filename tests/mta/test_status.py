"""The fields of message/delivery-status: what is written is read again (RFC 3464 2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.reply import EnhancedCode, Reply
from smtpproto.mta.status import Action, DeliveryStatus, RecipientStatus, TypedValue
from smtpproto.testing.strategies import enhanced_codes, forward_paths, original_recipients

from .settled import TEXTS, TIMES

ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
TYPES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9.-]{0,20}\Z").filter(
    lambda it: it.lower() != "utf-8"
)
NAMES = st.from_regex(r"\AX-[!-9;-~]{1,30}\Z")


def stripped(texts: SearchStrategy[str]) -> SearchStrategy[str]:
    return texts.map(lambda text: text.strip())


def typed(texts: SearchStrategy[str]) -> SearchStrategy[TypedValue]:
    return st.builds(TypedValue, TYPES, stripped(texts))


def diagnostics(texts: SearchStrategy[str]) -> SearchStrategy[TypedValue]:
    line = texts.map(lambda text: f"550 {text}")
    lines = st.lists(line, min_size=1, max_size=3).map("\n".join)
    return st.builds(TypedValue, TYPES, stripped(lines))


def recipients() -> SearchStrategy[TypedValue]:
    paths = forward_paths(smtputf8=True)
    of_path = paths.map(lambda it: TypedValue("rfc822" if it.isascii else "utf-8", str(it)))
    orcpt = original_recipients().map(lambda it: TypedValue(it.addr_type, it.address.strip(" ")))
    return of_path | orcpt


def damaged(octets: bytes) -> SearchStrategy[bytes]:
    places = st.integers(0, len(octets))
    return places.map(lambda at: octets[:at] + b"\xff" + octets[at + 3 :])


def statuses(texts: SearchStrategy[str]) -> SearchStrategy[DeliveryStatus]:
    """Statuses with *texts* where not only ASCII may stand."""
    times = st.none() | TIMES
    others = st.lists(st.tuples(NAMES, stripped(texts)), max_size=3).map(tuple)
    recipient = st.builds(
        RecipientStatus,
        final_recipient=recipients(),
        action=st.sampled_from(Action),
        status=enhanced_codes(),
        original_recipient=st.none() | recipients(),
        remote_mta=st.none() | typed(texts),
        diagnostic_code=st.none() | diagnostics(texts),
        last_attempt=times,
        final_log_id=stripped(texts),
        will_retry_until=times,
        others=others,
    )
    return st.builds(
        DeliveryStatus,
        reporting_mta=typed(texts),
        recipients=st.lists(recipient, min_size=1, max_size=3).map(tuple),
        envelope_id=stripped(texts),
        gateway=st.none() | typed(texts),
        received_from=st.none() | typed(texts),
        arrival=times,
        others=others,
    )


@given(statuses(ASCII))
def test_a_status_is_read_as_it_was_written_and_is_ascii(status: DeliveryStatus) -> None:
    octets = bytes(status)
    assert octets.isascii() and DeliveryStatus.parse(octets) == status
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert len(re.findall(rb"(?m)^Final-Recipient:", octets)) == octets.count(b"\r\n\r\n")


@given(statuses(TEXTS))
def test_a_status_in_utf8_is_read_as_it_was_written(status: DeliveryStatus) -> None:
    octets = status.write(utf8=True)
    assert DeliveryStatus.parse(octets) == status
    assert max(map(len, octets.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("at", range(236, 245))
def test_a_blank_where_a_long_address_is_cut_is_kept(at: int) -> None:
    value = TypedValue("utf-8", "é".ljust(at, "x") + " " + "x" * 20)
    recipient = RecipientStatus(
        final_recipient=value, action=Action.FAILED, status=EnhancedCode(5, 0, 0)
    )
    status = DeliveryStatus(reporting_mta=TypedValue("dns", "a.example"), recipients=(recipient,))
    assert DeliveryStatus.parse(status.write(utf8=True)) == status


@given(statuses(TEXTS))
def test_a_status_without_smtputf8_is_ascii_and_keeps_all_addresses(status: DeliveryStatus) -> None:
    read = DeliveryStatus.parse(bytes(status))
    assert bytes(status).isascii()
    for ours, theirs in zip(status.recipients, read.recipients, strict=True):
        assert ours.final_recipient == theirs.final_recipient
        assert ours.original_recipient == theirs.original_recipient


@given(st.binary() | statuses(TEXTS).map(bytes).flatmap(damaged))
def test_any_octets_are_read_without_an_error_or_refused_with_one_of_ours(octets: bytes) -> None:
    status = DeliveryStatus.read(octets)
    if status.faults:
        with pytest.raises(GrammarError):
            DeliveryStatus.parse(octets)
    else:
        assert status.recipients and status.reporting_mta


GOOD = (
    b"Reporting-MTA: dns; mx.example.org\r\n\r\n"
    b"Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
)


@pytest.mark.req("RFC3464-2.3.3-01", "RFC3464-2.3.4-01")
@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"5.1.1", b"5.01.1", "Status"),
        (b"5.1.1", b"3.1.1", "Status"),
        (b"5.1.1", b"5.1.1 no user", "Status"),
        (b"failed", b"bounced", "Action"),
        (b"failed", b"", "Action"),
        (b"Action: failed\r\n", b"", "Action"),
        (b"Status: 5.1.1\r\n", b"", "Status"),
        (b"rfc822; ", b"", "type"),
        (b"Reporting-MTA: dns; mx.example.org", b"X-Foo: bar", "Reporting-MTA"),
        (b"Action", b"Status: 5.0.0\r\nAction", "twice"),
        (b"\r\n\r\n", b"\r\n", "first"),
        (
            b"Action", b"Last-Attempt-Date: 1 Jan 2026 00:00:00 -99999999999999\r\nAction",
            "not a date-time",
        ),
        (b"Action", b"a stray line\r\nAction", "stray"),
    ],
)  # fmt: skip
def test_a_status_that_breaks_the_rfc_is_refused_and_the_fault_named(
    old: bytes, new: bytes, fault: str
) -> None:
    DeliveryStatus.parse(GOOD)
    with pytest.raises(GrammarError, match=fault):
        DeliveryStatus.parse(GOOD.replace(old, new, 1))


def test_text_without_blanks_is_cut_before_a_line_is_too_long() -> None:
    for text in ("x" * 5000, "ü" * 5000):
        status = evolve(DeliveryStatus.parse(GOOD), others=(("X-Long", text),))
        octets = status.write(utf8=True)
        assert max(map(len, octets.split(b"\r\n"))) <= 998
        assert DeliveryStatus.parse(octets).others[0][1].replace(" ", "") == text


@pytest.mark.req("RFC3464-2.3.4-01")
def test_a_comment_may_follow_status_and_action() -> None:
    octets = GOOD.replace(b"5.1.1", b"5.1.1 (no user)").replace(b"failed", b"failed (at last)")
    (recipient,) = DeliveryStatus.parse(octets).recipients
    assert (recipient.status, recipient.action) == (EnhancedCode(5, 1, 1), Action.FAILED)


@pytest.mark.req("RFC3464-2.4-01")
def test_unknown_fields_are_kept() -> None:
    octets = GOOD.replace(b"\r\n\r\n", b"\r\nX-Foo: a\r\n b\r\n\r\nNew-Field: c\r\n")
    status = DeliveryStatus.parse(octets)
    assert status.others == (("X-Foo", "a b"),)
    assert status.recipients[0].others == (("New-Field", "c"),)


@pytest.mark.parametrize(
    ("fields", "status", "action"),
    [
        ("Status: 5.01.1", "5.1.1", "failed"),
        ("Status: 4.4.1 no answer", "4.4.1", "delayed"),
        ("Diagnostic-Code: smtp; 550 5.7.1 no", "5.7.1", "failed"),
        ("Diagnostic-Code: smtp; 452 full", "4.0.0", "delayed"),
        ("Diagnostic-Code: smtp; 250 ok", "2.0.0", "delivered"),
        ("Action: delayed", "4.0.0", "delayed"),
        ("Action: Relayed", "2.0.0", "relayed"),
        ("Action: failed,", "5.0.0", "failed"),
        ("X: y", "5.0.0", "failed"),
    ],
)
def test_a_missing_status_or_action_follows_from_what_is_there(
    fields: str, status: str, action: str
) -> None:
    octets = f"Reporting-MTA: dns; a\n\nFinal-Recipient: <bob@b.example>\n{fields}\n".encode()
    (recipient,) = DeliveryStatus.read(octets).recipients
    assert (str(recipient.status), recipient.action.value) == (status, action)
    assert recipient.final_recipient.path == "bob@b.example"


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("550-5.1.1 a\n550 5.1.1 b", Reply(550, "5.1.1", ["a", "b"])),
        ("451 later", Reply(451, None, "later")),
        ("cannot connect", None),
    ],
)
def test_a_diagnostic_of_type_smtp_is_a_reply(value: str, reply: Any) -> None:
    assert TypedValue("SMTP", value).reply == reply
    assert TypedValue("x-unix", value).reply is None


def test_the_address_of_a_recipient_is_the_one_that_the_sender_used() -> None:
    octets = GOOD.replace(b"Final", b"Original-Recipient: rfc822;B@c.example\r\nFinal")
    (recipient,) = DeliveryStatus.parse(octets).recipients
    assert recipient.address == "B@c.example"
    assert recipient.final_recipient.path == ForwardPath.of("bob@b.example")
