"""All checks of one message, and the replies that follow from them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError, ReversePath
from smtpproto.dns import Kind, Status
from smtpproto.policy import (
    AuthenticationResults,
    DKIMCheck,
    DKIMResult,
    DMARCResult,
    Inspection,
    MessageCheck,
    MessageVerifier,
    SPFRequest,
    SPFResult,
)
from smtpproto.testing import Mood, Zone

from .dmarc_zones import check as dmarc_check
from .dmarc_zones import dkim, spf
from .dmarc_zones import zone as dmarc_zone
from .signing import KEYS, MESSAGE, NOW, run, sign, zone


def example(policy: str = "reject", spf_record: str = "v=spf1 ip4:192.0.2.1 -all") -> Zone:
    found = zone()
    found.records["_dmarc.example.org"] = {Kind.TXT: [f"v=DMARC1; p={policy}".encode()]}
    found.records["example.org"] = {Kind.TXT: [spf_record.encode()]}
    return found


def request(client: str = "192.0.2.1", sender: str = "ann@example.org") -> SPFRequest:
    return SPFRequest(client=client, helo="mx.test", sender=sender, now=NOW)


def checked(
    message: bytes, who: SPFRequest | None = None, resolver: Zone | None = None, size: int = 100
) -> MessageCheck:
    verifier = MessageVerifier(who)
    for start in range(0, len(message), size):
        verifier.feed(message[start : start + size])
    return run(verifier.check(resolver or example(), KEYS, now=NOW))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_spf_dkim_and_dmarc_are_checked_from_slices(size: int) -> None:
    check = checked(sign(), request(), size=size)
    assert check.spf is not None
    assert check.spf.result is SPFResult.PASS
    assert [it.result for it in check.dkim] == [DKIMResult.PASS]
    assert (check.dmarc.result, check.dmarc.author) == (DMARCResult.PASS, "example.org")
    assert (check.dmarc.is_aligned("spf"), check.dmarc.is_aligned("dkim")) == (True, True)
    assert check.refusal() is None


def test_the_field_has_the_results_of_all_checks() -> None:
    field = checked(sign(), request("198.51.100.9")).authentication_results("mx.example.net")
    assert field.startswith(b"Authentication-Results: mx.example.net;\r\n spf=fail reason=")
    read = AuthenticationResults.parse(field.decode().partition(":")[2].removesuffix("\r\n"))
    assert [(it.method, it.result) for it in read.results] == [
        ("spf", "fail"), ("dkim", "pass"), ("dmarc", "pass"),
    ]  # fmt: skip


def test_without_an_address_spf_is_left_out() -> None:
    check = checked(MESSAGE)
    assert (check.spf, check.dmarc.result) == (None, DMARCResult.FAIL)
    reply = check.refusal()
    assert reply is not None
    assert "SPF: none; DKIM: none." in reply.text


@pytest.mark.parametrize(
    "header", [b"", b"From: a b\r\n", b"From: a@b.test\r\nFrom: c@d.test\r\n", b"no field\r\n"]
)
def test_a_message_without_an_author_is_refused(header: bytes) -> None:
    check = checked(header + b"\r\nhello\r\n", request())
    assert check.dmarc.result is DMARCResult.PERMERROR
    reply = check.refusal()
    assert reply is not None
    assert (reply.code, str(reply.enhanced)) == (550, "5.7.1")
    assert "Write one From field" in reply.text


def test_the_refusal_says_what_failed_and_what_to_do() -> None:
    reply = checked(MESSAGE, request("198.51.100.9", "bob@other.test")).refusal()
    assert reply is not None
    assert bytes(reply).decode().splitlines() == [
        "550-5.7.26 example.org does not answer for this message, and the DMARC record of"
        " example.org asks to",
        "550-5.7.26 refuse it. SPF: none for other.test; DKIM: none.",
        "550 5.7.26 Sign it with DKIM for example.org, or send it from a host that SPF allows for"
        " example.org",
    ]


def test_the_refusal_by_spf_tells_what_the_domain_says() -> None:
    found = example("none", "v=spf1 exp=why.example.org -all")
    found.records["why.example.org"] = {Kind.TXT: [b"ask %{l}"]}
    check = checked(MESSAGE, request("198.51.100.9"), found)
    assert bytes(check.refusal() or b"").decode().splitlines() == [
        "550-5.7.23 198.51.100.9 may not send mail for example.org, says its SPF record",
        "550 5.7.23 The domain example.org explains: ask ann",
    ]
    assert check.refusal(spf=False) is None


@pytest.mark.parametrize(
    ("dmarc_record", "sender", "signatures", "expected"),
    [
        ("v=DMARC1; p=reject", SPFResult.FAIL, [], "5.7.26"),
        ("v=DMARC1; p=reject; t=y", SPFResult.SOFTFAIL, [], None),
        ("v=DMARC1; p=quarantine", SPFResult.SOFTFAIL, [], None),
        ("v=DMARC1; p=quarantine", SPFResult.FAIL, [], "5.7.23"),
        ("v=DMARC1; p=reject", SPFResult.FAIL, [dkim("a.test")], None),
        ("v=DMARC1; p=reject", SPFResult.TEMPERROR, [], None),
        ("v=spf1", SPFResult.FAIL, [dkim("a.test")], "5.7.23"),
    ],
)
def test_what_is_refused(
    dmarc_record: str, sender: SPFResult, signatures: list[object], expected: str | None
) -> None:
    by_spf = spf("a.test", sender)
    result = dmarc_check("a.test", dmarc_zone({"a.test": dmarc_record}), by_spf, signatures)  # type: ignore[arg-type]
    check = MessageCheck(spf=by_spf, dmarc=result)
    reply = check.refusal()
    assert (None if reply is None else str(reply.enhanced)) == expected
    assert Inspection().refusal(check) is None
    for code, followed in [
        ("5.7.26", Inspection(refuse_dmarc=True)),
        ("5.7.23", Inspection(refuse_spf=True)),
    ]:
        one = followed.refusal(check)
        assert one is None or str(one.enhanced) == code


@pytest.mark.req("RFC9989-5.4-01")
def test_a_policy_of_none_refuses_nothing() -> None:
    check = checked(MESSAGE, request("198.51.100.9"), example("none", "v=spf1 ~all"))
    assert check.dmarc.result is DMARCResult.FAIL
    assert check.refusal() is None


def test_failures_of_the_dns_are_temporary_errors_and_refuse_nothing() -> None:
    found = example()
    for name in ["example.org", "_dmarc.example.org", "e._domainkey.example.org"]:
        found.moods[name] = Mood(Status.FAILED)
    check = checked(sign(), request(), found)
    assert check.refusal() is None
    field = check.authentication_results("mx.test")
    assert field.count(b"=temperror") == 3
    deferred = Inspection(defer=True).refusal(check)
    assert bytes(deferred or b"").decode().splitlines() == [
        "451-4.4.3 no answer of the DNS for _dmarc.example.org: failed: the zone's mood: failed",
        "451 4.4.3 Try again later",
    ]
    assert Inspection(defer=True).refusal(checked(MESSAGE, request())) is None


def test_a_check_that_took_too_long_is_a_temporary_error() -> None:
    check = MessageCheck.given_up(request(), "took longer than 30 seconds")
    assert check.refusal() is None
    assert check.authentication_results("mx.test").count(b"=temperror") == 2
    assert MessageCheck.given_up(None, "x").spf is None


def test_a_header_section_without_end_is_refused() -> None:
    verifier = MessageVerifier(None)
    with pytest.raises(GrammarError, match="header section of more than"):
        for _ in range(20):
            verifier.feed(b"x" * 65536)


hostile = st.text(alphabet=st.sampled_from('a\r\n"\\;.@ \x00\xe9=()<>'), max_size=40)


@given(hostile, hostile, hostile, st.binary(max_size=60))
def test_nothing_that_a_stranger_writes_leaves_its_place(
    helo: str, sender: str, author: str, body: bytes
) -> None:
    message = b"From: <" + author.encode() + b"@example.org>\r\n\r\n" + body
    who = SPFRequest(client=ip_address("192.0.2.1"), helo=helo, sender=sender, now=NOW)
    check = checked(message, who)
    field = check.authentication_results("mx.test")
    assert field.endswith(b"\r\n")
    assert all(line[:1] == b" " for line in field[:-2].split(b"\r\n")[1:])
    AuthenticationResults.parse(field.decode().partition(":")[2].removesuffix("\r\n"))
    if (reply := check.refusal()) is not None:
        assert bytes(reply).isascii()


def test_the_null_sender_is_checked_by_the_name_in_helo() -> None:
    found = example()
    found.records["mx.example.org"] = {Kind.TXT: [b"v=spf1 ip4:192.0.2.1 -all"]}
    who = SPFRequest(client="192.0.2.1", helo="mx.example.org", sender=ReversePath(None), now=NOW)
    check = checked(MESSAGE, who, found)
    assert (check.dmarc.result, check.dmarc.is_aligned("spf")) == (DMARCResult.PASS, True)


@pytest.mark.req("RFC7208-2.4-02")
def test_the_sender_is_checked_although_the_name_in_helo_would_pass() -> None:
    found = example(spf_record="v=spf1 -all")
    found.records["mx.test"] = {Kind.TXT: [b"v=spf1 ip4:192.0.2.1 -all"]}
    check = checked(MESSAGE, request("192.0.2.1"), found)
    assert check.spf is not None
    assert (check.spf.identity, check.spf.result) == ("mailfrom", SPFResult.FAIL)


@pytest.mark.req("RFC7208-8.2-01")
@pytest.mark.parametrize("signatures", [[], [dkim("a.test")], [dkim("b.test")]])
def test_neutral_is_treated_as_none(signatures: list[DKIMCheck]) -> None:
    outcomes = []
    for result in (SPFResult.NEUTRAL, SPFResult.NONE):
        sender = spf("a.test", result)
        records = dmarc_zone({"a.test": "v=DMARC1; p=reject"})
        found = dmarc_check("a.test", records, sender, signatures)
        reply = MessageCheck(spf=sender, dmarc=found).refusal()
        outcomes.append((found.result, found.disposition, reply and reply.enhanced))
    assert outcomes[0] == outcomes[1]
