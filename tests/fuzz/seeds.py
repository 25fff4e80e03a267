"""Inputs to begin with, in the form that each target reads: legal and nearly legal ones."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from smtpproto.testing import strategies
from tests.fuzz import (
    client_conversation,
    client_machine,
    header_fields,
    server_conversation,
    server_machine,
)
from tests.fuzz.grammar import KINDS
from tests.fuzz.wire import READERS
from tests.grammar.productions import PRODUCTIONS, damaged
from tests.support.near_legal import command_line, reply
from tests.support.scripted_client import LOGIN
from tests.wire.test_proxy_reader import headers

Inputs = SearchStrategy[bytes]

DICE = st.integers(0, (1 << 32) - 1).map(Random)
NOTHING = 7  # the step of a client that sends NOOP, which is refused before the greeting
CUTS = st.binary(min_size=4, max_size=4)
MESSAGES = strategies.messages()
GREETING = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@b.test>\r\n"
GREETED = b"220 mx\r\n"
REPLY = b"250 ok\r\n"
OFFER = b"250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-AUTH SCRAM-SHA-256 PLAIN\r\n250 DSN\r\n"


def first(number: int) -> Inputs:
    """The octet that chooses one of *number*."""
    return st.integers(0, number - 1).map(lambda chosen: bytes([chosen]))


def joined(*parts: Inputs) -> Inputs:
    """The octets of all *parts* in turn."""
    return st.tuples(*parts).map(b"".join)


def counted(pieces: Inputs) -> Inputs:
    """Pieces, each after its size in one octet."""
    return pieces.map(_counted)


def _counted(piece: bytes) -> bytes:
    return bytes([len(piece[:255])]) + piece[:255]


def several(parts: Inputs, most: int) -> Inputs:
    """Up to *most* of *parts*."""
    return st.lists(parts, max_size=most).map(b"".join)


def _data(content: bytes) -> bytes:
    return ENVELOPE + b"DATA\r\n" + content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _bdat(content: bytes) -> bytes:
    return ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content


LINES = DICE.map(command_line).map(lambda line: line + b"\r\n")
CLIENT = several(
    st.one_of(
        LINES, LINES, MESSAGES.map(_data), MESSAGES.map(_bdat),
        st.sampled_from([GREETING, ENVELOPE, b"*\r\n", f"{LOGIN}\r\n".encode(), b"STARTTLS\r\n"]),
    ), 8,
)  # fmt: skip
TALKING = joined(st.just(GREETING), CLIENT) | strategies.hostile_clients().map(lambda it: it.octets)
REPLIES = st.one_of(
    DICE.map(reply),
    DICE.map(lambda dice: reply(dice, offers=True)),
    strategies.replies().map(bytes),
    st.sampled_from([GREETED, REPLY, REPLY * 3, b"354 go\r\n", b"", OFFER]),
)


ADDRESSES = strategies.address_fields().map(lambda field: field[0])
MAIL = strategies.mails(smtputf8=True).map(lambda mail: mail.content)
FIELDS = ADDRESSES.map(str.encode)

SEEDS: Mapping[str, Inputs] = {
    "client_conversation": joined(
        first(len(client_conversation.CONFIGS)),
        first(len(client_conversation.TALKS)),
        st.sampled_from([b"", _counted(GREETED), _counted(GREETED) + _counted(OFFER)]),
        several(counted(REPLIES), 10),
    ),
    "client_machine": joined(
        first(len(client_machine.OPTIONS)),
        st.just(bytes([NOTHING]) + _counted(GREETED)),
        several(joined(first(len(client_machine.STEPS)), counted(REPLIES)), 10),
    ),
    "grammar": st.one_of(
        [
            joined(st.just(bytes([number])), production.values.map(production.write))
            for number, production in enumerate(PRODUCTIONS[kind] for kind in KINDS)
        ]
    ),
    "header_fields": joined(first(len(header_fields.READERS)), FIELDS | MAIL),
    "server_conversation": joined(
        first(len(server_conversation.CONFIGS)), CUTS, headers().map(bytes) | st.just(b""), TALKING
    ),
    "server_machine": joined(
        first(len(server_machine.OPTIONS)), st.binary(min_size=1, max_size=1), CUTS, TALKING
    ),
    "wire": joined(
        first(len(READERS)), CUTS, MESSAGES | CLIENT | damaged(headers().map(bytes))
    ),
}  # fmt: skip


def inputs(target: str) -> Inputs:
    """Inputs for *target*: those to begin with, damaged ones, and any octets."""
    return st.one_of(SEEDS[target], damaged(SEEDS[target]), st.binary())
