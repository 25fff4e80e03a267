"""The wishes of domains for TLS, kept by the agent on the way to their hosts."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

import pytest
import trustme

from smtpproto import MailParameters
from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.dns import MX as DNSMX
from smtpproto.dns import TLSA, Kind, Status
from smtpproto.mta.judge import is_permanent
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.route import Direct, SmartHost
from smtpproto.policy import MTASTSMode, MTASTSPolicy
from smtpproto.testing.zone import Mood
from smtpproto.tls import TLSVerify
from smtpproto.transfer import MTAConfig, TLSPolicies
from tests.policy.test_mta_sts_cache import Server
from tests.support.certificates import CA, der, expired, self_signed, server_context
from tests.support.hosts import Host
from tests.transfer.relaying import Network

TRUST = TLSVerify.by_ca(CA.cert_pem.bytes().decode())
ROUTE = Direct(verify=TRUST)
CERTIFICATES = CryptographyCertificates()
STRICT = MailParameters(requiretls=True)
NAMES = [f"mx{n}.example.net" for n in (1, 2)]
MX = [CA.issue_cert(name) for name in NAMES]
OK = [server_context(leaf) for leaf in MX]
WRONG = server_context(CA.issue_cert("other.example.net"))
UNKNOWN = server_context(self_signed(NAMES[0]))


def tls(*contexts: ssl.SSLContext | None, **offers: str) -> tuple[dict[str, Any], ...]:
    return tuple({} if it is None else {"context": it, "extensions": offers} for it in contexts)


def noting(leaf: trustme.LeafCert) -> tuple[list[str | None], ssl.SSLContext]:
    """Return the context of a server, and where it notes the names that clients send."""
    names, context = list[str | None](), server_context(leaf)
    context.sni_callback = lambda _, name, __: names.append(name)
    return names, context


def policy(*mx: str, mode: MTASTSMode = MTASTSMode.ENFORCE) -> bytes:
    return bytes(MTASTSPolicy(mode=mode, mx=mx, max_age=604800))


def with_policy(body: bytes, *contexts: ssl.SSLContext | None, **more: Any) -> Network:
    offers = {"REQUIRETLS": ""} if more.pop("offers", False) else {}
    policies = TLSPolicies(mta_sts=Server(body))
    network = Network(config=tls(*contexts, **offers), policies=policies, **more)
    network.zone.records["_mta-sts.example.net"] = {Kind.TXT: [b"v=STSv1; id=1"]}
    return network


def received(network: Network) -> list[int]:
    return [len(host.received) for host in network.hosts]


def reached(result: Attempt, name: str) -> None:
    assert (result.result, result.host) == (Result.RELAYED, name), result


# -- MTA-STS ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC8461-7.1-01")
def test_the_name_of_the_host_is_sent_in_the_handshake() -> None:
    names, context = noting(MX[0])
    network = with_policy(policy(*NAMES), context)
    reached(network.attempt(route=ROUTE)[0], NAMES[0])
    assert names[0] == NAMES[0]


@pytest.mark.req("RFC8461-4.2-01")
def test_a_host_that_the_policy_names_is_verified_by_its_name() -> None:
    network = with_policy(policy(*NAMES), *OK)
    [result] = network.attempt(route=ROUTE)
    reached(result, NAMES[0])
    assert result.tls
    assert network.attempt(route=ROUTE)[0].tls
    assert network.hosts[0].connections == 2  # the first one was closed after the attempt


@pytest.mark.req("RFC8461-5-01", "RFC8461-4.2-01")
@pytest.mark.parametrize(
    "first", [None, WRONG, UNKNOWN, server_context(expired(CA, NAMES[0]))],
    ids=["no TLS", "name", "CA", "expired"],
)  # fmt: skip
def test_enforce_sends_nothing_to_a_host_that_fails(first: ssl.SSLContext | None) -> None:
    network = with_policy(policy(*NAMES), first, OK[1])
    [result] = network.attempt(route=ROUTE)
    reached(result, NAMES[1])
    network = with_policy(policy(*NAMES), first, None)
    [result] = network.attempt(route=ROUTE)
    assert result.result is Result.UNREACHED
    assert not is_permanent(result)
    assert received(network) == [0, 0]


@pytest.mark.req("RFC8461-5-01", "RFC8461-5-02")
def test_enforce_does_not_even_connect_to_a_host_outside_the_policy() -> None:
    network = with_policy(policy(NAMES[1]), *OK)
    [result] = network.attempt(route=ROUTE)
    reached(result, NAMES[1])
    assert network.hosts[0].connections == 0
    assert "mx1.example.net [192.0.2.1]: No mail is sent to mx1" in result.earlier
    network = with_policy(policy("mx.example.com"), *OK)
    [result] = network.attempt(route=ROUTE)
    assert result.reply is not None
    assert (result.reply.code, str(result.reply.enhanced)) == (451, "4.7.5")
    assert "does not name the host" in result.error
    assert not is_permanent(result)


@pytest.mark.req("RFC8461-5-02")
def test_a_policy_that_was_changed_without_a_new_id_is_fetched_before_a_refusal() -> None:
    network = with_policy(policy("old.example.net"), *OK)
    assert network.attempt(route=ROUTE)[0].result is Result.UNREACHED
    server = network.policies.mta_sts
    assert isinstance(server, Server)
    server.body = policy(*NAMES)
    network.simulation.run(network.simulation.sleep(300))
    reached(network.attempt(route=ROUTE)[0], NAMES[0])


@pytest.mark.req("RFC8461-5-03")
@pytest.mark.parametrize("mode", [MTASTSMode.TESTING, MTASTSMode.NONE])
@pytest.mark.parametrize("context", [None, WRONG])
def test_a_policy_that_is_not_enforced_delivers_as_without_one(
    mode: MTASTSMode, context: ssl.SSLContext | None
) -> None:
    network = with_policy(policy("mx.example.com", mode=mode), context)
    reached(network.attempt(route=ROUTE)[0], NAMES[0])


@pytest.mark.req("RFC8461-3.3-02")
def test_without_a_policy_mail_is_delivered_without_tls() -> None:
    network = with_policy(b"junk", None)
    reached(network.attempt(route=ROUTE)[0], NAMES[0])


def test_the_system_s_cas_count_unless_the_route_has_its_own() -> None:
    network = with_policy(policy(*NAMES), *OK)
    [result] = network.attempt(route=Direct())
    assert result.result is Result.UNREACHED
    assert received(network) == [0, 0]


@pytest.mark.req("RFC8689-4.2.2-01")
def test_a_sender_may_give_up_what_the_domain_wishes() -> None:
    network = with_policy(policy("mx.example.com"), WRONG)
    reached(network.attempt(route=ROUTE, tls_optional=True)[0], NAMES[0])


@pytest.mark.req("RFC8689-4.2.1-01")
def test_requiretls_takes_the_word_of_a_policy_for_the_names_of_hosts() -> None:
    network = with_policy(policy(NAMES[0]), *OK, offers=True)
    [result] = network.attempt(route=ROUTE, parameters=STRICT)
    reached(result, NAMES[0])
    assert network.hosts[0].mails[0].requiretls
    network = with_policy(policy(NAMES[0], mode=MTASTSMode.TESTING), *OK, offers=True)
    [result] = network.attempt(route=ROUTE, parameters=STRICT)
    assert is_permanent(result)
    assert result.reply is not None
    assert str(result.reply.enhanced) == "5.7.10"
    assert received(network) == [0, 0]


# -- DANE ------------------------------------------------------------------------------------------


def key_record(leaf: trustme.LeafCert, usage: int = 3) -> TLSA:
    return TLSA(usage, 1, 1, hashlib.sha256(CERTIFICATES.public_key(der(leaf))).digest())


def with_dane(*records: TLSA | None, config: Any = (), **more: Any) -> Network:
    policies = TLSPolicies(dane=CERTIFICATES, mta_sts=more.pop("mta_sts", None))
    network = Network(config=config, policies=policies, **{"authentic": True} | more)
    for name, record in zip(NAMES, records, strict=False):
        if record is not None:
            network.zone.records[f"_25._tcp.{name}"] = {Kind.TLSA: [record]}
    return network


@pytest.mark.req("RFC7672-2.2-01", "RFC7672-3.1.1-01")
def test_a_certificate_that_fits_its_record_is_enough() -> None:
    leaf = self_signed("nothing.invalid")
    network = with_dane(key_record(leaf), config=tls(server_context(leaf)))
    [result] = network.attempt(route=Direct())
    reached(result, NAMES[0])
    assert result.tls


@pytest.mark.req("RFC7672-2.2-01", "RFC7672-2.2.1-01")
@pytest.mark.parametrize("first", [OK[0], None], ids=["other key", "no TLS"])
def test_a_host_that_fits_no_record_gets_nothing(first: ssl.SSLContext | None) -> None:
    network = with_dane(key_record(MX[1]), None, config=tls(first, None))
    [result] = network.attempt(route=Direct())
    reached(result, NAMES[1])  # it has no records
    network = with_dane(key_record(MX[1]), key_record(MX[0]), config=tls(first, OK[1]))
    [result] = network.attempt(route=Direct())
    assert result.result is Result.UNREACHED
    assert not is_permanent(result)
    assert received(network) == [0, 0]


@pytest.mark.req("RFC7672-2.2.1-01")
def test_the_order_of_hosts_is_that_of_the_mx_records() -> None:
    network = with_dane(None, key_record(MX[1]), config=tls(None, OK[1]))
    reached(network.attempt(route=Direct())[0], NAMES[0])


@pytest.mark.req("RFC7672-2.2-02")
def test_records_of_no_use_demand_tls_with_any_certificate() -> None:
    record = TLSA(1, 1, 1, bytes(32))
    network = with_dane(record, config=tls(WRONG))
    reached(network.attempt(route=ROUTE)[0], NAMES[0])
    network = with_dane(record, record, config=tls(None, WRONG))
    reached(network.attempt(route=ROUTE)[0], NAMES[1])


@pytest.mark.req("RFC7672-2.2-03", "RFC7672-2.1-01")
@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
def test_a_host_whose_records_cannot_be_known_is_left_out_for_now(status: Status) -> None:
    network = with_dane(None, None, config=tls(*OK))
    network.zone.moods[f"_25._tcp.{NAMES[0]}", Kind.TLSA] = Mood(status)
    reached(network.attempt(route=ROUTE)[0], NAMES[1])
    network.zone.moods[f"_25._tcp.{NAMES[1]}", Kind.TLSA] = Mood(status)
    for parameters in (MailParameters(), STRICT):
        [result] = network.attempt(route=ROUTE, parameters=parameters)
        assert result.reply is not None
        assert (result.reply.code, is_permanent(result)) == (451, False)


def test_without_dnssec_for_the_mx_records_there_is_no_dane() -> None:
    network = with_dane(key_record(MX[1]), config=tls(None))
    network.zone.insecure.add("example.net")
    reached(network.attempt(route=Direct())[0], NAMES[0])
    assert all(kind is not Kind.TLSA for _, kind in network.zone.asked)


@pytest.mark.req("RFC7672-8.1-01", "RFC7672-3.2.2-01")
def test_the_name_sent_in_the_handshake_is_that_of_the_records() -> None:
    ca = CA.create_child_ca()
    names, context = noting(ca.issue_cert("example.net"))  # the domain of the recipient
    ca_der = ssl.PEM_cert_to_DER_cert(ca.cert_pem.bytes().decode())
    record = TLSA(2, 0, 1, hashlib.sha256(ca_der).digest())
    network = with_dane(config=tls(context))
    network.zone.records[NAMES[0]] = "real.example.com"
    network.zone.records["real.example.com"] = {Kind.A: ["192.0.2.1"]}
    network.zone.records["_25._tcp.real.example.com"] = {Kind.TLSA: [record]}
    reached(network.attempt(route=Direct())[0], NAMES[0])
    assert names[0] == "real.example.com"


@pytest.mark.req("RFC8461-2-01")
def test_a_policy_of_mta_sts_does_not_make_up_for_records_that_do_not_fit() -> None:
    server = Server(policy(*NAMES))
    records = key_record(MX[1]), key_record(MX[0])
    network = with_dane(*records, config=tls(*OK), mta_sts=server)
    network.zone.records["_mta-sts.example.net"] = {Kind.TXT: [b"v=STSv1; id=1"]}
    [result] = network.attempt(route=ROUTE)
    assert result.result is Result.UNREACHED
    assert received(network) == [0, 0]


def test_requiretls_is_met_by_dane() -> None:
    leaf = self_signed("nothing.invalid")
    config = tls(server_context(leaf), REQUIRETLS="")
    network = with_dane(key_record(leaf), config=config)
    [result] = network.attempt(route=Direct(), parameters=STRICT)
    reached(result, NAMES[0])
    assert network.hosts[0].mails[0].requiretls


# -- smart hosts -----------------------------------------------------------------------------------

SMART = SmartHost(NAMES[0], 25, verify=TRUST)


def by_name(network: Network, context: ssl.SSLContext | None) -> Host:
    """Let a host be reached by the name of the smart host."""
    host = Host()
    network.simulation.serve(NAMES[0], host, **tls(context)[0])
    network.zone.records[f"_mta-sts.{NAMES[0]}"] = {Kind.TXT: [b"v=STSv1; id=1"]}
    return host


@pytest.mark.req("RFC8461-3.4-01")
@pytest.mark.parametrize(("mx", "context"), [(NAMES[0], WRONG), ("other.example.net", OK[0])])
def test_the_policy_of_a_smart_host_is_that_of_its_own_name(
    mx: str, context: ssl.SSLContext
) -> None:
    network = with_policy(policy(mx))
    host = by_name(network, context)
    del network.zone.records["_mta-sts.example.net"]
    assert network.attempt(route=SMART)[0].result is Result.UNREACHED
    assert host.received == []
    network = with_policy(policy("other.example.org"))
    by_name(network, None)
    del network.zone.records[f"_mta-sts.{NAMES[0]}"]
    reached(network.attempt(route=SMART)[0], NAMES[0])  # the policy of the recipient's domain
    asked = {name for name, kind in network.zone.asked if kind is Kind.TXT}
    assert asked == {f"_mta-sts.{NAMES[0]}"}


@pytest.mark.req("RFC8461-3.4-01")
def test_the_policy_of_a_parent_domain_does_not_count() -> None:
    network = with_policy(policy("other.example.org"), None)
    network.zone.records["sub.example.net"] = {Kind.MX: [DNSMX(10, NAMES[0])]}
    reached(network.attempt("bob@sub.example.net", route=ROUTE)[0], NAMES[0])
    asked = {name for name, kind in network.zone.asked if kind is Kind.TXT}
    assert asked == {"_mta-sts.sub.example.net"}


@pytest.mark.parametrize("context", [OK[1], OK[0], None], ids=["fits", "other key", "no TLS"])
def test_a_smart_host_with_tlsa_records_must_fit_them(context: ssl.SSLContext | None) -> None:
    network = with_dane(key_record(MX[1]))
    host = by_name(network, context)
    [result] = network.attempt(route=SmartHost(NAMES[0], 25))
    assert (result.result is Result.RELAYED) == bool(host.received) == (context is OK[1])


def test_a_smart_host_that_is_an_address_or_a_local_name_is_not_looked_up() -> None:
    for smart_host in ("192.0.2.1", "gateway", "/run/smtp"):
        policies = TLSPolicies(mta_sts=Server(), dane=CERTIFICATES)
        network = Network(policies=policies)
        network.simulation.serve(smart_host, Host(), port=0 if "/" in smart_host else 25)
        port = None if "/" in smart_host else 25
        [result] = network.attempt(route=SmartHost(smart_host, port, lmtp=False))
        assert result.result is Result.RELAYED
        assert network.zone.asked == []


def test_requiretls_keeps_implicit_tls() -> None:
    network = with_dane()
    host = Host()
    options: Any = {"implicit_tls": True, "context": OK[0], "extensions": {"REQUIRETLS": ""}}
    network.simulation.serve(NAMES[0], host, port=465, **options)
    route = SmartHost(NAMES[0], 465, verify=TRUST)
    reached(network.attempt(route=route, parameters=STRICT)[0], NAMES[0])
    assert host.mails[0].requiretls


# -- routes ----------------------------------------------------------------------------------------


def test_what_the_operator_says_of_a_route_comes_first() -> None:
    network = with_dane(key_record(MX[1]), config=tls(OK[0]))
    [result] = network.attempt(route=Direct(tls="none"))
    reached(result, NAMES[0])
    assert result.tls == ""
    [result] = network.attempt(route=Direct(tls="required", verify=TRUST))
    reached(result, NAMES[0])


def test_mail_to_an_address_is_sent_as_the_route_says() -> None:
    network = Network((Host(),), policies=TLSPolicies(mta_sts=Server(), dane=CERTIFICATES))
    [result] = network.attempt("bob@[192.0.2.1]", route=Direct())
    assert result.result is Result.RELAYED
    assert network.zone.asked == []


def test_a_context_of_the_application_does_not_go_with_policies() -> None:
    routes = {"*": Direct(context=ssl.create_default_context())}
    with pytest.raises(ValueError, match="verify and certificate"):
        MTAConfig(hostname="mx.us.test", routes=routes, tls_policies=TLSPolicies(dane=CERTIFICATES))
