"""The resolver over dnspython: asyncio, trio and blocking sockets, against a name server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import given

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, SRV, TLSA, Answer, Kind, Status

pytest.importorskip("dns")

import dns.message
import dns.rrset
from dns.rcode import Rcode

from smtpproto.adapters.dnspython import DNSResolver

from ..support.name_server import SOA, NameServer, serving

RECORDS = {
    "example.test": [
        ("MX", "20 B.example.test."),
        ("MX", "10 a.example.test."),
        ("TXT", '"v=spf1 " "-all"'),
        ("TXT", '"\\255\\000"'),
    ],
    "a.example.test": [("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:db8::1")],
    "_25._tcp.a.example.test": [("TLSA", "3 1 1 " + "ab" * 32), ("TLSA", "9 8 7 00")],
    "_submission._tcp.example.test": [("SRV", "1 2 587 Mail.example.test.")],
    "_submissions._tcp.example.test": [("SRV", "0 0 0 .")],
    "null.test": [("MX", "0 .")],
    "alias.test": [("CNAME", "other.test.")],
    "other.test": [("CNAME", "example.test.")],
    "dangling.test": [("CNAME", "gone.test.")],
    "1.2.0.192.in-addr.arpa": [("PTR", "Host.Example.test.")],
    "large.test": [("A", f"192.0.2.{number}") for number in range(200)],
    "no-soa.test": [("A", "192.0.2.1")],
    "odd.test": [("MX", "1 a\\032b\\255.test.")],
}
Ask = Callable[..., Answer]


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def host(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if found == "::1":
        try:
            socket.create_server((found, 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this host has no IPv6")
    return found


@pytest.fixture
def server(host: str) -> Iterator[NameServer]:
    with serving(NameServer(RECORDS), host) as it:
        yield it


Line = tuple[str, int, tuple[str, str]]  # name, time to live, type and text
Edit = tuple[int, int]  # place, octet


class Liar(NameServer):
    """Answers every question with the same records, and with some octets changed."""

    rcode = Rcode.NOERROR
    sections: tuple[list[Line], list[Line]] = ([], [])
    edits: Sequence[Edit] = ()

    def respond(self, query: dns.message.QueryMessage, over_tcp: bool) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(self.rcode)
        for section, lines in zip(
            (response.answer, response.authority), self.sections, strict=True
        ):
            for name, ttl, (kind, text) in lines:
                section.append(dns.rrset.from_text(name, ttl, "IN", kind, text))
        octets = bytearray(response.to_wire(max_size=65535))
        for place, octet in self.edits:
            octets[12 + place % (len(octets) - 12)] = octet
        return bytes(octets)


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with serving(Liar({})) as it:
        assert isinstance(it, Liar)
        yield it


def on_asyncio(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
    return asyncio.run(resolver.lookup(name, kind))


def on_trio(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
    return trio.run(resolver.lookup, name, kind)


def on_sockets(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
    return run(resolver.lookup(name, kind))


@pytest.fixture(params=[on_asyncio, on_trio, on_sockets])
def ask(request: pytest.FixtureRequest, host: str, server: NameServer) -> Ask:
    def asks(name: str, kind: Kind = Kind.MX, **options: Any) -> Answer:
        options = {"timeout": 2, "lifetime": 2} | options
        answer: Answer = request.param(DNSResolver([host], port=server.port, **options), name, kind)
        return answer

    return asks


def test_mx_records_are_found_with_names_in_lower_case(ask: Ask) -> None:
    answer = ask("example.test")
    assert answer.status is Status.FOUND
    assert set(answer.exchangers) == {MX(10, "a.example.test"), MX(20, "b.example.test")}
    assert (answer.ttl, answer.name) == (300, "")


@pytest.mark.parametrize(
    ("kind", "texts"),
    [(Kind.A, {"192.0.2.1", "192.0.2.2"}), (Kind.AAAA, {"2001:db8::1"})],
)
def test_addresses_are_found(ask: Ask, kind: Kind, texts: set[str]) -> None:
    assert set(ask("a.example.test", kind).texts) == texts


def test_records_of_dane_are_found_whatever_is_in_them(ask: Ask) -> None:
    answer = ask("_25._tcp.a.example.test", Kind.TLSA)
    assert set(answer.tlsa) == {TLSA(3, 1, 1, b"\xab" * 32), TLSA(9, 8, 7, b"\0")}


def test_hosts_of_a_service_are_found(ask: Ask) -> None:
    [found] = ask("_submission._tcp.example.test", Kind.SRV).services
    assert found == SRV(priority=1, weight=2, port=587, target="mail.example.test")


def test_the_root_as_host_of_a_service_is_empty(ask: Ask) -> None:
    [found] = ask("_submissions._tcp.example.test", Kind.SRV).services
    assert found == SRV(priority=0, weight=0, port=0, target="")


@pytest.mark.req("RFC7208-3.3-01", "RFC6376-3.6.2.2-01", "RFC9989-4.5-01")
def test_strings_of_a_txt_record_are_joined_as_octets(ask: Ask) -> None:
    assert set(ask("example.test", Kind.TXT).octets) == {b"v=spf1 -all", b"\xff\x00"}


def test_a_ptr_record_is_a_name(ask: Ask) -> None:
    assert ask("1.2.0.192.in-addr.arpa", Kind.PTR).texts == ("host.example.test",)


def test_the_root_as_exchanger_is_empty(ask: Ask) -> None:
    assert ask("null.test").exchangers == (MX(0, ""),)


def test_odd_octets_in_a_name_are_escaped(ask: Ask) -> None:
    [record] = ask("odd.test").exchangers
    assert record.exchange.isascii()
    assert record.exchange.isprintable()


def test_aliases_are_followed_and_the_least_time_to_live_counts(ask: Ask) -> None:
    answer = ask("alias.test")
    assert (answer.status, answer.name, answer.ttl) == (Status.FOUND, "example.test", 100)


def test_a_name_without_records_of_the_type_has_no_data_for_the_time_of_the_soa(ask: Ask) -> None:
    answer = ask("a.example.test", Kind.TXT)
    assert (answer.status, answer.records, answer.ttl) == (Status.NO_DATA, (), 60)


@pytest.mark.parametrize("name", ["gone.test", "dangling.test"])
def test_a_name_that_does_not_exist_is_told_for_the_time_of_the_soa(ask: Ask, name: str) -> None:
    answer = ask(name)
    assert (answer.status, answer.ttl) == (Status.NO_NAME, 60)


@pytest.mark.parametrize("name", ["no-soa.test", "no-soa-at-all.test"])
def test_a_negative_answer_without_soa_is_not_kept(ask: Ask, name: str) -> None:
    answer = ask(name)
    assert answer.status in (Status.NO_DATA, Status.NO_NAME)
    assert answer.ttl == 0


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("refused.test", Status.FAILED),
        ("bogus.test", Status.BOGUS),
        ("broken.test", Status.FAILED),
        ("silent.test", Status.FAILED),
    ],
)
def test_a_failure_is_an_answer_that_says_why(ask: Ask, name: str, status: Status) -> None:
    answer = ask(name, timeout=0.2, lifetime=0.3)
    assert answer.status is status
    assert answer.detail
    assert not answer.known


@pytest.mark.parametrize(
    "name", ["a..test", f"{'x' * 64}.test", "x." * 130 + "test", "\udc80.test", "stra\u00dfe.test"]
)
def test_what_cannot_be_a_name_does_not_exist(ask: Ask, server: NameServer, name: str) -> None:
    assert ask(name).status is Status.NO_NAME
    assert server.asked == []


def test_a_long_answer_comes_by_tcp(ask: Ask, server: NameServer) -> None:
    assert len(ask("large.test", Kind.A).texts) == 200
    assert [over_tcp for _, _, over_tcp in server.asked] == [False, True]


NAMES = st.sampled_from(["q.test.", "b.test.", "c.test.", "."])
LINES = st.tuples(
    NAMES,
    st.sampled_from([0, 300, 2**31 - 1, 2**32 - 1]),
    st.one_of(
        st.tuples(st.just("CNAME"), NAMES),
        st.tuples(st.just("MX"), st.builds("{} {}".format, st.integers(0, 65535), NAMES)),
        st.tuples(st.just("MX"), st.just("1 \\000\\.\\255.test.")),
        st.tuples(st.just("A"), st.just("0.0.0.0")),
        st.tuples(st.just("SOA"), st.just(SOA)),
    ),
)
EDITS = st.lists(st.tuples(st.integers(12, 200), st.integers(0, 255)), max_size=2)


RCODES = st.sampled_from([Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL, Rcode.FORMERR])
SECTIONS = st.tuples(st.lists(LINES, max_size=5), st.lists(LINES, max_size=2))


def check(found: Answer) -> None:
    assert (found.status is Status.FOUND) is bool(found.records)
    assert len(found.exchangers) == len(found.records)
    assert all(it.exchange.isascii() and it.exchange.isprintable() for it in found.exchangers)
    assert 0 <= found.ttl < 2**31
    assert found.known or found.detail


@given(RCODES, SECTIONS)
def test_whatever_a_server_answers_only_nxdomain_says_that_a_name_does_not_exist(
    liar: Liar, rcode: Rcode, sections: tuple[list[Line], list[Line]]
) -> None:
    liar.rcode, liar.sections, liar.edits = rcode, sections, ()
    found = on_sockets(DNSResolver(["127.0.0.1"], port=liar.port), "q.test", Kind.MX)
    check(found)
    assert found.status is not Status.NO_NAME or rcode is Rcode.NXDOMAIN
    if rcode in (Rcode.SERVFAIL, Rcode.FORMERR):
        assert not found.known


@pytest.mark.soak
@given(RCODES, SECTIONS, EDITS)
def test_octets_that_are_no_answer_are_a_failure(
    liar: Liar, rcode: Rcode, sections: tuple[list[Line], list[Line]], edits: list[Edit]
) -> None:
    liar.rcode, liar.sections, liar.edits = rcode, sections, edits
    resolver = DNSResolver(["127.0.0.1"], port=liar.port, timeout=0.2, lifetime=0.2)
    check(on_sockets(resolver, "q.test", Kind.MX))


@pytest.mark.parametrize("name", ["host", "host."])
def test_names_are_asked_for_as_they_are_and_once(ask: Ask, server: NameServer, name: str) -> None:
    assert ask(name).status is Status.NO_NAME
    assert server.asked == [("host", "MX", False)]


@pytest.mark.parametrize(("trusted", "authentic"), [(None, True), (True, True), (False, False)])
def test_an_answer_is_authentic_if_a_trusted_server_says_so(
    ask: Ask, server: NameServer, trusted: bool | None, authentic: bool
) -> None:
    server.authentic = True
    assert ask("example.test", trusted=trusted).authentic is authentic
    assert ask("gone.test", trusted=trusted).authentic is authentic
    server.authentic = False
    assert ask("example.test", trusted=trusted).authentic is False


@pytest.mark.parametrize(
    ("nameservers", "trusted"),
    [(["127.0.0.1"], True), (["::1", "127.0.0.53"], True), (["127.0.0.1", "192.0.2.1"], False)],
)
def test_only_servers_on_this_host_are_trusted_by_default(
    nameservers: list[str], trusted: bool
) -> None:
    assert DNSResolver(nameservers)._trusted is trusted


@pytest.mark.parametrize(
    ("nameservers", "error"),
    [("192.0.2.1", TypeError), ([], ValueError), (["ns.example.org"], ValueError)],
)
def test_name_servers_that_are_no_addresses_are_refused(
    nameservers: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        DNSResolver(nameservers)


def test_the_system_names_the_servers_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(resolver: Any, path: str) -> None:
        resolver.nameservers = ["192.0.2.53"]

    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", read)
    assert DNSResolver()._blocking.nameservers == ["192.0.2.53"]
