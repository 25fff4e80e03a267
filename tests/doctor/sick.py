"""The domain of the example in docs/doctor.md, with three faults."""

from __future__ import annotations

from smtpproto.dns import Kind
from tests.doctor.healthy import DOMAIN, World
from tests.support.certificates import CA


def sick_world() -> World:
    """Return a world with a wrong certificate, a bad SPF record and no DMARC record."""
    world = World()
    world.serve("mx2.example.org", CA.issue_cert("www.example.org"))
    world.publish(DOMAIN, Kind.TXT, b"v=spf1 mx ipv4:192.0.2.1 -all")
    world.publish(f"_dmarc.{DOMAIN}", Kind.TXT)
    return world
