"""The examples in docs/howto/doctor.md."""

from __future__ import annotations

from smtpproto.dns import Kind
from tests.doctor.healthy import DOMAIN, World
from tests.doctor.messages import PLAIN, signed
from tests.support.certificates import CA


def sick_world() -> World:
    """Return a world with a wrong certificate, a bad SPF record and no DMARC record."""
    world = World()
    world.serve("mx2.example.org", CA.issue_cert("www.example.org"))
    world.publish(DOMAIN, Kind.TXT, b"v=spf1 mx ipv4:192.0.2.1 -all")
    world.publish(f"_dmarc.{DOMAIN}", Kind.TXT)
    return world


def sick_message() -> bytes:
    """Return a mailing whose body was changed after it was signed, and that names no way out."""
    return signed(PLAIN + b"List-Id: <news.example.org>\r\n").replace(
        b"\r\n\r\nhello", b"\r\n\r\nhi"
    )
