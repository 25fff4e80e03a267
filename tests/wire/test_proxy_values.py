"""ProxyHeader and ProxyTLS: which values they refuse, and the form in which they keep them."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.errors import GrammarError
from smtpproto.wire.proxy import V2_HEADER, ProxyHeader, ProxyTLS
from tests.support.proxy_headers import ANN, ANN6, MX, MX6


@pytest.mark.parametrize(
    ("source", "destination"),
    [(ANN, None), (None, MX), (ANN, MX6), (ANN6, MX), (("192.0.2.1", -1), MX), (ANN, ("::1", 1)),
     (("192.0.2.1", 65536), MX), (("192.0.2.1", True), MX), (("192.0.2.1", "25"), MX),
     (("192.0.2.1", 2.0), MX), (("mx.example.org", 1), MX), (("", 1), MX), ((b"\0\0\0\0", 1), MX),
     ((5, 1), MX), (("fe80::1%eth0", 1), MX6), (("192.0.2.1\r\n", 1), MX), (("192.0.2.1 ", 1), MX),
     (("[::1]", 1), MX6)],
)  # fmt: skip
def test_a_header_with_invalid_addresses_or_ports_is_refused(source: Any, destination: Any) -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(source, destination)


@pytest.mark.parametrize(
    "more",
    [{"tlvs": ((3, b""),)}, {"tlvs": ((4, b""),)}, {"tlvs": ((0x20, b""),)},
     {"tlvs": ((256, b""),)}, {"tlvs": ((-1, b""),)}, {"tlvs": ((True, b""),)},
     {"tlvs": ((5, "x"),)},
     {"tlvs": ((5, bytes(V2_HEADER + 1)),)}, {"tlvs": ((5, bytes(70000)),)}, {"local": True},
     {"tlvs": ((5, bytes(V2_HEADER - 28 - 2)),)}, {"tlvs": ((5, bytes(4000)),) * 20}],
)  # fmt: skip
def test_invalid_tlvs_and_local_headers_with_addresses_are_refused(more: Any) -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(ANN, MX, **more)


def test_tls_and_tlvs_without_addresses_are_refused() -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(tls=ProxyTLS())
    with pytest.raises(GrammarError):
        ProxyHeader(tlvs=((5, b""),))


@pytest.mark.parametrize("text", ["\r\n", "\0", "a\nb", "\x7f", "\u2028", "\ud800", "x" * 5000])
def test_texts_that_are_not_printable_are_refused(text: Any) -> None:
    for name in ("version", "common_name"):
        with pytest.raises(GrammarError):
            ProxyTLS(**{name: text})


def test_addresses_are_kept_in_canonical_form() -> None:
    header = ProxyHeader(("2001:DB8:0::1", 65535), ("2001:0db8::0019", 0))
    assert (header.source, header.destination) == (ANN6, MX6)
    assert hash(header) == hash(ProxyHeader(ANN6, MX6))
