"""Checks of DMARC against zones in tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address

from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind, Status
from smtpproto.policy import (
    DKIMCheck,
    DKIMResult,
    DKIMSignature,
    DMARCCheck,
    SPFCheck,
    SPFResult,
    SPFTrace,
    check_dmarc,
)
from smtpproto.testing import Mood, Zone


def zone(records: dict[str, str | list[str]], *hosts: str) -> Zone:
    """Return a zone with these DMARC records by domain, and with *hosts* that exist."""
    found = Zone()
    for domain, texts in records.items():
        octets = [it.encode() for it in ([texts] if isinstance(texts, str) else texts)]
        found.records[f"_dmarc.{domain}" if domain else "_dmarc"] = {Kind.TXT: octets}
    found.records.update({host: {Kind.A: ["192.0.2.1"]} for host in hosts})
    return found


def failing(records: dict[str, str | list[str]], *names: str) -> Zone:
    """Return a zone in which the look-ups of *names* fail."""
    found = zone(records)
    found.moods.update({name: Mood(Status.FAILED) for name in names})
    return found


def spf(domain: str, result: SPFResult = SPFResult.PASS, identity: str = "mailfrom") -> SPFCheck:
    return SPFCheck(
        result=result,
        reason="a reason",
        identity=identity,
        domain=domain,
        sender=f"ann@{domain}",
        client=ip_address("192.0.2.1"),
        helo="mx.test",
        trace=SPFTrace(domain),
    )


def dkim(domain: str, result: DKIMResult = DKIMResult.PASS) -> DKIMCheck:
    signature = DKIMSignature(
        algorithm="rsa-sha256", domain=domain, selector="s1", headers=("from",), body_hash=b"1"
    )
    return DKIMCheck(result=result, reason="a reason", signature=signature)


def check(
    authors: str | Iterable[str],
    found: Zone,
    sender: SPFCheck | None = None,
    signatures: Iterable[DKIMCheck] = (),
    organizational_domain: Callable[[str], str] | None = None,
) -> DMARCCheck:
    return run(
        check_dmarc(authors, sender, signatures, found, organizational_domain=organizational_domain)
    )


def asked(found: Zone) -> list[str]:
    return [name.removeprefix("_dmarc.") for name, kind in found.asked if kind is Kind.TXT]
