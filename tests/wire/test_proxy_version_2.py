"""Version 2 of the PROXY protocol: binary headers with TLVs (section 2.2 of its specification)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.wire.proxy import V2_HEADER, ProxyHeader, ProxyTLS, _crc32c
from tests.support.proxy_headers import ANN, ANN6, ENDS4, MX, MX6, SIGNATURE, TLVS, read, tlv, v2


def test_headers_are_written_as_specified() -> None:
    assert bytes(ProxyHeader(ANN, MX)) == v2(ENDS4) == SIGNATURE + b"\x21\x11\x00\x0c" + ENDS4
    assert bytes(ProxyHeader()) == SIGNATURE + b"\x21\x00\x00\x00"
    assert bytes(ProxyHeader(local=True)) == SIGNATURE + b"\x20\x00\x00\x00"
    tls = ProxyTLS(version="TLSv1.3", common_name="Ann", verified=True)
    assert bytes(ProxyHeader(ANN6, MX6, tls=tls, tlvs=((0x05, b"id"),))) == bytes.fromhex(
        "0d0a 0d0a 000d 0a51 5549 540a 2121 0041 "
        "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0019 "
        "ffff 0000 "
        "20 0015 05 00000000 21 0007 544c 5376 312e 33 22 0003 416e 6e "
        "05 0002 6964"
    )
    assert bytes(ProxyTLS()) == b"\1\0\0\0\1"
    assert bytes(ProxyTLS(common_name="Ann")) == b"\5\0\0\0\1\x22\0\3Ann"


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
@pytest.mark.parametrize("block", [b"", b"\xff", ENDS4, b"x" * (V2_HEADER - 16)], ids=len)
def test_an_unspecified_family_means_no_addresses(family: int, block: bytes) -> None:
    assert read(v2(block, family) + b"EHLO") == (ProxyHeader(), b"EHLO")


@pytest.mark.parametrize(("family", "size"), [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)])
def test_families_other_than_tcp_mean_no_addresses(family: int, size: int) -> None:
    assert read(v2(bytes(size), family)) == (ProxyHeader(), b"")
    assert read(v2(bytes(size) + b"more", family) + b"EHLO") == (ProxyHeader(), b"EHLO")


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31, 0x40, 0x13, 0xFF])
@pytest.mark.parametrize("block", [b"", b"\xff", ENDS4, b"x" * (V2_HEADER - 16)], ids=len)
def test_everything_after_local_is_ignored(family: int, block: bytes) -> None:
    """The reader discards the protocol block, including the family (2.2)."""
    header = ProxyHeader(local=True)
    assert read(v2(block, family, 0x20) + b"EHLO") == (header, b"EHLO")


@pytest.mark.req("PROXY-2.2-02")
@pytest.mark.parametrize("family", [0x03, 0x0F, 0x13, 0x40, 0x41, 0xF0, 0xFF])
def test_unknown_families_are_refused(family: int) -> None:
    octets = SIGNATURE + bytes([0x21, family])
    with pytest.raises(GrammarError, match="family") as caught:
        read(octets)
    assert caught.value.offset == 13


@pytest.mark.parametrize(
    ("family", "size"),
    [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216), (0x32, 216)],
)
def test_a_length_without_room_for_the_addresses_is_refused(family: int, size: int) -> None:
    for short in (0, size - 1):
        with pytest.raises(GrammarError, match="length") as caught:
            read(v2(bytes(short), family)[:16])
        assert caught.value.offset == 14


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_header_of_more_than_4096_octets_is_refused(command: int) -> None:
    start = SIGNATURE + bytes([command, 0])
    assert read(start + (V2_HEADER - 16).to_bytes(2)) == (None, b"")
    for length in (V2_HEADER - 15, 65535):
        with pytest.raises(GrammarError, match="length"):
            read(start + length.to_bytes(2))


@pytest.mark.parametrize(
    "block",
    [b"\x05", b"\x05\0", b"\x05\0\1", b"\x05\xff\xff", b"\x05\0\0\x05", b"\x05\0\2x",
     tlv(0x20, b""), tlv(0x20, b"\1\0\0\0"), tlv(0x20, b"\1\0\0\0\0\x21"),
     tlv(0x20, b"\1\0\0\0\0" + b"\x23\0\2x") + b"\x05\0\0",
     tlv(0x20, b"\1\0\0\0\0" + b"\x21\0\0\x22\0") + tlv(0x05, b""),
     tlv(0x20, b"\0\0\0\0\0" + b"\x21\0\2x"),
     tlv(0x20, b"\1\0\0\0\0") * 2,
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann") * 2),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"\xff")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann\r\nReceived: x")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3\0")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, "\u2028".encode())),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, "\u202egpj".encode())),
     tlv(0x03, b""), tlv(0x03, b"\0\0\0"), tlv(0x03, b"\0\0\0\0"), tlv(0x03, b"\0\0\0\0\0")],
)  # fmt: skip
def test_bad_tlvs_are_refused(block: bytes) -> None:
    octets = v2(ENDS4 + block)
    with pytest.raises(GrammarError) as caught:
        read(octets)
    assert 28 <= caught.value.offset <= len(octets)


@pytest.mark.parametrize(
    ("value", "tls"),
    [(b"\1\0\0\0\0", ProxyTLS()),
     (b"\0\0\0\0\1", None),
     (b"\6\0\0\0\0" + tlv(0x22, b"Ann"), None),  # without TLS, the other fields mean nothing
     (b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.2") + tlv(0x23, b"AES"), ProxyTLS(version="TLSv1.2")),
     (b"\1\0\0\0\0" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann")),
     (b"\5\0\0\0\0" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann", verified=True)),
     (b"\3\0\0\0\0" + tlv(0x22, "Änn".encode()), ProxyTLS(common_name="Änn", verified=True)),
     (b"\7\0\0\0\1" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann")),
     (b"\7\1\0\0\0" + tlv(0x22, b""), ProxyTLS(common_name="")),
     (b"\xff\0\0\0\0", ProxyTLS(verified=True))],
)  # fmt: skip
def test_the_tlv_of_tls_is_read(value: bytes, tls: ProxyTLS | None) -> None:
    assert read(v2(ENDS4 + tlv(0x20, value))) == (ProxyHeader(ANN, MX, tls=tls), b"")


def test_without_a_certificate_the_client_is_not_verified() -> None:
    """A proxy sends 0 for "no failure" also if it asked for no certificate."""
    header, _ = read(v2(ENDS4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann"))))
    assert header is not None and header.tls is not None
    assert not header.tls.verified


@pytest.mark.req("PROXY-2.2-02")
def test_padding_is_dropped_and_unknown_tlvs_are_kept() -> None:
    block = (
        tlv(0x04, b"xxx") + tlv(0xE0, b"\r\n") + tlv(0x04, b"") + tlv(0xE0, b"") + tlv(0x01, b"h2")
    )
    header, _ = read(v2(ENDS4 + block))
    assert header == ProxyHeader(ANN, MX, tlvs=((0xE0, b"\r\n"), (0xE0, b""), (0x01, b"h2")))


@pytest.mark.parametrize(
    ("octets", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
     (bytes(range(32)), 0x46DD794E),
     (SIGNATURE + b"\x20\x00\x00\x07\x03\x00\x04\x00\x00\x00\x00", 0xA9B87E8F)],
)  # fmt: skip
def test_crc32c_matches_published_vectors(octets: bytes, checksum: int) -> None:
    """Vectors: the usual check value, RFC 3720 B.4, and a health check of HAProxy 2.6."""
    assert _crc32c(octets) == checksum


@pytest.mark.req("PROXY-2.2-03")
@given(TLVS, TLVS, st.integers(0, 10**6), st.integers(1, 255))
def test_a_header_with_a_wrong_checksum_is_refused(
    before: tuple[tuple[int, bytes], ...], after: tuple[tuple[int, bytes], ...], at: int, flip: int
) -> None:
    start = b"".join(tlv(*t) for t in before)
    end = b"".join(tlv(*t) for t in after)
    octets = bytearray(v2(ENDS4 + start + tlv(0x03, bytes(4)) + end))
    place = 16 + len(ENDS4 + start) + 3
    octets[place : place + 4] = _crc32c(bytes(octets)).to_bytes(4)
    assert read(bytes(octets)) == (ProxyHeader(ANN, MX, tlvs=before + after), b"")
    octets[16 + at % len(ENDS4)] ^= flip
    with pytest.raises(GrammarError, match="checksum"):
        read(bytes(octets))


def test_a_header_may_have_4096_octets() -> None:
    header = ProxyHeader(ANN, MX, tlvs=((5, bytes(V2_HEADER - 28 - 3)),))
    assert len(bytes(header)) == V2_HEADER
    assert read(bytes(header)) == (header, b"")
