"""Whatever a stranger publishes in the DNS or writes into a message, each check ends with a result,
and asks no more questions than it may."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.adapters.blocking import Runtime
from smtpproto.dns import MX, TLSA, Kind
from smtpproto.policy import (
    DKIM,
    AggregateCounts,
    ARCCheck,
    ARCResult,
    ARCSealer,
    ARCSet,
    ARCVerifier,
    AuthenticationResults,
    DKIMResult,
    MessageVerifier,
    MTASTSCache,
    SPFRequest,
    SPFResult,
    find_dane,
    report_destinations,
    tls_report_uris,
)
from smtpproto.testing import Zone
from smtpproto.testing.strategies import domains
from tests.policy.test_mta_sts_cache import Server

from .any_dns import AnyDNS
from .dmarc_zones import check as dmarc_check
from .dmarc_zones import dkim, spf, zone
from .signing import KEYS, MESSAGE, NOW, ed25519, ed25519_key, run, sign

SPF_QUESTIONS, SIGNATURES, SETS, AUTHORS = 123, 10, 50, 4
WALK = 8
DMARC_QUESTIONS = WALK * (1 + SIGNATURES + 1) + 1  # author, signatures, sender; does it exist?

RECORDS = st.one_of(
    st.sampled_from(
        [
            b"v=spf1 include:a.test mx ptr exists:%{l}.%{d} redirect=b.test",
            b"v=DMARC1; p=reject; psd=y; rua=mailto:a@a.test,mailto:b@b.test",
            b"v=DMARC1; p=\xff; sp=;;rua=mailto:",
            b"v=DKIM1; k=ed25519; p=",
            ed25519_key().record().encode(),
            b"v=STSv1; id=1;",
            b"v=TLSRPTv1; rua=mailto:a@a.test,https://b.test/",
            "192.0.2.1", "2001:db8::1", "junk", "mx.a.test", "x" * 300, "\x00",
            MX(1, "mx.a.test"), MX(1, "\n"), TLSA(3, 1, 1, b"1" * 32), TLSA(9, 9, 9, b""),
        ]
    ),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda octets: b"v=DMARC1;" + octets),
    st.binary(max_size=40).map(lambda octets: b"v=DKIM1; " + octets),
)  # fmt: skip
dns = st.builds(AnyDNS, st.lists(RECORDS, min_size=1, max_size=8), st.integers(0, 2**16))
SIGNED = b"From: a@a.test, b@x.b.test, c@c.test, d@d.test\r\nSubject: x\r\n\r\nbody\r\n"


KEYS_OF_ONE = [DKIM("a.test", selector=f"s{it}", key=ed25519_key()) for it in range(SIGNATURES + 2)]
HOSTILE = sign(SIGNED, *KEYS_OF_ONE)


@given(dns, st.ip_addresses(), st.text(max_size=20), st.text(max_size=20) | st.just("a@a.test"))
def test_whatever_the_dns_answers_a_message_has_its_results(
    found: AnyDNS, client: object, helo: str, sender: str
) -> None:
    verifier = MessageVerifier(SPFRequest(client=str(client), helo=helo, sender=sender, now=NOW))
    verifier.feed(HOSTILE)
    check = run(verifier.check(found, KEYS, now=NOW))
    assert check.spf is not None and check.spf.result in SPFResult
    assert len(check.dkim) == SIGNATURES + 1 and check.dkim[-1].result is DKIMResult.POLICY
    assert len(found.asked) <= SPF_QUESTIONS + SIGNATURES + SETS + 1 + AUTHORS * DMARC_QUESTIONS
    value = check.authentication_results("mx.test").decode().partition(":")[2]
    results = AuthenticationResults.parse(value.removesuffix("\r\n")).results
    assert [it.result for it in results] == [it.result for it in check.results]
    assert all(bytes(it).isascii() for it in [check.refusal()] if it is not None)
    AggregateCounts().add(check)


@given(dns, domains().map(str))
def test_whatever_the_dns_answers_a_host_and_a_domain_have_their_policies(
    found: AnyDNS, name: str
) -> None:
    assert run(find_dane(name, 25, found)).reason.isprintable()
    assert len(found.asked) <= 5
    cache = MTASTSCache(Runtime(), found, server := Server())
    asked = len(found.asked)
    run(cache.find(name, now=0))
    assert (len(found.asked) - asked, len(server.asked) <= 1) == (1, True)


@given(dns, domains().map(str), st.lists(st.text(max_size=30), max_size=3), st.binary(max_size=60))
def test_whatever_the_dns_answers_reports_have_their_destinations(
    found: AnyDNS, name: str, uris: list[str], octets: bytes
) -> None:
    uris += ["mailto:a@a.test", "mailto:a@x.b.test"]
    destinations = run(report_destinations(name, uris, found))
    assert all(it.reason.isprintable() for it in destinations)
    assert len(found.asked) <= WALK + (WALK + 1) * len(uris)
    with contextlib.suppress(GrammarError):
        tls_report_uris([octets, b"v=TLSRPTv1; rua=" + octets])


def test_dmarc_asks_no_more_for_many_long_names() -> None:
    def name(it: int) -> str:
        return ".".join([*(f"l{it}x{label}" for label in range(12)), "a.test"])

    found = zone({"a.test": "v=DMARC1; p=reject; np=none"})
    signatures = [dkim(name(it)) for it in range(SIGNATURES)]
    dmarc_check(name(98), found, spf(name(99)), signatures)
    assert WALK < len(found.asked) <= DMARC_QUESTIONS


def test_a_chain_asks_for_one_key_a_seal() -> None:
    message, records = MESSAGE, {}
    earlier = ARCSet(instance=1, domain="", selector="", chain="pass", authentication_results=b"")
    for number in range(SETS):
        sealing = ARCSealer(ed25519(f"h{number}.test")).start()
        sealing.feed(message)
        state = ARCResult.PASS if number else ARCResult.NONE
        before = ARCCheck(result=state, reason="", sets=(earlier,) * number)
        message = run(sealing.finish(before, "h.test; none", now=NOW)) + message
        key = ed25519_key().record().encode()
        records[f"e._domainkey.h{number}.test"] = {Kind.TXT: [key]}
    verifier, found = ARCVerifier(), Zone(records)
    verifier.feed(message)
    assert run(verifier.check(found, KEYS, now=NOW)).result is ARCResult.PASS
    assert len(found.asked) == SETS
