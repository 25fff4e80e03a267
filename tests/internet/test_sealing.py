"""A server that passes mail on seals what it found, and the next one may believe it."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.dns import Kind
from smtpproto.policy import Inspection
from smtpproto.testing.internet import Internet
from smtpproto.testing.simulation import CLIENT
from tests.policy.signing import KEYS, ed25519, zone

BACKUP, HOST = "backup.example.org", "mx.example.org"


@pytest.mark.parametrize("trusted", [True, False])
def test_mail_through_a_trusted_backup_is_not_refused_for_its_detour(trusted: bool) -> None:
    internet = Internet(seed=7)
    internet.zone.records |= zone(BACKUP).records
    inspect = Inspection(
        keys=KEYS, refuse_dmarc=True, refuse_spf=True, trusted_sealers=[BACKUP] * trusted
    )
    mailboxes = {"example.org": internet.mailboxes(HOST)}
    internet.mta(HOST, mailboxes, relay_from=(), inspect=inspect)
    internet.domain("example.org", HOST)
    of_sender = {Kind.TXT: [f"v=spf1 ip4:{CLIENT} -all".encode()]}
    internet.zone.records["mail.example.net"] = of_sender
    internet.zone.records["_dmarc.mail.example.net"] = {Kind.TXT: [b"v=DMARC1; p=reject"]}
    seal = ed25519(BACKUP)
    options: Any = {
        "relay_from": (),
        "relay_for": ["example.org"],
        "inspect": inspect,
        "seal": seal,
    }
    backup = internet.mta(BACKUP, **options)

    async def scene() -> None:
        await internet.submit(backup, "first", "ann@mail.example.net", ["bob@example.org"])
        await internet.until_delivered(days=3)

    internet.run(scene())
    arrived = [it for it in internet.record.arrivals if it.host == HOST]
    assert len(arrived) == trusted
    for it in arrived:
        assert b"dmarc=fail" in it.content and b"arc=pass" in it.content
