"""What a next host must offer for a message, and what happens where it does not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from smtpproto import MailParameters, Reply, ReversePath
from smtpproto.dns import Kind
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.mta.judge import is_permanent
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.route import Direct, SmartHost
from smtpproto.tls import TLSVerify
from tests.support.certificates import CA, server_context
from tests.support.hosts import Host, Hosts
from tests.transfer.relaying import Network

EIGHT_BIT = "Subject: hi\r\n\r\ngrüße\r\n".encode()
UTF8_HEADER = "Subject: grüße\r\n\r\nhello\r\n".encode()
NO_8BIT: dict[str, Any] = {"extensions": {"8BITMIME": None, "SMTPUTF8": None}}
NO_UTF8: dict[str, Any] = {"extensions": {"SMTPUTF8": None}}
STRICT = MailParameters(requiretls=True)


class Pieces:
    """Content that can be read again and again, but is not known before."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content[:10]
        yield self._content[10:]


def status(attempt: Attempt) -> str:
    """The status of an attempt that failed for good."""
    assert is_permanent(attempt)
    assert attempt.reply is not None
    return str(attempt.reply.enhanced)


@pytest.mark.req("RFC6152-3-04", "RFC6152-3-06")
@pytest.mark.parametrize("content", [EIGHT_BIT, Pieces(EIGHT_BIT)], ids=["octets", "pieces"])
def test_eight_bit_content_is_not_sent_to_a_host_without_8bitmime(content: Any) -> None:
    network = Network(config=(NO_8BIT, NO_8BIT))
    [result] = network.attempt(content=content, size=len(EIGHT_BIT))
    assert status(result) == "5.6.3"
    assert network.hosts[0].received == network.hosts[1].received == []
    assert network.hosts[1].connections == 1


@pytest.mark.req("RFC5321-2.2.3-01")
@pytest.mark.parametrize("content", [EIGHT_BIT, Pieces(EIGHT_BIT)], ids=["octets", "pieces"])
def test_a_host_that_can_take_the_message_is_found(content: Any) -> None:
    network = Network(config=(NO_8BIT, {}))
    [result] = network.attempt(content=content, size=len(EIGHT_BIT))
    assert (result.result, result.host) == (Result.RELAYED, "mx2.example.net")
    assert network.hosts[1].received[0][1] == EIGHT_BIT
    assert "mx1.example.net [192.0.2.1]: " in result.earlier


def test_seven_bit_content_in_pieces_goes_to_a_host_without_8bitmime() -> None:
    network = Network(config=(NO_8BIT,))
    [result] = network.attempt(content=Pieces(b"Subject: hi\r\n\r\nhello\r\n"))
    assert result.host == "mx1.example.net"


@pytest.mark.req("RFC6531-3.2-07", "RFC6531-3.2-10")
def test_without_smtputf8_on_any_host_a_message_that_needs_it_fails() -> None:
    network = Network(config=(NO_UTF8, NO_UTF8))
    good, bad = network.attempt("bob@example.net", "jörg@example.net")
    assert good.result is Result.RELAYED
    assert status(bad) == "5.6.7"
    assert [host.connections for host in network.hosts] == [1, 1]
    [result] = network.attempt(content=UTF8_HEADER)
    assert status(result) == "5.6.9"


def test_an_offer_that_lacks_something_is_no_reason_to_give_up_while_another_host_is_down() -> None:
    network = Network(config=(NO_8BIT,))
    network.simulation.hosts.pop("192.0.2.2")
    [result] = network.attempt(content=EIGHT_BIT)
    assert result.result is Result.UNREACHED
    assert not is_permanent(result)


def test_a_message_that_is_too_large_for_all_hosts_fails() -> None:
    small: dict[str, Any] = {"extensions": {"SIZE": "20"}}
    network = Network(config=(small, small))
    [result] = network.attempt()
    assert status(result) == "5.3.4"
    assert network.hosts[0].mails == []


@pytest.mark.req("RFC2852-7-01")
def test_no_host_is_looked_for_that_can_keep_the_time_of_by() -> None:
    network = Network(config=({}, {"extensions": {"DELIVERBY": ""}}))
    [result] = network.attempt(parameters=MailParameters(by=DeliverBy(60, ByMode.RETURN)))
    assert is_permanent(result)
    assert network.hosts[1].connections == 0


# -- TLS -----------------------------------------------------------------------------------------

TRUST = TLSVerify.by_ca(CA.cert_pem.bytes().decode())
DIRECT = Direct(verify=TRUST)
MX1, MX2 = (server_context(CA.issue_cert(f"mx{n}.example.net")) for n in (1, 2))
WRONG = server_context(CA.issue_cert("other.example.net"))


def offering(context: ssl.SSLContext, **more: str) -> dict[str, Any]:
    return {"context": context, "extensions": more}


ALL: tuple[dict[str, Any], ...] = (
    offering(MX1, REQUIRETLS=""), offering(MX2, REQUIRETLS=""),
)  # fmt: skip


