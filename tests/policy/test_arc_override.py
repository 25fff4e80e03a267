"""What DMARC would refuse is accepted if hosts that are trusted have sealed that it passed."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import GrammarError
from smtpproto.dns import Kind
from smtpproto.policy import (
    AggregateCounts,
    ARCSealer,
    AuthenticationResults,
    DMARCPolicy,
    Inspection,
    MessageCheck,
    MessageVerifier,
    SPFRequest,
)
from smtpproto.testing import Zone
from tests.policy.signing import KEYS, MESSAGE, NOW, ed25519, run, zone

PASSED = "mx.list.test; dmarc=pass header.from=example.org"
LIST, OTHER = "list.test", "other.test"


def world() -> Zone:
    found = zone(LIST)
    found.records |= zone(OTHER).records
    found.records["example.org"] = {Kind.TXT: [b"v=spf1 -all"]}
    record = b"v=DMARC1; p=reject; rua=mailto:a@example.org"
    found.records["_dmarc.example.org"] = {Kind.TXT: [record]}
    return found


def checked(message: bytes) -> MessageCheck:
    verifier = MessageVerifier(
        SPFRequest(client="192.0.2.9", helo="mx.list.test", sender="ann@example.org", now=NOW)
    )
    verifier.feed(message)
    return run(verifier.check(world(), KEYS, now=NOW))


def seal(message: bytes, domain: str = LIST, results: str = PASSED) -> bytes:
    sealing = ARCSealer(ed25519(domain)).start()
    sealing.feed(message)
    arc = checked(message).arc
    assert arc is not None
    return run(sealing.finish(arc, results, now=NOW)) + message


def refusal(message: bytes, *sealers: str) -> str:
    inspect = Inspection(refuse_dmarc=True, refuse_spf=True, trusted_sealers=sealers)
    reply = inspect.refusal(checked(message))
    return "" if reply is None else str(reply.enhanced)


def test_only_the_seal_of_a_trusted_host_overrides_a_refusal() -> None:
    assert refusal(MESSAGE, LIST) == "5.7.26"
    assert refusal(seal(MESSAGE)) == "5.7.26"
    assert refusal(seal(MESSAGE), OTHER, "sub.list.test") == "5.7.26"
    assert refusal(seal(MESSAGE), "LIST.test") == ""


@pytest.mark.req("RFC8617-5.2-09")
def test_a_changed_message_is_refused_although_its_chain_is_of_a_trusted_host() -> None:
    assert refusal(seal(MESSAGE) + b"more\r\n", LIST) == "5.7.26"


@pytest.mark.parametrize(
    "results",
    [
        "mx.list.test; dmarc=fail header.from=example.org",
        "mx.list.test; dmarc=pass header.from=example.net",
        "mx.list.test; dmarc=pass",
        "mx.list.test; dkim=pass header.d=example.org",
        "mx.list.test; dmarc=pass unknown.x=y header.from=example.org",
        "mx.list.test; dmarc",
    ],
)
def test_the_trusted_host_must_have_found_that_the_author_passes_dmarc(results: str) -> None:
    assert refusal(seal(MESSAGE, results=results), LIST) == "5.7.26"


def test_the_results_of_microsoft_are_understood() -> None:
    results = "mx.microsoft.com 1; spf=pass; dmarc=pass action=none header.from=Example.org"
    assert refusal(seal(MESSAGE, results=results), LIST) == ""


def test_results_count_only_if_all_later_hosts_are_trusted_too() -> None:
    failed = PASSED.replace("pass", "fail")
    last_is_a_stranger = seal(seal(MESSAGE) + b"more\r\n", OTHER, failed)
    assert refusal(last_is_a_stranger, LIST) == "5.7.26"
    chain = seal(seal(MESSAGE), OTHER, failed)
    assert refusal(chain, LIST) == "5.7.26"
    assert refusal(chain, OTHER) == "5.7.26"
    assert refusal(chain, LIST, OTHER) == ""
    first_is_a_stranger = seal(seal(MESSAGE, OTHER, failed))
    assert refusal(first_is_a_stranger, LIST) == ""


@pytest.mark.req("RFC8617-5.2-10")
def test_the_chain_is_among_the_results() -> None:
    def told(message: bytes) -> list[str]:
        octets = checked(message).authentication_results("mx.test")
        found = AuthenticationResults.parse(octets.decode().partition(":")[2].rstrip("\r\n"))
        return [f"{it.result} ({it.comment}) {it.reason}" for it in found.results[3:]]

    assert told(MESSAGE) == []
    assert told(seal(MESSAGE)) == ["pass (i=1 by list.test) "]
    [failed] = told(seal(MESSAGE) + b"more\r\n")
    assert failed.startswith("fail (i=1 by list.test) the last message signature: ")
    [malformed] = told(seal(MESSAGE).replace(b"ARC-Seal", b"X-Seal"))
    assert malformed.startswith("fail () a chain without each field")


def test_an_aggregate_report_tells_of_the_override() -> None:
    check, counts = checked(seal(seal(MESSAGE), OTHER)), AggregateCounts()
    counts.add(check, DMARCPolicy.NONE)
    options: dict[str, Any] = {"organization": "x", "email": "a@x.test", "begin": 0, "end": 1}
    [report] = counts.reports(unique="1", **options)
    [override] = report.rows[0].overrides
    assert override.type == "local_policy"
    text = "arc=pass as[2].d=other.test as[2].s=e as[1].d=list.test as[1].s=e"
    assert override.comment == text


def test_a_sealer_is_a_domain() -> None:
    with pytest.raises(TypeError, match=r"pass \['list.test'\]"):
        Inspection(trusted_sealers="list.test")
    with pytest.raises(GrammarError):
        Inspection(trusted_sealers=["list test"])
    assert Inspection(trusted_sealers=["bücher.test"]).trusted_sealers == {"xn--bcher-kva.test"}
