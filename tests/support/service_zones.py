"""A DNS with the hosts of a service of example.org."""

from __future__ import annotations

from smtpproto.dns import SRV, Kind
from smtpproto.testing.zone import Zone


def zone_for(port: int) -> Zone:
    """Return the DNS of example.org, whose mail is submitted to *port* of this host."""
    record = SRV(priority=0, weight=0, port=port, target="localhost")
    return Zone({"_submission._tcp.example.org": {Kind.SRV: [record]}})
