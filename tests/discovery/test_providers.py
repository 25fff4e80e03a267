"""The table of providers is sound."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from smtpproto import Domain, TLSMode
from smtpproto.discovery import PROVIDERS, Provider
from smtpproto.discovery.providers import provider_at, provider_behind, provider_of


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda it: it.name)
def test_each_provider_has_servers_with_tls_and_a_source_with_its_day(provider: Provider) -> None:
    assert provider.servers and provider.logins and provider.sources
    for host, port, tls in provider.servers:
        assert Domain(host).name == host == host.lower()
        assert (port, tls) in ((465, TLSMode.IMPLICIT), (587, TLSMode.REQUIRED))
    assert all(re.fullmatch(r"https://[^\s/]+/\S+", it) for it in provider.sources)
    assert date.fromisoformat(provider.read) >= date(2026, 12, 1)


def test_a_domain_and_a_server_belong_to_one_provider() -> None:
    domains = Counter(domain for it in PROVIDERS for domain in it.domains)
    hosts = Counter(host for it in PROVIDERS for host in {place[0] for place in it.servers})
    assert max(domains.values()) == max(hosts.values()) == 1
    assert all(Domain(it).name == it == it.lower() for it in domains)


def test_a_provider_is_found_by_domain_by_server_and_by_the_host_that_takes_its_mail() -> None:
    google = provider_of("gmail.com")
    assert google is not None and google.name == "Google"
    assert provider_of("mail.gmail.com") is provider_of("example.org") is None
    assert provider_at("smtp.gmail.com") is google
    assert provider_behind("aspmx.l.google.com") is google
    assert provider_behind("notgoogle.com") is None
    outlook = provider_behind("eur.olc.protection.outlook.com")
    business = provider_behind("example-org.mail.protection.outlook.com")
    assert outlook is not None and outlook.name == "Outlook.com"
    assert business is not None and business.name == "Microsoft 365"
