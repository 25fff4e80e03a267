"""Headers of the PROXY protocol in octets, and functions that read them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.wire.proxy import ProxyHeader, ProxyReader

SIGNATURE = bytes.fromhex("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A")

ANN, MX = ("192.0.2.1", 56324), ("198.51.100.25", 25)
ANN6, MX6 = ("2001:db8::1", 65535), ("2001:db8::19", 0)
ENDS4 = bytes([192, 0, 2, 1, 198, 51, 100, 25]) + (56324).to_bytes(2) + (25).to_bytes(2)
"""The ends ANN and MX in version 2."""

_TYPES = st.integers(0, 255).filter(lambda kind: kind not in (0x03, 0x04, 0x20))
TLVS = st.lists(st.tuples(_TYPES, st.binary(max_size=40)), max_size=5).map(tuple)
"""TLVs that a header may have, as (type, octets)."""


def tlv(kind: int, value: bytes) -> bytes:
    """Return a TLV of version 2."""
    return bytes([kind]) + len(value).to_bytes(2) + value


def v2(block: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    """Return a header of version 2; *block* follows the length."""
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2) + block


def read(data: bytes) -> tuple[ProxyHeader | None, bytes]:
    """Return the header that *data* begins with, if it is complete, and the octets after it."""
    reader = ProxyReader()
    return reader.feed(data), reader.rest


def outcome(parts: list[bytes]) -> tuple[Any, ...]:
    """Read *parts*. Return the header and all octets after it, or the error and its offset, or
    (None,) if the header is incomplete."""
    reader = ProxyReader()
    for number, part in enumerate(parts, 1):
        try:
            header = reader.feed(part)
        except GrammarError as error:
            assert reader.rest == b""
            return error.message, error.offset
        if header is not None:
            return header, reader.rest + b"".join(parts[number:])
    return (None,)
