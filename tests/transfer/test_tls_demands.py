"""What domains demand, as options of ``connect``."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from smtpproto import ClientConfig, TLSFailed, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.dns import TLSA, Kind, Status
from smtpproto.policy import MTASTSMode, MTASTSPolicy
from smtpproto.testing.zone import Mood, Zone
from smtpproto.transfer import TLSDemands, TLSPolicies
from tests.policy.test_mta_sts_cache import Server
from tests.support.certificates import LEAF, der

HOST, DOMAIN = "mx.example.org", "example.org"
RECORD = TLSA(3, 0, 1, hashlib.sha256(der(LEAF)).digest())
STRICT = {"tls": TLSMode.REQUIRED, "verify": "name"}


def zone(policy_of: str, *records: TLSA) -> Zone:
    found: dict[str, Any] = {
        HOST: {Kind.A: ["192.0.2.1"]},
        f"_mta-sts.{policy_of}": {Kind.TXT: [b"v=STSv1; id=1"]},
        **({f"_25._tcp.{HOST}": {Kind.TLSA: [*records]}} if records else {}),
    }
    return Zone(found, authentic=True)


def ask(names: Zone, *, mx: str = HOST, mode: str = "enforce", **options: Any) -> ClientConfig:
    policy = MTASTSPolicy(mode=MTASTSMode(mode), mx=(mx,))
    policies = TLSPolicies(mta_sts=Server(bytes(policy)), dane=CryptographyCertificates())
    demands = TLSDemands(Runtime(), names, policies)
    return ClientConfig(**run(demands.options(HOST, 25, **options)))


def test_records_of_the_host_are_options_that_judge_its_certificate() -> None:
    found = ask(zone(DOMAIN, RECORD))
    assert (found.tls, found.server_name) == (TLSMode.REQUIRED, HOST)
    assert found.verify is not None and found.verify.judge is not None
    assert found.verify.judge.fault([der(LEAF)]) == ""
    unproved = ask(zone(DOMAIN, RECORD), domain=DOMAIN, authentic=False, mode="testing")
    assert unproved == ClientConfig()


@pytest.mark.parametrize("domain", [None, DOMAIN])
def test_the_policy_of_the_domain_or_of_the_host_itself_counts(domain: str | None) -> None:
    names = zone(HOST if domain is None else domain)
    assert ask(names, domain=domain) == ClientConfig(**STRICT)  # type: ignore[arg-type]
    assert ask(names, domain=domain, mode="testing") == ClientConfig()
    with pytest.raises(TLSFailed, match="policy does not name the host"):
        ask(names, domain=domain, mx="mx.example.com")


def test_a_host_whose_records_cannot_be_known_is_refused() -> None:
    names = zone(DOMAIN)
    names.moods[f"_25._tcp.{HOST}", Kind.TLSA] = Mood(Status.BOGUS)
    with pytest.raises(TLSFailed, match="not known whether the host has TLSA records"):
        ask(names)


def test_options_of_the_program_come_first_and_are_kept() -> None:
    given: Any = {"tls": "required", "verify": "name", "hello": "us.example.net"}
    assert ask(zone(HOST, RECORD), **given) == ClientConfig(**given)
    found = ask(zone(DOMAIN, RECORD), hello="us.example.net")
    assert str(found.hello) == "us.example.net"
    assert found.tls is TLSMode.REQUIRED
