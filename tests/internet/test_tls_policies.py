"""Agents in an internet whose domains demand TLS: mail waits until the fault is mended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.dns import TLSA, Kind
from smtpproto.policy import MTASTSMode, MTASTSPolicy
from smtpproto.testing.internet import Internet
from smtpproto.transfer import TLSPolicies
from tests.policy.test_mta_sts_cache import Server

HOST, DOMAIN = "mx.example.org", "example.org"
RECORD = TLSA(3, 1, 1, bytes(32))
Change = Callable[[Internet], None]


def policy(mode: MTASTSMode, mx: str = HOST) -> bytes:
    return bytes(MTASTSPolicy(mode=mode, mx=(mx,)))


def arrivals(policies: TLSPolicies, prepare: Change, mend: Change) -> tuple[int, int]:
    """Send a message to a host without TLS; return how many arrived in six hours, and how many
    after *mend*."""
    internet = Internet(seed=7)
    internet.mail_host(HOST)
    internet.domain(DOMAIN, HOST)
    internet.zone.authentic = True
    prepare(internet)
    mta = internet.mta("relay.example.net", tls_policies=policies)
    before = list[int]()

    async def scene() -> None:
        await internet.submit(mta, "first", "ann@example.net", [f"bob@{DOMAIN}"])
        await internet.sleep(6 * 3600)
        before.append(len(internet.record.arrivals))
        mend(internet)
        await internet.until_delivered(days=5)

    internet.run(scene())
    internet.check()
    return before[0], len(internet.record.arrivals)


def nothing(_: Internet) -> None:
    """Change nothing."""


def publish(version: int) -> Change:
    def change(internet: Internet) -> None:
        record = f"v=STSv1; id={version}".encode()
        internet.zone.records[f"_mta-sts.{DOMAIN}"] = {Kind.TXT: [record]}

    return change


@pytest.mark.req("RFC8461-5-01", "RFC8461-5-02")
@pytest.mark.parametrize("mx", [HOST, "other.example.org"])
def test_an_enforced_policy_holds_mail_back_until_the_domain_gives_it_up(mx: str) -> None:
    server = Server(policy(MTASTSMode.ENFORCE, mx))

    def mend(internet: Internet) -> None:
        server.body = policy(MTASTSMode.NONE)
        publish(2)(internet)

    assert arrivals(TLSPolicies(mta_sts=server), publish(1), mend) == (0, 1)


@pytest.mark.req("RFC8461-5-03")
def test_a_policy_for_tests_holds_nothing_back() -> None:
    server = Server(policy(MTASTSMode.TESTING, "other.example.org"))
    assert arrivals(TLSPolicies(mta_sts=server), publish(1), nothing) == (1, 1)


@pytest.mark.req("RFC7672-2.2-01")
def test_mail_waits_until_the_records_of_dane_are_right() -> None:
    name = f"_25._tcp.{HOST}"

    def prepare(internet: Internet) -> None:
        internet.zone.records[name] = {Kind.TLSA: [RECORD]}

    def mend(internet: Internet) -> None:
        del internet.zone.records[name]

    policies = TLSPolicies(dane=CryptographyCertificates())
    assert arrivals(policies, prepare, mend) == (0, 1)
