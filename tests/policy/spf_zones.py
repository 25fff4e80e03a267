"""Checks of SPF against zones in tables."""

from __future__ import annotations

from collections.abc import Sequence

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Kind, Record
from smtpproto.policy.spf import SPFCheck, SPFRequest, check_spf
from smtpproto.policy.spf_record import SPFResult
from smtpproto.testing import Zone
from smtpproto.testing.zone import Records

CLIENT = "192.0.2.1"
Rows = dict[Kind, Sequence[Record]]
NOW = 1_700_000_000.5


def txt(*records: str) -> Rows:
    return {Kind.TXT: [record.encode("latin-1") for record in records]}


def hosts(*names: str) -> Rows:
    return {Kind.MX: [MX(10, name) for name in names]}


def address(*addresses: str) -> Rows:
    return {
        Kind.A: [it for it in addresses if "." in it],
        Kind.AAAA: [it for it in addresses if ":" in it],
    }


def pointers(*names: str) -> Rows:
    return {Kind.PTR: list(names)}


HERE = address(CLIENT, "2001:db8::1")
ELSEWHERE = address("198.51.100.1", "2001:db8:ffff::1")
REVERSE = "1_2_0_192_in__addr_arpa"
"""Where the names of the client are, for :func:`zone`."""


def asked(names: Zone, name: str = "") -> list[tuple[str, Kind]]:
    """The questions about *name* and names that end so."""
    return [it for it in names.asked if it[0].endswith(name)]


def zone(record: str, /, **others: Records) -> Zone:
    """A zone in which *record* is that of example.org; ``_`` in a name is a dot."""
    names = {name.replace("__", "-").replace("_", "."): it for name, it in others.items()}
    own = names.pop("example.org", {})
    assert not isinstance(own, str)
    return Zone({"example.org": {**own, **txt(record)}, **names})


def check(
    zone: Zone,
    client: str = CLIENT,
    helo: str = "mx.example.net",
    sender: str | None = "ann@example.org",
    receiver: str = "mx.example.com",
    voids: int = 2,
) -> SPFCheck:
    """Check a sender of example.org, unless told otherwise."""
    request = SPFRequest(client=client, helo=helo, sender=sender, now=NOW, receiver=receiver)
    return run(check_spf(request, zone, voids=voids))


def result(record: str, client: str = CLIENT, /, **others: Records) -> SPFResult:
    """The result for a record of example.org."""
    return check(zone(record, **others), client).result
