"""Version 1 of the PROXY protocol: one line of text (section 2.1 of its specification)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.wire.proxy import V1_LINE, ProxyHeader, ProxyTLS
from tests.support.proxy_headers import ANN, ANN6, MX, MX6, read


def test_the_example_of_the_specification_is_read() -> None:
    request = b"GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n"
    header, rest = read(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" + request)
    assert header == ProxyHeader(("192.168.0.1", 56324), ("192.168.0.11", 443))
    assert rest == request


@pytest.mark.parametrize(
    ("line", "header"),
    [("TCP4 255.255.255.255 255.255.255.255 65535 65535",
      ProxyHeader(("255.255.255.255", 65535), ("255.255.255.255", 65535))),
     ("TCP4 0.0.0.0 0.0.0.0 0 0", ProxyHeader(("0.0.0.0", 0), ("0.0.0.0", 0))),
     ("TCP6 " + ("ffff:" * 8)[:-1] + " " + ("FFFF:" * 8)[:-1] + " 65535 65535",
      ProxyHeader((("ffff:" * 8)[:-1], 65535), (("ffff:" * 8)[:-1], 65535))),
     ("TCP6 2001:DB8:0:0::1 2001:0db8::0019 65535 0", ProxyHeader(ANN6, MX6)),
     ("TCP6 :: ::1 1 2", ProxyHeader(("::", 1), ("::1", 2))),
     ("TCP6 ::ffff:192.0.2.1 ::FFFF:c000:201 1 2",
      ProxyHeader(("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.1", 2))),
     ("UNKNOWN", ProxyHeader()),
     ("UNKNOWN ", ProxyHeader()),
     ("UNKNOWN " + ("ffff:" * 8)[:-1] + " " + ("ffff:" * 8)[:-1] + " 65535 65535", ProxyHeader()),
     ("UNKNOWN anything \0 \xff at all", ProxyHeader())],
)  # fmt: skip
def test_valid_lines_are_read(line: str, header: ProxyHeader) -> None:
    octets = f"PROXY {line}\r\n".encode("latin-1")
    assert read(octets + b"EHLO") == (header, b"EHLO")


@pytest.mark.parametrize(
    ("fields", "offset"),
    [("192.0.2.1 192.0.2.2 1", 0), ("192.0.2.1 192.0.2.2 1 2 3", 0), ("192.0.2.1 1 2", 0),
     ("", 0), (" 192.0.2.1 192.0.2.2 1 2", 0), ("192.0.2.1  192.0.2.2 1 2", 0),
     ("192.0.2.1 192.0.2.2 1  2", 0), ("192.0.2.1 192.0.2.2 1 2 ", 0),
     ("192.0.2.1 192.0.2.2 01 2", 0), ("192.0.2.1 192.0.2.2 1 00", 0),
     ("192.0.2.1 192.0.2.2 65536 2", 11), ("192.0.2.1 192.0.2.2 1 99999", 11),
     ("192.0.2.1 192.0.2.2 100000 2", 0), ("192.0.2 192.0.2.2 1 2", 11),
     ("192.0.2.1.1 192.0.2.2 1 2", 11), ("192.0.2.256 192.0.2.2 1 2", 11),
     ("192.0.2.01 192.0.2.2 1 2", 11), ("192.0.2.1 3232235777 1 2", 11)],
)  # fmt: skip
def test_lines_with_bad_fields_are_refused_when_they_are_complete(fields: str, offset: int) -> None:
    line = f"PROXY TCP4 {fields}\r\n".encode()
    with pytest.raises(GrammarError) as caught:
        read(line)
    assert caught.value.offset == (offset or len(line))
    assert read(line[:-1]) == (None, b"")  # 2.1: the fields are checked when the line is complete


@pytest.mark.parametrize(
    ("line", "offset"),
    [(b"TCP4 192.0.2.1 192.0.2.2 1 2\n", 34), (b"TCP4 192.0.2.1 192.0.2.2 1 2\rX", 34),
     (b"TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", 34), (b"TCP4 192.0.2.1\r\n 192.0.2.2 1 2\r\n", 22),
     (b"TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", 31), (b"TCP4 192.0.2.1 192.0.2.2 1_0 2\r\n", 32),
     (b"TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", 31), (b"TCP4 192.0.2.1\t192.0.2.2 1 2\r\n", 20),
     (b"TCP4 2001:db8::1 192.0.2.2 1 2\r\n", 15), (b"TCP4 \xd9\xa1.0.2.1 192.0.2.2 1 2\r\n", 11),
     (b"TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", 20), (b"TCP4 mx.example.org 192.0.2.2", 11),
     (b"TCP6 2001:db8::1 2001:db8::2 1 2\n", 38), (b"TCP6 fe80::1%eth0 ::1 1 2\r\n", 18),
     (b"TCP6 192.0.2.1 192.0.2.2 1 2\r\n", 11), (b"TCP6 2001:db8::1 192.0.2.2 1 2\r\n", 11),
     (b"TCP6 192.0.2.1 ::1 1 2\r\n", 11), (b"TCP6 ::1::2 ::1 1 2\r\n", 11),
     (b"TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 11), (b"TCP6 00001::1 ::1 1 2\r\n", 11),
     (b"TCP6 [::1] ::1 1 2\r\n", 11), (b"UNKNOWN x\ny\r\n", 15), (b"UNKNOWN x\ry\r\n", 15)],
)  # fmt: skip
def test_bad_lines_are_refused_at_their_first_wrong_octet_or_field(
    line: bytes, offset: int
) -> None:
    with pytest.raises(GrammarError) as caught:
        read(b"PROXY " + line)
    assert caught.value.offset == offset


@pytest.mark.req("PROXY-2.1-01")
def test_a_line_of_more_than_107_octets_is_refused() -> None:
    longest = b"PROXY UNKNOWN ".ljust(V1_LINE - 2, b"x")
    assert read(longest + b"\r\n.") == (ProxyHeader(), b".")
    assert read(longest) == read(longest + b"\r") == (None, b"")
    for longer in (longest + b"x\r\n", longest + b"x", longest + b"x" * 10**6):
        with pytest.raises(GrammarError, match="107"):
            read(longer)


def test_a_written_line_has_only_addresses_and_ports() -> None:
    header = ProxyHeader(ANN, MX, tls=ProxyTLS(), tlvs=((5, b"id"),))
    assert header.v1() == b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n"
    assert ProxyHeader().v1() == ProxyHeader(local=True).v1() == b"PROXY UNKNOWN\r\n"
