"""What the doctor says about a message at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind
from smtpproto.doctor import Finding, Severity, Subject
from smtpproto.doctor.received_path import Hop
from smtpproto.policy import DKIM, ARCCheck, ARCResult, ARCSealer, SPFRequest
from tests.doctor.healthy import DOMAIN, SELECTOR, SIGNING_KEY, World
from tests.doctor.messages import MAILING, NOW, PLAIN, RECEIVED, examine, signed

_OK, _NOTE, _WARNING, _ERROR = Severity


def _one(message: bytes, subject: Subject, world: World | None = None) -> Finding:
    [found] = examine(message, world).of(subject)
    return found


def test_a_message_in_order_is_taken_by_all_receivers() -> None:
    examination = examine(signed(PLAIN + MAILING))
    assert examination.worst is _OK, str(examination)
    receivers = {it.about for it in examination.of(Subject.RECEIVER)}
    assert receivers == {"Gmail", "Outlook.com", "Yahoo"}
    [signature] = examination.of(Subject.DKIM)
    assert "passes (rsa-sha256, 2048 bits, aligned with the From field)" in signature.what


@pytest.mark.parametrize(
    ("old", "new", "subject", "what"),
    [
        (b"hello\r\n", b"hello!\r\n", Subject.DKIM, "fail"),
        (b"s=s1", b"s=s9", Subject.DKIM, "permerror"),
        (b"Subject: hello", b"Subject: bye", Subject.DKIM, "fail"),
        (b"[198.51.100.1]", b"[192.0.2.200]", Subject.SPF, "fail for 192.0.2.200"),
        (b"[198.51.100.1]", b"[192.0.2.200]", Subject.PTR, "no name"),
    ],
)
def test_a_changed_message_is_an_error(old: bytes, new: bytes, subject: Subject, what: str) -> None:
    message = signed()
    at = message.rindex(old)
    found = _one(message[:at] + new + message[at + len(old) :], subject)
    assert found.severity is _ERROR and what in found.what and found.why and found.mend


def test_an_unsigned_message_that_spf_does_not_allow_fails_dmarc() -> None:
    request = SPFRequest(client="192.0.2.9", helo="x.test", sender="ann@example.org", now=NOW)
    examination = examine(PLAIN + b"\r\nhello\r\n", request=request)
    [dmarc] = examination.of(Subject.DMARC)
    assert dmarc.severity is _ERROR and "asks to reject" in dmarc.why
    gmail, outlook, _ = examination.of(Subject.RECEIVER)
    assert gmail.severity is _ERROR and "550 5.7.26" in gmail.what and "5.7.25" in gmail.what
    assert outlook.severity is _WARNING and "550 5.7.515" in outlook.what


def test_the_client_is_known_although_the_message_ends_in_its_header_section() -> None:
    spf = _one(RECEIVED + PLAIN, Subject.SPF)
    assert spf.severity is _OK and "pass for 198.51.100.1" in spf.what


def test_a_signature_of_a_stranger_is_not_aligned() -> None:
    message = signed().replace(b"From: Ann <ann@example.org>", b"From: Ann <ann@example.net>")
    dmarc = _one(message, Subject.DMARC)
    assert dmarc.severity is _ERROR and "DMARC record" in dmarc.what


def test_a_message_with_two_authors_fields_cannot_be_told_of() -> None:
    dmarc = _one(b"From: a@example.org\r\n" + signed(before=b""), Subject.DMARC)
    assert dmarc.severity is _ERROR and "2 From fields" in dmarc.what


def test_the_key_in_testing_mode_is_a_note() -> None:
    world = World()
    name = f"{SELECTOR}._domainkey.{DOMAIN}"
    records = world.zone.records[name]
    assert not isinstance(records, str)
    [record] = records[Kind.TXT]
    assert isinstance(record, bytes)
    world.publish(name, Kind.TXT, record + b"; t=y")
    _, found = examine(signed(), world).of(Subject.DKIM)
    assert found.severity is _NOTE and "testing" in found.what


# -- the way ---------------------------------------------------------------------------------------


def test_the_way_is_told_from_the_first_host_to_the_last() -> None:
    found = _one(signed(), Subject.RECEIVED)
    assert found.what == "2 hops in 2 seconds"
    first, second = found.detail.splitlines()
    assert first.startswith("1. laptop [192.0.2.9] to mx1.example.org with ESMTPSA, 2026-01-01")
    assert second.endswith("00:00:07 UTC (+2 s)")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"00:00:07", b"02:00:07", "waited for 2:00:02"),
        (b"00:00:05", b"01:00:00", "clock of mx.example.com is 3593 seconds behind"),
        (b"with ESMTPS ", b"with ESMTP ", "without TLS (ESMTP)"),
    ],
)
def test_trouble_on_the_way_is_a_note(old: bytes, new: bytes, what: str) -> None:
    _, found = examine(signed().replace(old, new)).of(Subject.RECEIVED)
    assert found.severity is _NOTE and what in found.what


def test_clocks_that_differ_a_little_are_no_trouble() -> None:
    [found] = examine(signed().replace(b"00:00:07", b"00:00:01")).of(Subject.RECEIVED)
    assert found.severity is _OK


def test_a_long_way_is_a_note() -> None:
    [_, found] = examine(signed(before=RECEIVED + RECEIVED.partition(b"\r\n")[2] * 13)).of(
        Subject.RECEIVED
    )[:2]
    assert "very long" in found.what


@pytest.mark.parametrize(
    ("body", "hop"),
    [
        ("by mx.test; nonsense", Hop(by="mx.test")),
        ("from a (b [IPv6:2001:db8::1]) by c", Hop()),
        (
            "from a (b [IPv6:2001:db8::1]) by c with LMTPS; Thu, 1 Jan 1970 00:00:01 GMT",
            Hop(hello="a", address="2001:db8::1", by="c", protocol="LMTPS", at=1.0),
        ),
        ("from x ([999.1.1.1]) by c;", Hop(hello="x", by="c")),
        ("; Thu, 1 Jan 99999999999999999999 00:00:01 GMT", Hop()),
        ("; Thu, 1 Jan 2026 00:00:01 -99999999999999999", Hop()),
        ("", Hop()),
    ],
)
def test_a_received_field_is_read_as_far_as_it_is_usual(body: str, hop: Hop) -> None:
    assert Hop.read(body) == hop


# -- what others say, and lists --------------------------------------------------------------------


def test_results_of_others_are_told() -> None:
    results = b"Authentication-Results: mx.example.com; spf=pass; dkim=fail\r\n"
    broken = b"Authentication-Results: ;;\r\n"
    one, two = examine(results + broken + signed()).of(Subject.AUTHENTICATION_RESULTS)
    assert one.about == "mx.example.com" and one.what.startswith("spf=pass, dkim=fail")
    assert "cannot be read" in two.what


def test_each_host_of_a_chain_is_told_with_what_it_found() -> None:
    message, told = signed(), "mx.lists.test; dmarc=pass header.from=example.org"
    sealing = ARCSealer(DKIM(DOMAIN, selector=SELECTOR, key=SIGNING_KEY)).start()
    sealing.feed(message)
    first = ARCCheck(result=ARCResult.NONE, reason="")
    chain = run(sealing.finish(first, told, now=NOW))
    found = _one(chain + message, Subject.ARC)
    assert found.severity is _NOTE and found.what.startswith("pass: ")
    assert found.detail == f"1: {DOMAIN}, cv=none: {told}"
    assert _one(chain + message + b"more", Subject.ARC).what.startswith("fail: the last message")
    assert examine(message).of(Subject.ARC) == ()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (b"List-Id: <a.example.org>\r\n", "0 fields List-Unsubscribe"),
        (b"Precedence: bulk\r\n", "0 fields List-Unsubscribe"),
        (b"List-Unsubscribe: <mailto:u@example.org>\r\n", "0 fields List-Unsubscribe-Post"),
        (b"List-Unsubscribe: <https://example.org/u>\r\n", "List-Unsubscribe-Post"),
        (MAILING.replace(b"https", b"http"), "0 https: addresses"),
    ],
)
def test_a_mailing_without_one_click_is_a_warning(fields: bytes, what: str) -> None:
    found = _one(signed(PLAIN + fields), Subject.LIST)
    assert found.severity is _WARNING and what in found.what and "Yahoo" in found.why


def test_one_click_must_be_signed() -> None:
    found = _one(MAILING + signed(before=b""), Subject.LIST)
    assert found.severity is _WARNING and "no valid DKIM signature covers" in found.what


# -- anything --------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        RECEIVED, PLAIN, MAILING, b"\r\n", b"\n", b" ", b"\xff", b"From: <@>\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1; h=from; bh=AA==; b=AA==\r\n",
        b"ARC-Seal: i=1; a=rsa-sha256; d=example.org; s=s1; cv=\x1b; b=AA==\r\n",
        b"ARC-Message-Signature: i=1; a=rsa-sha256; d=a.b; s=s1; h=from; bh=AA==; b=AA==\r\n",
        b"ARC-Authentication-Results: i=1; \x1b[1m\r\n",
        b"Received: from \x1b[1m by \x00;\r\n", b"Authentication-Results: a; b=\r\n",
        b"Return-Path: <>\r\n", b"List-Unsubscribe: <<\r\n", b"From: a@b.example, c@d.example\r\n",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(_PIECES, st.binary(max_size=20)), max_size=12).map(b"".join))
def test_any_octets_lead_to_findings_on_printable_lines(message: bytes) -> None:
    try:
        examination = examine(message)
    except GrammarError as error:
        assert str(error).isprintable()
        return
    assert examination.findings
    assert all(line.isprintable() for line in str(examination).split("\n"))


@pytest.mark.parametrize("octets", [b"", b"this is no message\n", b"\n\nFrom: a@b.example\n"])
def test_what_has_no_header_fields_is_no_message(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="not a message: "):
        examine(octets)


def test_a_header_section_without_end_is_refused() -> None:
    with pytest.raises(GrammarError, match="header section"):
        examine(b"X: y\r\n" * 200_000)
