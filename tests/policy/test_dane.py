"""DANE for mail: which records count, and which certificates fit them (RFC 7672)."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import warnings
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.dns import TLSA, Kind, Status
from smtpproto.policy import DANEFinding, DANEJudge, DANEStatus, find_dane
from smtpproto.testing.zone import Mood, Zone
from tests.support.certificates import CA, LEAF, NAME, der, expired, issued, self_signed

CERTIFICATES = CryptographyCertificates()
NOW = datetime.datetime.now(datetime.UTC).timestamp()
YEAR = 365 * 86400.0
SHA256, SHA512 = b"\x01" * 32, b"\x02" * 64
EE = TLSA(3, 1, 1, SHA256)
HOST, AT = "mx.example.org", "_25._tcp.mx.example.org"


def find(zone: Zone, host: str = HOST) -> DANEFinding:
    return run(find_dane(host, 25, zone))


def signed(*records: TLSA, **more: Any) -> Zone:
    return Zone({HOST: {Kind.A: ["192.0.2.1"]}, AT: {Kind.TLSA: records}, **more}, authentic=True)


def asked(zone: Zone) -> list[str]:
    return [name for name, kind in zone.asked if kind is Kind.TLSA]


# -- records ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC7672-2.2.3-01", "RFC7672-2.2.2-01")
def test_records_are_at_the_port_and_protocol_below_the_name() -> None:
    zone = signed(EE)
    found = find(zone)
    assert (found.status, found.records, found.base) == (DANEStatus.USABLE, (EE,), HOST)
    assert zone.asked == [(HOST, Kind.AAAA), (HOST, Kind.A), (AT, Kind.TLSA)]
    assert run(find_dane(HOST, 26, zone)).status is DANEStatus.NONE


@pytest.mark.req("RFC7672-2.2.2-01")
def test_without_proved_addresses_there_is_no_question_for_records() -> None:
    zone = signed(EE)
    zone.insecure.add(HOST)
    assert find(zone).status is DANEStatus.NONE
    assert asked(zone) == []


def test_records_that_are_not_proved_do_not_count() -> None:
    zone = signed(EE)
    zone.insecure.add(AT)
    assert find(zone).status is DANEStatus.NONE


@pytest.mark.req("RFC7672-2.2.3-01")
def test_the_name_at_the_end_of_aliases_comes_first() -> None:
    zone = Zone(
        {
            HOST: "real.example.net",
            "real.example.net": {Kind.A: ["192.0.2.1"]},
            "_25._tcp.real.example.net": {Kind.TLSA: [EE]},
            AT: {Kind.TLSA: [TLSA(3, 0, 1, SHA256)]},
        },
        authentic=True,
    )
    assert find(zone).base == "real.example.net"
    del zone.records["_25._tcp.real.example.net"]
    assert find(zone).base == HOST
    assert asked(zone)[-2:] == ["_25._tcp.real.example.net", AT]


@pytest.mark.req("RFC7672-2.2-03", "RFC7672-2.1-01")
@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
def test_a_look_up_that_fails_leaves_the_host_out(status: Status) -> None:
    zone = signed(EE)
    zone.moods[AT] = Mood(status)
    assert find(zone).status is DANEStatus.FAILED
    zone.moods[HOST] = Mood(status)
    assert find(zone).status is DANEStatus.FAILED


def test_a_failed_look_up_of_one_family_does_not_matter() -> None:
    zone = signed(EE)
    zone.moods[HOST, Kind.AAAA] = Mood(Status.FAILED)
    assert find(zone).status is DANEStatus.USABLE
    zone.insecure.add(HOST)
    assert find(zone).status is DANEStatus.NONE


def test_a_host_without_records_is_one_without_dane() -> None:
    zone = Zone({HOST: {Kind.A: ["192.0.2.1"]}}, authentic=True)
    assert find(zone).status is DANEStatus.NONE


@pytest.mark.req("RFC7672-3.1.3-01", "RFC7672-2.2-02")
@pytest.mark.parametrize(
    "record",
    [
        TLSA(0, 1, 1, SHA256),
        TLSA(1, 0, 1, SHA256),
        TLSA(4, 1, 1, SHA256),
        TLSA(255, 1, 1, SHA256),
        TLSA(3, 2, 1, SHA256),
        TLSA(3, 1, 3, SHA256),
        TLSA(3, 1, 1, SHA256[1:]),
        TLSA(3, 1, 1, SHA512),
        TLSA(3, 1, 2, SHA256),
        TLSA(3, 1, 0, b""),
        TLSA(3, 0, 0, b"junk"),
    ],
)
def test_a_record_of_another_kind_or_a_malformed_one_is_of_no_use(record: TLSA) -> None:
    found = find(signed(record))
    assert (found.status, found.records) == (DANEStatus.UNUSABLE, ())
    assert find(signed(record, EE)).records == (EE,)


@pytest.mark.req("RFC7672-5-01")
def test_only_the_strongest_digest_of_a_usage_and_selector_counts() -> None:
    strong, full = TLSA(3, 1, 2, SHA512), TLSA(3, 1, 0, b"\x30\x00")
    other, weak = TLSA(3, 0, 1, SHA256), TLSA(2, 1, 1, SHA256)
    assert find(signed(EE, strong, full, other, weak)).records == (strong, full, other, weak)
    assert find(signed(EE, TLSA(3, 1, 2, SHA256))).records == (EE,)  # that one is malformed


@given(
    st.lists(
        st.builds(
            TLSA, st.integers(0, 4), st.integers(0, 3), st.integers(0, 4), st.binary(max_size=70)
        ),
        max_size=5,
    ),
    st.lists(st.binary(max_size=40) | st.just(der(LEAF)), max_size=3),
)
def test_no_records_and_no_certificates_make_it_raise(
    records: list[TLSA], chain: list[bytes]
) -> None:
    found = find(signed(*records))
    judge = DANEJudge(
        records=tuple(records), names=(NAME,), certificates=CERTIFICATES, utc=lambda: NOW
    )
    assert found.reason
    if not judge.fault(chain):
        assert chain and records


# -- certificates ----------------------------------------------------------------------------------


def spki(certificate: bytes) -> bytes:
    return CERTIFICATES.public_key(certificate)


def record(usage: int, selector: int, matching: int, certificate: bytes) -> TLSA:
    data = spki(certificate) if selector else certificate
    digests = {1: hashlib.sha256, 2: hashlib.sha512}
    return TLSA(usage, selector, matching, digests[matching](data).digest() if matching else data)


def fault(
    chain: Sequence[bytes], *records: TLSA, names: Sequence[str] = (NAME,), now: float = NOW
) -> str:
    judge = DANEJudge(
        records=tuple(records), names=tuple(names), certificates=CERTIFICATES, utc=lambda: now
    )
    return judge.fault(chain)


ROOT_DER = ssl.PEM_cert_to_DER_cert(CA.cert_pem.bytes().decode())
MIDDLE = CA.create_child_ca()
MIDDLE_LEAF = MIDDLE.issue_cert(NAME)
MIDDLE_DER = ssl.PEM_cert_to_DER_cert(MIDDLE.cert_pem.bytes().decode())
CHAIN = [der(MIDDLE_LEAF), MIDDLE_DER, ROOT_DER]
KINDS = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]
OLD = expired(CA, "other.example")


@pytest.mark.req("RFC7672-3.1.1-01")
@pytest.mark.parametrize(("selector", "matching"), KINDS)
def test_dane_ee_fits_the_server_s_own_certificate_whatever_its_dates_and_names(
    selector: int, matching: int
) -> None:
    for chain in ([der(OLD)], [der(OLD), ROOT_DER], [der(self_signed("x.test"))]):
        assert fault(chain, record(3, selector, matching, chain[0])) == ""
        assert fault([der(LEAF), *chain], record(3, selector, matching, chain[0])) != ""


@pytest.mark.req("RFC7672-3.2.2-01")
@pytest.mark.parametrize(("selector", "matching"), KINDS)
@pytest.mark.parametrize("anchor", [1, 2])
def test_dane_ta_fits_an_issuer_of_the_chain(anchor: int, selector: int, matching: int) -> None:
    it = record(2, selector, matching, CHAIN[anchor])
    assert fault(CHAIN, it) == ""
    assert fault(CHAIN, it, names=["base.example", NAME]) == ""
    assert "none of other.example" in fault(CHAIN, it, names=["other.example"])
    assert "expired" in fault(CHAIN, it, now=NOW + 2000 * YEAR)
    assert fault([der(LEAF), ROOT_DER], record(2, selector, matching, MIDDLE_DER)) != ""


def test_a_record_with_the_whole_certificate_of_a_ca_needs_no_copy_in_the_chain() -> None:
    assert fault(CHAIN[:2], record(2, 0, 0, ROOT_DER)) == ""
    assert fault(CHAIN[:1], record(2, 0, 0, ROOT_DER)) != ""


@pytest.mark.parametrize("others", [*permutations((MIDDLE_DER, ROOT_DER, der(OLD)))], ids=range(6))
def test_the_certificates_after_the_first_may_have_any_order_and_be_too_many(
    others: Sequence[bytes],
) -> None:
    chain = [der(MIDDLE_LEAF), *others]
    assert fault(chain, record(2, 0, 1, ROOT_DER)) == ""
    assert fault(chain, record(2, 1, 1, MIDDLE_DER)) == ""
    assert fault([it for it in chain if it != MIDDLE_DER], record(2, 0, 1, ROOT_DER)) != ""


def test_a_server_s_own_certificate_is_no_ca_of_it() -> None:
    own = der(self_signed())
    assert fault([own], record(2, 0, 1, own)) != ""
    assert fault([own, own], record(2, 0, 1, own)) != ""


def test_the_chain_must_hold_up_to_the_certificate_that_fits() -> None:
    stranger = trustme.CA()
    leaf = der(stranger.issue_cert(NAME))
    assert "issued by another" in fault([leaf, ROOT_DER], record(2, 1, 1, ROOT_DER))
    forged = bytearray(CHAIN[0])
    forged[-1] ^= 1
    assert fault([bytes(forged), *CHAIN[1:]], record(2, 1, 1, ROOT_DER)) != ""
    assert "no CA" in fault(
        [der(OLD), der(LEAF)], record(2, 0, 1, der(LEAF)), now=NOW - 1.5 * 86400
    )


@pytest.mark.req("RFC7672-3.2.2-01")
@pytest.mark.parametrize(
    ("own", "name", "fits"),
    [
        ("mx.example.org", "MX.example.org", True),
        ("*.example.org", "mx.example.org", True),
        ("*.example.org", "a.mx.example.org", False),
        ("*.example.org", "example.org", False),
        ("*.org", "example.org", False),
        ("*", "org", False),
        ("m*.example.org", "mx.example.org", False),
    ],
)
def test_a_name_fits_exactly_or_by_a_wildcard(own: str, name: str, fits: bool) -> None:
    leaf = der(issued(CA, x509.DNSName(own)))
    assert (fault([leaf, ROOT_DER], record(2, 0, 1, ROOT_DER), names=[name]) == "") is fits


def test_a_common_name_is_no_name() -> None:
    leaf = der(issued(CA, subject=NAME))
    assert fault([leaf, ROOT_DER], record(2, 0, 1, ROOT_DER)) != ""


@pytest.mark.parametrize(
    ("usage", "fits"),
    [
        ([ExtendedKeyUsageOID.CLIENT_AUTH], False),
        ([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
    ],
)
def test_a_certificate_that_is_not_for_servers_is_not_taken(
    usage: list[x509.ObjectIdentifier], fits: bool
) -> None:
    leaf = der(issued(CA, x509.DNSName(NAME), usage=usage))
    found = fault([leaf, ROOT_DER], record(2, 0, 1, ROOT_DER))
    assert found == ("" if fits else "a TLSA record fits an issuer, but a certificate of its chain "
                     "is not one for servers")  # fmt: skip
    assert fault([leaf], record(3, 1, 1, leaf)) == ""


VERSION = b"\xa0\x03\x02\x01"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (VERSION + b"\x02", VERSION + b"\x03"),  # a version that does not exist
        (b"\x82\x0emx.example.org", b"\xa3\x0emx.example.org"),  # a name that is an X.400 address
        (b"\x82\x0emx.example.org", b"\x82\x0e\xff\xfe.example.org"),
    ],
    ids=["version", "x400", "name"],
)
@pytest.mark.parametrize("usage", [2, 3])
def test_a_certificate_that_cannot_be_read_is_a_fault(old: bytes, new: bytes, usage: int) -> None:
    whole = der(LEAF)
    assert old in whole
    chain = [whole.replace(old, new), ROOT_DER]
    assert fault(chain, record(usage, 1, 1, ROOT_DER))
    fault([whole, chain[0], ROOT_DER], record(2, 1, 1, ROOT_DER))  # raises nothing


@given(st.lists(st.tuples(st.integers(0, len(der(LEAF)) - 1), st.integers(0, 255)), max_size=3))
def test_whatever_octets_of_a_certificate_are_changed_nothing_is_raised(
    changes: list[tuple[int, int]],
) -> None:
    changed = bytearray(der(LEAF))
    for at, octet in changes:
        changed[at] = octet
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cryptography, about numbers that are not positive
        fault([bytes(changed), ROOT_DER], record(3, 1, 1, ROOT_DER), record(2, 0, 1, ROOT_DER))


def test_what_the_server_shows_may_be_nothing_or_junk() -> None:
    assert "no certificate" in fault([], record(3, 1, 1, der(LEAF)))
    assert "malformed" in fault([b"junk"], record(3, 1, 1, der(LEAF)))
    assert "malformed" in fault([der(LEAF), b"junk"], record(2, 1, 1, ROOT_DER))
    assert "malformed" in fault([b"junk"], record(2, 0, 0, ROOT_DER))
    assert "10" in fault([der(LEAF)] + [MIDDLE_DER] * 10 + [ROOT_DER], record(2, 0, 1, ROOT_DER))
