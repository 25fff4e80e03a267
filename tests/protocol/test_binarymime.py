"""BINARYMIME (RFC 3030 3) on both machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import NotOffered
from smtpproto.grammar.command import Data, Mail, Rset
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.protocol.phases import Phase
from tests.support.pieces import single_octets

from .machines import (
    ALL_OCTETS,
    BINARY_ENVELOPE_LINES,
    BINARY_PARAMETERS,
    BINARYMIME,
    ENVELOPE_LINES,
    MAIL,
    MAIL_COMMAND,
    RCPT,
    ServerDriver,
    assert_refused,
    bdat,
    bdat_last,
    client_with_recipient,
    cut,
    exchange,
    ready_client,
    ready_server,
)


@pytest.mark.req("RFC3030-3-04")
@pytest.mark.parametrize("cut", [0, 1, 13, 255])
def test_a_server_preserves_all_octets_of_binary_content(cut: int) -> None:
    server = ready_server(BINARY_ENVELOPE_LINES, **BINARYMIME)
    assert server.codes(*single_octets(bdat(ALL_OCTETS[:cut]) + bdat_last(ALL_OCTETS[cut:]))) == [
        250,
        250,
    ]
    assert server.content == ALL_OCTETS


@pytest.mark.req("RFC3030-3-06")
@pytest.mark.parametrize("lmtp", [False, True])
def test_a_server_refuses_data_after_body_binarymime(lmtp: bool) -> None:
    server = ready_server(BINARY_ENVELOPE_LINES, lmtp=lmtp, **BINARYMIME)
    assert server.lines(b"DATA\r\n") == ["503 5.5.1 BODY=BINARYMIME needs BDAT"]
    assert not any(isinstance(event, Data) for event in server.events)
    assert server.machine.phase is Phase.RCPT
    assert server.codes(bdat_last(ALL_OCTETS)) == [250]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\n") == [250, 250, 354], (
        "the rule applies to that transaction only"
    )


@pytest.mark.req("RFC3030-3-12")
@pytest.mark.parametrize("parameter", [b"", b" BODY=7BIT", b" BODY=8BITMIME", b" SMTPUTF8"])
def test_a_server_accepts_binary_octets_whatever_body_announced(parameter: bytes) -> None:
    server = ready_server(
        BINARY_ENVELOPE_LINES.replace(b" BODY=BINARYMIME", parameter), **BINARYMIME
    )
    head = b"Content-Transfer-Encoding: binary\r\n\r\n"
    assert server.codes(bdat_last(head + ALL_OCTETS)) == [250]
    assert server.content == head + ALL_OCTETS


def test_a_server_refuses_body_binarymime_unless_offered() -> None:
    server = ready_server()
    assert server.codes(MAIL_COMMAND + b" BODY=BINARYMIME\r\n") == [555]
    assert server.codes(b"MAIL FROM:<> BODY=BINARY\r\n") == [501]


@pytest.mark.req("RFC3030-3-01")
def test_a_server_offers_binarymime_only_with_chunking() -> None:
    with pytest.raises(ValueError, match="CHUNKING"):
        ServerDriver(extensions={"BINARYMIME": "", "CHUNKING": None})
    with pytest.raises(ValueError, match="no parameter"):
        ServerDriver(extensions={"BINARYMIME": "x"})


@given(st.lists(st.integers(0, 256), max_size=4))
def test_a_client_sends_binary_octets_unchanged(cuts: list[int]) -> None:
    client = client_with_recipient(
        "CHUNKING", "8BITMIME", "BINARYMIME", "PIPELINING", parameters=BINARY_PARAMETERS
    )
    for part in cut(ALL_OCTETS, cuts):
        client.send_chunk(part, last=False)
        assert client.data_to_send() == b"BDAT %d\r\n" % len(part) + part


@pytest.mark.req("RFC3030-3-07")
@pytest.mark.parametrize("lmtp", [False, True])
def test_a_client_does_not_send_binary_content_with_data(lmtp: bool) -> None:
    client = client_with_recipient(
        "CHUNKING", "BINARYMIME", parameters=BINARY_PARAMETERS, lmtp=lmtp
    )
    assert_refused(client, lambda: client.send(Data()), match="BINARYMIME needs BDAT")
    exchange(client, Rset(), MAIL, RCPT)
    client.send(Data())


@pytest.mark.req("RFC3030-3-10")
@pytest.mark.parametrize("keywords", [(), ("CHUNKING",), ("8BITMIME", "CHUNKING", "PIPELINING")])
def test_a_client_sends_body_binarymime_only_if_offered(keywords: tuple[str, ...]) -> None:
    client = ready_client(*keywords)
    assert_refused(client, lambda: client.send(Mail(MAIL.path, BINARY_PARAMETERS)), NotOffered)


def test_binarymime_does_not_imply_8bitmime() -> None:
    client = ready_client("CHUNKING", "BINARYMIME")
    mail = Mail(MAIL.path, MailParameters(body=Body.EIGHT_BIT_MIME))
    assert_refused(client, lambda: client.send(mail), NotOffered)
    client.send(Mail(MAIL.path, BINARY_PARAMETERS))
