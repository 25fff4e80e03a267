"""Where reports of DMARC may be sent."""

from __future__ import annotations

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind
from smtpproto.policy import ReportDestination, report_destinations
from smtpproto.testing import Zone

from .dmarc_zones import failing, zone

RECORD = "v=DMARC1; p=none"


def destination(domain: str, uri: str, found: Zone) -> ReportDestination:
    [it] = run(report_destinations(domain, [uri], found))
    return it


def agreeing(name: str, *texts: str) -> Zone:
    found = zone({"blue.test": RECORD, "test": "v=DMARC1; psd=y"})
    found.records[name] = {Kind.TXT: [it.encode() for it in texts]}
    return found


NAME = "blue.test._report._dmarc.red.test"


@pytest.mark.parametrize("address", ["a@blue.test", "a@mail.blue.test", "a@BLUE.test"])
def test_addresses_in_the_organization_need_no_consent(address: str) -> None:
    it = destination("x.blue.test", f"mailto:{address}", agreeing("other.test"))
    assert [str(box) for box in it.mailboxes] == [address]
    assert "is in the organization" in it.reason


@pytest.mark.req("RFC9990-4-01", "RFC9990-4-02")
@pytest.mark.parametrize(
    ("texts", "agrees"),
    [
        (["v=DMARC1"], True),
        (["v=DMARC1;"], True),
        (["v=spf1", "v=DMARC1; x=y"], True),
        (["v=DMARC1", "v=DMARC1"], True),
        ([], False),
        (["x=y; v=DMARC1"], False),
        (["v=DMARC2"], False),
        (["yes"], False),
    ],
)
def test_addresses_elsewhere_need_the_consent_of_their_domain(
    texts: list[str], agrees: bool
) -> None:
    found = agreeing(NAME, *texts)
    it = destination("blue.test", "mailto:reports@red.test", found)
    assert [str(box) for box in it.mailboxes] == (["reports@red.test"] if agrees else [])
    assert (NAME, Kind.TXT) in found.asked
    assert NAME in it.reason
    assert not it.temporary


@pytest.mark.req("RFC9990-4-03")
@pytest.mark.parametrize(
    ("rua", "expected"),
    [
        ("mailto:new@red.test", ["new@red.test"]),
        ("mailto:new@RED.test,mailto:two@red.test", ["new@RED.test", "two@red.test"]),
        ("mailto:victim@green.test", ["reports@red.test"]),
        ("mailto:a@mail.red.test", ["reports@red.test"]),
        ("https://red.test/", ["reports@red.test"]),
    ],
)
def test_the_receiver_may_name_other_addresses_of_its_own(rua: str, expected: list[str]) -> None:
    it = destination("blue.test", "mailto:reports@red.test", agreeing(NAME, f"v=DMARC1; rua={rua}"))
    assert [str(box) for box in it.mailboxes] == expected


def test_the_addresses_that_a_receiver_may_name_are_bounded() -> None:
    rua = ",".join(f"mailto:a{number}@red.test" for number in range(1000))
    it = destination(
        "blue.test", "mailto:a@red.test", agreeing(NAME, *[f"v=DMARC1; rua={rua}"] * 2)
    )
    assert [str(box) for box in it.mailboxes] == [f"a{number}@red.test" for number in range(10)]


def test_a_list_of_public_suffixes_replaces_the_tree_walk() -> None:
    found, uris = zone({}), ["mailto:a@red.test"]
    made = report_destinations("blue.test", uris, found, organizational_domain=lambda name: "test")
    assert [len(it.mailboxes) for it in run(made)] == [1]
    assert not found.asked


def test_names_are_asked_for_as_a_labels() -> None:
    found = agreeing("xn--bcher-kva.test._report._dmarc.xn--rd-fka.test", "v=DMARC1")
    assert destination("Bücher.test", "mailto:a@r%C3%B6d.test", found).mailboxes


@pytest.mark.parametrize(
    "uri", ["https://a.test/", "mailto:", "mailto:a", "mailto:a@[192.0.2.1]", "x"]
)
def test_only_mail_to_a_domain_is_supported(uri: str) -> None:
    it = destination("blue.test", uri, zone({}))
    assert (it.mailboxes, it.reason) == ((), "not a mailto: address at a domain")


@pytest.mark.req("RFC9990-4-04")
def test_a_name_that_is_too_long_is_no_consent() -> None:
    domain = ".".join(["a" * 60] * 3) + ".test"
    it = destination(domain, "mailto:a@" + ".".join(["b" * 60] * 2) + ".test", zone({}))
    assert not it.mailboxes and "too long" in it.reason


@pytest.mark.parametrize("name", [NAME, "_dmarc.blue.test", "_dmarc.red.test"])
def test_without_an_answer_it_is_to_be_tried_later(name: str) -> None:
    it = destination("blue.test", "mailto:a@red.test", failing({"blue.test": RECORD}, name))
    assert (it.mailboxes, it.temporary) == ((), True)
    assert f"no answer of the DNS for {name}" in it.reason


@pytest.mark.req("RFC9990-3.5-01")
def test_all_addresses_are_considered_in_their_order() -> None:
    uris = ["mailto:c@red.test", "mailto:a@blue.test", "x:y", "mailto:b@blue.test"]
    found = run(report_destinations("blue.test", uris, agreeing("other.test")))
    assert [it.uri for it in found] == uris
    assert [len(it.mailboxes) for it in found] == [0, 1, 0, 1]
