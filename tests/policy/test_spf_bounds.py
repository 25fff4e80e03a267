"""No zone and no client makes a check of SPF raise, or ask without end."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Answer, Kind, Record, Resolver, Status
from smtpproto.policy.spf import SPFCheck, SPFRequest, check_spf
from smtpproto.policy.spf_examination import examine_spf
from smtpproto.policy.spf_record import SPFResult

from .any_dns import AnyDNS
from .spf_terms import records

MOST = 123
"""The record; ten terms, each with a name and ten hosts; the names of the client, once, with an
address each; an explanation."""
MOST_EXAMINED = 1 + 2 * 41 + 100

RECORDS = st.one_of(
    records().map(str.encode),
    st.binary(max_size=40).map(lambda octets: b"v=spf1 " + octets),
    st.binary(max_size=20),
    st.sampled_from(
        ["192.0.2.1", "2001:db8::1", "junk", "", "a.b", "a..b", "x" * 300, "\x00", "ö.org"]
    ),
    st.builds(MX, st.integers(0, 9), st.sampled_from(["", "a.b", "a..b", "x" * 70, "\n"])),
)


def checked(dns: Resolver, client: str, helo: str, sender: str) -> SPFCheck:
    request = SPFRequest(client=client, helo=helo, sender=sender, now=1e9)
    return run(check_spf(request, dns, voids=99))


@given(
    st.lists(RECORDS, max_size=8),
    st.integers(0, 2**16),
    st.ip_addresses(),
    st.text(max_size=20) | st.just("mx.example.net"),
    st.text(max_size=20) | st.just("ann@example.org"),
)
def test_whatever_the_dns_answers_there_is_a_result(
    found: list[Record], seed: int, client: object, helo: str, sender: str
) -> None:
    dns = AnyDNS(found, seed)
    check = checked(dns, str(client), helo, sender)
    assert check.result in SPFResult and check.reason
    assert len(dns.asked) == len([*check.trace.asked]) <= MOST
    assert str(check).isascii() or str(check).replace("\n", "").isprintable()
    assert check.refusal is None or bytes(check.refusal).isascii()
    assert check.explanation.isascii() and check.explanation.isprintable()


@given(st.lists(RECORDS, max_size=8), st.integers(0, 2**16))
def test_whatever_the_dns_answers_a_domain_can_be_examined(found: list[Record], seed: int) -> None:
    dns = AnyDNS(found, seed)
    examination = run(examine_spf("example.org", dns))
    assert len(dns.asked) == len([*examination.trace.asked]) <= MOST_EXAMINED
    assert str(examination).replace("\n", "").isprintable()


@define
class Generous:
    """Has the same record for every name, ten hosts, and addresses that never match."""

    record: bytes
    asked: list[tuple[str, Kind]] = field(factory=list)

    async def lookup(self, name: str, kind: Kind) -> Answer:
        self.asked.append((name, kind))
        found: dict[Kind, list[Record]] = {
            Kind.TXT: [self.record],
            Kind.MX: [MX(10, f"mx{number}.{name}"[-253:]) for number in range(10)],
            Kind.PTR: [f"ptr{number}.org" for number in range(500)],
            Kind.A: ["198.51.100.1"] * 200,
            Kind.AAAA: ["2001:db8:9::1"] * 200,
        }
        return Answer(status=Status.FOUND, records=tuple(found[kind]))


@pytest.mark.req("RFC7208-4.6.4-01", "RFC7208-4.6.4-02", "RFC7208-4.6.4-03")
@pytest.mark.parametrize(
    "term",
    ["include:%{p}.%{d}", "include:a.%{d}", "redirect=a.%{d}", "mx:a.%{d}", "mx:%{p}.%{d} exp=%{p}",
     "ptr:org", "a:%{p}.org", "exists:%{i}.%{p}.%{d} include:b.%{d}",
     "include:%{d} mx", "mx include:x.%{d}"],
)  # fmt: skip
@pytest.mark.parametrize("client", ["192.0.2.1", "2001:db8::1"])
def test_records_that_refer_to_each_other_for_ever_cost_few_questions(
    term: str, client: str
) -> None:
    repeated = term if "=" in term else " ".join([term] * 20)
    dns = Generous(f"v=spf1 {repeated} -all".encode())
    checked(dns, client, "x.test", "ann@example.org")
    assert len(dns.asked) <= MOST
    dns.asked.clear()
    run(examine_spf("example.org", dns))
    assert len(dns.asked) <= MOST_EXAMINED


def test_a_check_can_cost_as_many_questions_as_documented() -> None:
    dns = Generous(b"v=spf1" + b" mx:%{p}.%{d}" * 10 + b" -all exp=x.org")
    checked(dns, "192.0.2.1", "x.test", "ann@example.org")
    assert len(dns.asked) == MOST
