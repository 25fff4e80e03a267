"""The reader of the PROXY protocol, for both versions: round trips, splits, and refused octets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.testing.strategies import splits
from smtpproto.wire.proxy import Endpoint, ProxyHeader, ProxyReader, ProxyTLS
from tests.support.proxy_headers import ENDS4, SIGNATURE, TLVS, outcome, read, tlv, v2

PORTS = st.integers(0, 65535)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "))
TLS = st.builds(
    ProxyTLS,
    version=TEXTS,
    common_name=TEXTS,
    verified=st.booleans(),
)


def ends() -> SearchStrategy[tuple[Endpoint, Endpoint]]:
    """Two ends of one family."""
    ipv4, ipv6 = (st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
    of_ipv4, of_ipv6 = st.tuples(ipv4, PORTS), st.tuples(ipv6, PORTS)
    return st.tuples(of_ipv4, of_ipv4) | st.tuples(of_ipv6, of_ipv6)


@st.composite
def headers(draw: DrawFn) -> ProxyHeader:
    """Headers with and without addresses."""
    if draw(st.integers(0, 9)) == 0:
        return ProxyHeader(local=draw(st.booleans()))
    return ProxyHeader(*draw(ends()), tls=draw(st.none() | TLS), tlvs=draw(TLVS))


def wire() -> SearchStrategy[bytes]:
    """Headers as they are sent, of both versions."""
    return headers().map(bytes) | headers().map(ProxyHeader.v1)


@given(headers(), st.binary())
@example(ProxyHeader(), b"")
@example(ProxyHeader(local=True), b"\r\n")
def test_reading_a_written_version_2_header_returns_it(header: ProxyHeader, rest: bytes) -> None:
    assert read(bytes(header) + rest) == (header, rest)


@given(ends(), st.binary())
def test_reading_a_written_version_1_header_returns_it(
    ends: tuple[Endpoint, Endpoint], rest: bytes
) -> None:
    header = ProxyHeader(*ends)
    assert read(header.v1() + rest) == (header, rest)
    assert len(header.v1()) <= 104  # 2.1


@given(st.sampled_from((4, 16)), st.data(), PORTS, PORTS, TLVS)
def test_writing_a_read_version_2_header_returns_its_octets(
    size: int,
    data: DataObject,
    port: int,
    destination_port: int,
    tlvs: tuple[tuple[int, bytes], ...],
) -> None:
    """The octets are not made by the library."""
    addresses = data.draw(st.binary(min_size=2 * size, max_size=2 * size))
    block = addresses + port.to_bytes(2) + destination_port.to_bytes(2)
    octets = v2(block + b"".join(tlv(*t) for t in tlvs), {4: 0x11, 16: 0x21}[size])
    header, rest = read(octets)
    assert header is not None and header.source is not None and header.destination is not None
    assert (header.source[1], header.destination[1], rest) == (port, destination_port, b"")
    ip = IPv4Address if size == 4 else IPv6Address
    packed = [ip(host).packed for host, _ in (header.source, header.destination)]
    assert b"".join(packed) == addresses
    assert bytes(header) == octets


@given(ends())
def test_writing_a_read_version_1_header_returns_its_line(ends: tuple[Endpoint, Endpoint]) -> None:
    (source, port), (destination, destination_port) = ends
    family = 6 if ":" in source else 4
    line = f"PROXY TCP{family} {source} {destination} {port} {destination_port}\r\n".encode()
    header, _ = read(line)
    assert header is not None
    assert header.v1() == line


@given(wire(), st.binary(max_size=20), st.data())
def test_every_split_yields_the_same_header(octets: bytes, rest: bytes, data: DataObject) -> None:
    whole = outcome([octets + rest])
    assert isinstance(whole[0], ProxyHeader)
    assert whole[1] == rest
    assert outcome(data.draw(splits(octets + rest))) == whole


@given(wire())
def test_no_header_is_returned_before_its_last_octet(octets: bytes) -> None:
    reader = ProxyReader()
    assert all(reader.feed(octets[at : at + 1]) is None for at in range(len(octets) - 1))
    assert reader.feed(octets[-1:]) is not None


FAULTS = [
    b"\r", b"\n", b"\r\n", b" ", b"  ", b"\0", b"0", b"\xff", b"P", b"PROXY ", b"TCP6 ", b"::",
    b".", b"65536", b"\t", b"\x20\x00\x05\x01\x00\x00\x00\x00", b"\x03\x00\x04\x00\x00\x00\x00",
    b"\x04\x00\x00", b"\xd9\xa1", SIGNATURE,
]  # fmt: skip


@st.composite
def damaged(draw: DrawFn) -> bytes:
    """A header with one to three small changes, some of which keep it valid."""
    octets = bytearray(draw(wire()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(["flip", "delete", "double", "insert", "cut"])):
            case "flip" if at < len(octets):
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del octets[at : at + draw(st.integers(1, 3))]
            case "double":
                octets[at:at] = octets[at : at + draw(st.integers(1, 8))]
            case "cut":
                del octets[at:]
            case _:
                octets[at:at] = draw(st.sampled_from(FAULTS) | st.binary(min_size=1, max_size=4))
    return bytes(octets)


STARTED = st.builds(
    bytes.__add__,
    st.sampled_from([
        b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21",
        SIGNATURE + b"\x21\x11\x00\x20" + ENDS4, SIGNATURE + b"\x20\x00\x00",
    ]),
    st.binary(max_size=150),
)  # fmt: skip


@given(damaged() | STARTED | st.binary(), st.data())
@example(b"PROXY UNKNOWN" + b" " * 100, None)
@example(b"PROXY UNKNOWN" + b" " * 92 + b"\r", None)
def test_bad_octets_raise_the_same_grammar_error_at_every_split(
    octets: bytes, data: DataObject | None
) -> None:
    whole = outcome([octets])
    if isinstance(whole[0], str):
        assert 0 <= whole[1] <= len(octets)
    if isinstance(whole[0], ProxyHeader):
        header, rest = whole
        assert octets.endswith(rest)
        assert read(bytes(header)) == (header, b"")
    assert outcome([octets[at : at + 1] for at in range(len(octets))]) == whole
    if data is not None:
        assert outcome(data.draw(splits(octets))) == whole


@pytest.mark.req("PROXY-2.2-02")
@given(damaged() | STARTED | st.binary(min_size=1))
def test_octets_that_begin_no_header_are_refused_at_the_first_wrong_octet(octets: bytes) -> None:
    whole = outcome([octets])
    assume(whole[0] == "not a PROXY header")
    assert outcome([octets[: whole[1]]]) == (None,)
    assert outcome([octets[: whole[1] + 1]]) == whole


@pytest.mark.parametrize(
    ("octets", "offset"),
    [(b"EHLO client.example\r\n", 0), (b"PROXY\r\n", 5), (b"PROXY  TCP4", 6),
     (b"proxy TCP4", 0), (b"PROXY TCP5", 9), (b"PROXY TCP4\r\n", 10), (b"PROXY UDP4 ", 7),
     (b"PROXY unknown", 6), (b"PROXY UNKNOWNX", 13), (b"PROXY UNKNOWN\n", 13), (b"PROXY\tTCP4", 5),
     (b"PROXY UNKNOWN\rX", 14), (b" PROXY", 0), (b"\x16\x03\x01\x02\x00", 0), (b"\r\nEHLO", 2),
     (b"\r\n\r\n\0\r\nQUIT\r", 11), (b"\n", 0), (b"\0", 0), (SIGNATURE + b"\x11", 12),
     (SIGNATURE + b"\x22", 12), (SIGNATURE + b"\x31", 12), (SIGNATURE + b"\x00", 12)],
)  # fmt: skip
def test_other_protocols_are_refused_at_the_first_wrong_octet(octets: bytes, offset: int) -> None:
    with pytest.raises(GrammarError, match="not a PROXY header") as caught:
        read(octets)
    assert caught.value.offset == offset
    assert read(octets[:offset]) == (None, b"")
