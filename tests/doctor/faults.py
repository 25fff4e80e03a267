"""Faults of domains, each with what the doctor must say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen

from smtpproto import Reply
from smtpproto.dns import MX, TLSA, Kind, Record, Status
from smtpproto.doctor import Severity, Subject
from smtpproto.policy import DKIMKey, MTASTSMode
from smtpproto.testing.zone import Mood
from tests.doctor.healthy import DOMAIN, HOSTS, LEAVES, SELECTOR, Mailboxes, World, tlsa
from tests.support.certificates import CA, expired, self_signed

MX1, MX2 = HOSTS
KEY = f"{SELECTOR}._domainkey.{DOMAIN}"
DMARC = f"_dmarc.{DOMAIN}"
TLSA_NAME = f"_25._tcp.{MX1}"
_POINTER = "1.100.51.198.in-addr.arpa"
_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_SHORT_KEY = DKIMKey(public_key=b"")


@frozen
class Fault:
    """A fault, and the finding that it leads to."""

    name: str
    subject: Subject
    severity: Severity
    what: str
    """Words of what is."""
    mend: str
    """Words of what to do, or of the record to publish."""
    plant: Callable[[World], object]


def _records(name: str, kind: Kind, *records: Record) -> Callable[[World], None]:
    return lambda world: world.publish(name, kind, *records)


def _spf(text: str) -> Callable[[World], None]:
    return _records(DOMAIN, Kind.TXT, text.encode())


def _key(record: bytes) -> Callable[[World], None]:
    return _records(KEY, Kind.TXT, record)


def _no_mx(world: World) -> None:
    world.publish(DOMAIN, Kind.MX)
    world.publish(DOMAIN, Kind.A, HOSTS[MX1])


def _no_host(world: World) -> None:
    world.publish(DOMAIN, Kind.MX)


def _alias(world: World) -> None:
    world.publish("real.example.org", Kind.A, HOSTS[MX1])
    world.alias(MX1, "real.example.org")


def _silent(world: World) -> None:
    world.net.host(HOSTS[MX1]).faults = evolve(world.net.host(HOSTS[MX1]).faults, silent=True)


def _broken_tls(world: World) -> None:
    world.net.host(HOSTS[MX1]).faults = evolve(world.net.host(HOSTS[MX1]).faults, breaks_tls=True)


def _mailboxes(boxes: Mailboxes) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.mailboxes = boxes

    return plant


def _looks_up_much(world: World) -> None:
    names = [f"n{number}.example.net" for number in range(11)]
    for name in names:
        world.publish(name, Kind.A, "192.0.2.7")
    world.publish(DOMAIN, Kind.TXT, f"v=spf1 mx a:{' a:'.join(names)} -all".encode())


def _mood(name: str, kind: Kind, status: Status) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.zone.moods[name, kind] = Mood(status)

    return plant


def _policy(**changes: Any) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.web.policy = evolve(world.web.policy, **changes)

    return plant


def _no_policy(world: World) -> None:
    world.web.status = 404


def _other_name(world: World) -> None:
    world.publish(_POINTER, Kind.PTR, "host.example.net")
    world.publish("host.example.net", Kind.A, "192.0.2.7")


FAULTS = (
    Fault("no-mx", Subject.MX, _WARNING, "no MX record", "IN MX 10", _no_mx),
    Fault("no-host", Subject.MX, _ERROR, "neither an MX record nor an address", "MX", _no_host),
    Fault(
        "null-mx-beside-others", Subject.MX, _WARNING, "null MX beside", "Remove",
        _records(DOMAIN, Kind.MX, MX(0, ""), MX(10, MX1)),
    ),
    Fault(
        "mx-unanswered", Subject.MX, _ERROR, "did not answer", "name servers",
        _mood(DOMAIN, Kind.MX, Status.FAILED),
    ),
    Fault("mx-without-address", Subject.MX, _ERROR, "no address", "IN A", _records(MX1, Kind.A)),
    Fault(
        "mx-is-an-address", Subject.MX, _ERROR, "does not name a host", "A or AAAA",
        _records(DOMAIN, Kind.MX, MX(10, "198.51.100.1..")),
    ),
    Fault("mx-is-an-alias", Subject.MX, _WARNING, "alias", "Name real.example.org", _alias),
    Fault(
        "mx-on-loopback", Subject.MX, _ERROR, "a loopback address", "public address",
        _records(MX1, Kind.A, "127.0.0.1"),
    ),
    Fault(
        "mx-in-private-network", Subject.MX, _ERROR, "a private address", "public address",
        _records(MX1, Kind.A, "10.1.2.3"),
    ),
    Fault(
        "no-ptr", Subject.PTR, _ERROR, "no name (PTR)", f"{_POINTER}. IN PTR",
        _records(_POINTER, Kind.PTR),
    ),
    Fault(
        "ptr-leads-elsewhere", Subject.PTR, _ERROR, "does not lead back", "IN A 198.51.100.1",
        _records(_POINTER, Kind.PTR, "customer-1.example.net"),
    ),
    Fault(
        "ptr-of-another-host", Subject.PTR, _ERROR, "does not lead back", "IN A 198.51.100.1",
        _other_name,
    ),
    Fault("port-25-silent", Subject.PORT, _ERROR, "not reached", "firewalls", _silent),
    Fault(
        "greeting-refuses", Subject.PORT, _ERROR, "Go away", "from everybody",
        _mailboxes(Mailboxes(greeting=Reply(554, "5.7.1", "Go away"))),
    ),
    Fault(
        "no-starttls", Subject.STARTTLS, _ERROR, "does not offer STARTTLS", "certificate",
        lambda world: world.serve(MX1, tls=False),
    ),
    Fault("tls-breaks", Subject.STARTTLS, _ERROR, "TLS", "TLS 1.2", _broken_tls),
    Fault(
        "certificate-expired", Subject.CERTIFICATE, _ERROR, "expired", "Renew",
        lambda world: world.serve(MX1, expired(CA, MX1)),
    ),
    Fault(
        "certificate-for-another-name", Subject.CERTIFICATE, _ERROR, "mismatch", f"name {MX1}",
        lambda world: world.serve(MX1, CA.issue_cert("www.example.org")),
    ),
    Fault(
        "certificate-self-signed", Subject.CERTIFICATE, _ERROR, "self", "public CA",
        lambda world: world.serve(MX1, self_signed(MX1)),
    ),
    Fault(
        "no-postmaster", Subject.POSTMASTER, _ERROR, "550 5.1.1", "alias for postmaster@",
        _mailboxes(Mailboxes(("postmaster",))),
    ),
    Fault(
        "no-abuse", Subject.POSTMASTER, _WARNING, "550 5.1.1", "alias for abuse@",
        _mailboxes(Mailboxes(("abuse",))),
    ),
    Fault(
        "no-spf", Subject.SPF, _ERROR, "no SPF record", "v=spf1 mx ~all",
        _records(DOMAIN, Kind.TXT),
    ),
    Fault(
        "two-spf-records", Subject.SPF, _ERROR, "2 SPF records", "one",
        _records(DOMAIN, Kind.TXT, b"v=spf1 mx -all", b"v=spf1 a -all"),
    ),
    Fault(
        "spf-typo", Subject.SPF, _ERROR, "ipv4:", "Correct",
        _spf("v=spf1 mx ipv4:192.0.2.1 -all"),
    ),
    Fault("spf-too-many-terms", Subject.SPF, _ERROR, "12 terms ask", "ip4", _looks_up_much),
    Fault(
        "spf-plus-all", Subject.SPF, _ERROR, "every host", "~all or -all",
        _spf("v=spf1 mx +all"),
    ),
    Fault(
        "spf-without-all", Subject.SPF, _WARNING, "does not end with all", "~all",
        _spf("v=spf1 mx"),
    ),
    Fault(
        "sender-not-in-spf", Subject.SPF, _ERROR, "may not send", "ip4:198.51.100.1",
        _spf("v=spf1 ip4:192.0.2.0/24 -all"),
    ),
    Fault("no-dkim-key", Subject.DKIM, _ERROR, "no key", f"{KEY}. IN TXT", _records(KEY, Kind.TXT)),
    Fault("dkim-key-malformed", Subject.DKIM, _ERROR, "tag", "Correct", _key(b"v=DKIM1; k=rsa; p")),
    Fault(
        "dkim-key-revoked", Subject.DKIM, _ERROR, "revoked", "another selector",
        _key(b"v=DKIM1; p="),
    ),
    Fault("dkim-key-cut", Subject.DKIM, _ERROR, "key", "anew", _key(b"v=DKIM1; p=MIIBIjANBgkq")),
    Fault(
        "dkim-key-testing", Subject.DKIM, _WARNING, "t=y", "Remove t=y",
        lambda world: world.publish(KEY, Kind.TXT, b"t=y; " + _published(world)),
    ),
    Fault(
        "no-dmarc", Subject.DMARC, _ERROR, "neither the domain nor one above", "v=DMARC1; p=none",
        _records(DMARC, Kind.TXT),
    ),
    Fault(
        "two-dmarc-records", Subject.DMARC, _ERROR, "2 DMARC records", "all but one",
        _records(DMARC, Kind.TXT, b"v=DMARC1; p=none", b"v=DMARC1; p=reject"),
    ),
    Fault(
        "dmarc-without-policy", Subject.DMARC, _ERROR, "no valid policy", "p=none",
        _records(DMARC, Kind.TXT, b"v=DMARC1; p=refuse"),
    ),
    Fault(
        "dmarc-with-removed-tag", Subject.DMARC, _WARNING, "pct=", "Remove it",
        _records(DMARC, Kind.TXT, b"v=DMARC1; p=reject; pct=50"),
    ),
    Fault(
        "dmarc-unanswered", Subject.DMARC, _ERROR, "no answer", "name servers",
        _mood(DMARC, Kind.TXT, Status.FAILED),
    ),
    Fault(
        "dmarc-reports-elsewhere", Subject.DMARC, _WARNING, "does not agree",
        f"{DOMAIN}._report._dmarc.example.net. IN TXT",
        _records(DMARC, Kind.TXT, b"v=DMARC1; p=reject; rua=mailto:d@example.net"),
    ),
    Fault(
        "mta-sts-lacks-host", Subject.MTA_STS, _ERROR, "does not name this host", f"mx: {MX2}",
        _policy(mx=(MX1,)),
    ),
    Fault(
        "mta-sts-in-testing-lacks-host", Subject.MTA_STS, _WARNING, "does not name this host",
        f"mx: {MX2}", _policy(mx=(MX1,), mode=MTASTSMode.TESTING),
    ),
    Fault(
        "mta-sts-policy-missing", Subject.MTA_STS, _WARNING, "answered 404",
        f"https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt", _no_policy,
    ),
    Fault(
        "mta-sts-record-malformed", Subject.MTA_STS, _WARNING, "no id", "v=STSv1; id=",
        _records(f"_mta-sts.{DOMAIN}", Kind.TXT, b"v=STSv1; id=2026-01"),
    ),
    Fault(
        "dane-other-certificate", Subject.DANE, _ERROR, "no TLSA record fits", "before it is used",
        _records(TLSA_NAME, Kind.TLSA, tlsa(LEAVES[MX2])),
    ),
    Fault(
        "dane-unusable", Subject.DANE, _WARNING, "0 of 1 TLSA records", "usage 3",
        _records(TLSA_NAME, Kind.TLSA, TLSA(1, 1, 1, bytes(32))),
    ),
    Fault(
        "dane-unanswered", Subject.DANE, _ERROR, "bogus", "name servers",
        _mood(TLSA_NAME, Kind.TLSA, Status.BOGUS),
    ),
    Fault(
        "dane-without-starttls", Subject.DANE, _ERROR, "does not offer STARTTLS", "certificate",
        lambda world: world.serve(MX1, tls=False),
    ),
    Fault(
        "tls-rpt-malformed", Subject.TLS_RPT, _WARNING, "no rua= with", "rua=mailto:",
        _records(f"_smtp._tls.{DOMAIN}", Kind.TXT, b"v=TLSRPTv1; rua=tls@example.org"),
    ),
)  # fmt: skip


def _published(world: World) -> bytes:
    records = world.zone.records[KEY]
    assert not isinstance(records, str)
    [record] = records[Kind.TXT]
    assert isinstance(record, bytes)
    return record.removeprefix(b"v=DKIM1; ")
