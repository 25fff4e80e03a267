"""The networks that options name, and the peers that are among them."""

from __future__ import annotations

import pytest

from smtpproto.server.networks import is_among, to_networks


@pytest.mark.parametrize(
    ("network", "peer", "among"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::FFFF:c000:201", True),
        ("::ffff:192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.0/120", "192.0.2.77", True),
        ("::ffff:192.0.2.0/120", "192.0.3.1", False),
        ("::ffff:0:0/96", "203.0.113.9", True),
        ("::ffff:0:0/96", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "192.0.2.1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("0.0.0.0/0", "", False),
        ("::/0", "/run/smtp.sock", False),
    ],
)
def test_a_peer_is_in_a_network_however_its_address_is_written(
    network: str, peer: str, among: bool
) -> None:
    assert is_among(peer, to_networks([network])) == among
    assert is_among(peer, to_networks(network)) == among


@pytest.mark.parametrize("value", ["", "localhost", "192.0.2.1/24", " 192.0.2.1", "192.0.2.1:25"])
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        to_networks([value])
