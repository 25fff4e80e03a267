"""The packets of the milter protocol."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import RemoteProtocolError
from smtpproto.filters.milter_wire import (
    COMMANDS,
    MAX_PACKET,
    RESPONSES,
    Packet,
    PacketReader,
    peer_octets,
)

STRINGS = st.binary(max_size=20).map(lambda it: it.replace(b"\0", b""))
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "i": st.integers(0, 2**32 - 1),
    "c": st.binary(min_size=1, max_size=1),
    "s": STRINGS,
    "l": st.lists(STRINGS, max_size=4).map(tuple),
    "o": st.binary(max_size=20),
}
TABLES = {"commands": COMMANDS, "responses": RESPONSES}


def packets(table: str) -> st.SearchStrategy[list[Packet]]:
    one = [
        st.builds(Packet, st.just(name), st.tuples(*map(VALUES.__getitem__, layout)))
        for name, (_, layout) in TABLES[table].items()
    ]
    return st.lists(st.one_of(one), max_size=5)


def read(table: str, octets: bytes, step: int) -> list[Packet]:
    reader, found = PacketReader(TABLES[table]), []
    for start in range(0, len(octets), step):
        reader.feed(octets[start : start + step])
        while (packet := reader.next()) is not None:
            found.append(packet)
    return found


@pytest.mark.parametrize("table", TABLES)
@given(st.data(), st.integers(1, 50))
def test_packets_are_read_as_they_were_written_at_any_split(
    table: str, data: st.DataObject, step: int
) -> None:
    given_packets = data.draw(packets(table))
    octets = b"".join(it.write(TABLES[table]) for it in given_packets)
    assert read(table, octets, step) == given_packets


@pytest.mark.parametrize("table", TABLES)
@given(st.binary(max_size=40), st.sampled_from(b"".join(c for c, _ in RESPONSES.values())))
def test_any_octets_are_packets_or_one_clear_error(table: str, data: bytes, letter: int) -> None:
    framed = struct.pack(">IB", len(data) + 1, letter) + data
    for octets in (data, framed):
        try:
            read(table, octets, 100)
        except RemoteProtocolError as error:
            assert error.phase == "filter"


@pytest.mark.parametrize("length", [0, MAX_PACKET + 1, 2**32 - 1])
def test_lengths_beyond_the_bound_are_refused_before_the_packet_arrives(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"a packet of {length} octets"):
        read("responses", struct.pack(">I", length), 4)


def test_packets_have_the_octets_that_sendmail_sends() -> None:
    written = [
        Packet("optneg", (6, 0x1FF, 0x1FFFFF, b"")),
        Packet("connect", (b"[192.0.2.1]", peer_octets("192.0.2.1", 4000))),
        Packet("macro", (b"M", (b"i", b"01abc"))),
        Packet("mail", ((b"<ann@example.com>", b"SIZE=10"),)),
        Packet("header", (b"Subject", b" hello")),
    ]
    assert b"".join(it.write(COMMANDS) for it in written) == (
        b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"
        b"\0\0\0\x1aC[192.0.2.1]\x004\x0f\xa0192.0.2.1\0"
        b"\0\0\0\x0aDMi\x0001abc\0"
        b"\0\0\0\x1bM<ann@example.com>\0SIZE=10\0"
        b"\0\0\0\x10LSubject\0 hello\0"
    )


def test_peers_of_all_families_can_be_named() -> None:
    assert peer_octets("2001:db8::1", 25) == b"6\0\x192001:db8::1\0"
    assert peer_octets("", 0) == b"U"
    assert peer_octets("/run/x", 0) == b"L\0\0/run/x\0"