@pytest.mark.req("RFC8689-4.2.1-01")
def test_requiretls_goes_to_a_proved_host_with_a_verified_certificate_that_offers_it() -> None:
    network = Network(config=ALL, authentic=True)
    [result] = network.attempt(route=DIRECT, parameters=STRICT)
    assert (result.result, result.host) == (Result.RELAYED, "mx1.example.net")
    assert result.tls.startswith("TLSv1.")
    assert network.hosts[0].mails[0].requiretls


@pytest.mark.req("RFC8689-4.2.1-02", "RFC8689-4.2.1-05")
@pytest.mark.parametrize(
    "first",
    [{}, offering(MX1), offering(WRONG, REQUIRETLS="")],
    ids=["no TLS", "no REQUIRETLS", "other name"],
)
def test_a_host_that_cannot_honour_requiretls_is_followed_by_the_next(
    first: dict[str, Any],
) -> None:
    network = Network(config=(first, ALL[1]), authentic=True)
    [result] = network.attempt(route=DIRECT, parameters=STRICT)
    assert (result.result, result.host) == (Result.RELAYED, "mx2.example.net")
    assert network.hosts[0].mails == []


@pytest.mark.req("RFC8689-4.2.1-03", "RFC8689-4.2.1-04")
@pytest.mark.parametrize(
    ("each", "expected"),
    [({}, "5.7.10"), (offering(WRONG, REQUIRETLS=""), "5.7.10"), ("no keyword", "5.7.30")],
    ids=["no TLS", "other name", "no REQUIRETLS"],
)
def test_without_a_host_that_honours_requiretls_the_message_fails(each: Any, expected: str) -> None:
    config = (offering(MX1), offering(MX2)) if each == "no keyword" else (each, each)
    network = Network(config=config, authentic=True)
    [result] = network.attempt(route=DIRECT, parameters=STRICT)
    assert status(result) == expected
    assert [host.mails for host in network.hosts] == [[], []]


@pytest.mark.parametrize("seed", range(10))
def test_requiretls_is_tried_again_if_the_network_breaks_a_handshake(seed: int) -> None:
    simulation = Hosts(seed)
    network = Network((Host(),), ALL[:1], authentic=True, simulation=simulation)
    simulation.host("192.0.2.1").faults.breaks_tls = True
    [result] = network.attempt(route=DIRECT, parameters=STRICT)
    assert not is_permanent(result)
    assert network.hosts[0].mails == []


@pytest.mark.req("RFC8689-4.2.1-01")
def test_requiretls_needs_exchangers_that_dnssec_proves() -> None:
    network = Network(config=ALL)
    [result] = network.attempt(route=DIRECT, parameters=STRICT)
    assert status(result) == "5.7.10"
    assert network.simulation.dialled == []


def test_requiretls_goes_to_a_smart_host_without_a_look_up() -> None:
    context = server_context(CA.issue_cert("192.0.2.1"))
    network = Network(config=(offering(context, REQUIRETLS=""),))
    route = SmartHost("192.0.2.1", 25, verify=TRUST)
    [result] = network.attempt(route=route, parameters=STRICT)
    assert result.result is Result.RELAYED
    assert network.hosts[0].mails[0].requiretls


@pytest.mark.req("RFC8689-5-03")
def test_a_report_about_requiretls_goes_also_to_a_host_without_it() -> None:
    network = Network()
    [result] = network.attempt(route=DIRECT, parameters=STRICT, sender=ReversePath(None))
    assert result.result is Result.RELAYED
    assert not network.hosts[0].mails[0].requiretls


@pytest.mark.req("RFC8689-4.2.2-01", "RFC8689-3-02")
@pytest.mark.parametrize("tls_optional", [True, False])
def test_opportunistic_tls_that_fails_is_left_out(tls_optional: bool) -> None:
    network = Network(config=(offering(WRONG),))
    [result] = network.attempt(route=DIRECT, tls_optional=tls_optional)
    assert (result.result, result.host, result.tls) == (Result.RELAYED, "mx1.example.net", "")
    assert network.simulation.dialled == ["192.0.2.1", "192.0.2.1"]


def test_tls_that_failed_is_not_tried_with_the_same_host_for_some_minutes() -> None:
    network = Network(config=(offering(WRONG),))
    dialled = []
    for seconds in (0, 1, 300):
        network.simulation.run(network.simulation.sleep(seconds))
        [result] = network.attempt(route=DIRECT)
        assert result.result is Result.RELAYED
        dialled.append(len(network.simulation.dialled))
    assert dialled == [2, 3, 5]


def test_tls_that_the_route_requires_is_not_left_out() -> None:
    network = Network(config=(offering(WRONG), {}))
    [result] = network.attempt(route=Direct(tls="required", verify=TRUST))
    assert result.result is Result.UNREACHED
    assert result.reply == Reply(450, "4.7.0", "The host lacks what this server is set to use")
    assert [host.mails for host in network.hosts] == [[], []]
    assert not is_permanent(result)


def test_the_name_of_the_exchanger_is_verified_and_not_its_address() -> None:
    network = Network(config=ALL)
    network.zone.records["mx2.example.net"] = {Kind.A: ["192.0.2.1"]}
    [result] = network.attempt(route=Direct(tls="required", verify=TRUST))
    assert (result.host, result.address) == ("mx1.example.net", "192.0.2.1")
    assert result.result is Result.RELAYED
