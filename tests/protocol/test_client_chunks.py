"""CHUNKING (RFC 3030) on a client."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError, NotOffered, RemoteProtocolError
from smtpproto.events import Disconnected
from smtpproto.grammar.command import Data, Noop, Quit, Rset, Vrfy
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.limits import Timeouts
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from tests.support.pieces import has_bare_cr_or_lf

from .machines import (
    BINARY_PARAMETERS,
    EHLO,
    LHLO,
    MAIL,
    RCPT,
    assert_refused,
    client_with_recipient,
    cut,
    exchange,
    ready_client,
    receive,
)

CONTENT = b"\r\n.\r\nQUIT\r\n.\r\n"
OK = b"250 ok\r\n"
NO = b"552 Too much\r\n"


@pytest.mark.req("RFC3030-2-04")
def test_a_chunk_is_sent_as_its_bdat_line_and_its_octets() -> None:
    client = client_with_recipient("CHUNKING")
    (first,) = client.send_chunk(CONTENT, last=False)
    assert client.data_to_send() == b"BDAT %d\r\n" % len(CONTENT) + CONTENT
    assert client.unanswered == (first,)
    assert first.what == Bdat(len(CONTENT))
    assert str(first) == f"BDAT {len(CONTENT)}"
    assert receive(client, OK)[0].sent is first
    assert client.phase is Phase.CHUNKS
    (last,) = client.send_chunk(b".", last=True)
    assert client.data_to_send() == b"BDAT 1 LAST\r\n."
    assert receive(client, OK)[0].sent is last
    exchange(client, MAIL, RCPT)


@pytest.mark.req("RFC3030-2-07")
def test_the_last_chunk_may_be_empty() -> None:
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"text\r\n", last=False)
    receive(client, OK)
    client.send_chunk(b"", last=True)
    assert client.data_to_send() == b"BDAT 6\r\ntext\r\nBDAT 0 LAST\r\n"
    receive(client, OK)
    assert client.phase is Phase.READY


def test_bdat_is_sent_by_send_chunk_only() -> None:
    client = client_with_recipient("CHUNKING")
    for command in (Bdat(0), Bdat(5, last=True)):
        assert_refused(client, partial(client.send, command), match="send_chunk")


@pytest.mark.req("RFC3030-2-03")
@pytest.mark.parametrize("keywords", [(), ("PIPELINING", "BINARYMIME"), ("XCHUNKING",)])
def test_without_chunking_only_data_is_allowed(keywords: tuple[str, ...]) -> None:
    """DATA remains available."""
    client = client_with_recipient(*keywords)
    assert_refused(client, lambda: client.send_chunk(b"x", last=True), NotOffered, match="CHUNKING")
    client.send(Data())
    receive(client, b"354 go\r\n")
    assert client.data_to_send() == b"DATA\r\n"


def test_chunking_must_be_in_the_last_offer() -> None:
    client = ready_client("CHUNKING")
    exchange(client, EHLO, reply=b"250 mx\r\n")
    exchange(client, MAIL, RCPT)
    assert_refused(client, lambda: client.send_chunk(b"", last=True), NotOffered)


def test_a_chunk_needs_a_recipient() -> None:
    client = ready_client("CHUNKING", "PIPELINING")
    assert_refused(client, lambda: client.send_chunk(b"", last=True), match="MAIL first")
    client.send(MAIL)
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"", last=True), match="recipients")


def test_no_chunk_may_follow_the_last_one() -> None:
    client = client_with_recipient("CHUNKING", "PIPELINING")
    client.send_chunk(b"", last=True)
    client.data_to_send()
    for _ in range(2):
        for last in (False, True):
            assert_refused(client, partial(client.send_chunk, b"", last=last), match="MAIL first")
        receive(client, *[OK] if client.unanswered else [])


@pytest.mark.req("RFC3030-2-16")
def test_a_transaction_cannot_mix_data_and_chunks() -> None:
    client = client_with_recipient("CHUNKING", "PIPELINING")
    client.send_chunk(b"a", last=False)
    client.data_to_send()
    assert_refused(client, lambda: client.send(Data()), match="BDAT")
    receive(client, OK)
    assert_refused(client, lambda: client.send(Data()), match="BDAT")
    exchange(client, Rset())
    exchange(client, MAIL, RCPT)
    client.send(Data())
    client.data_to_send()
    for _ in range(2):
        assert_refused(client, lambda: client.send_chunk(b"a", last=True))
        receive(client, *[b"354 go\r\n"] if client.unanswered else [])


@pytest.mark.req("RFC3030-2-10", "RFC3030-2-12")
@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("good", [0, 1])
@pytest.mark.parametrize("reply", [NO, b"451 Later\r\n", b"503 What\r\n"])
def test_after_a_refused_chunk_only_rset_and_quit_are_allowed(
    reply: bytes, good: int, lmtp: bool
) -> None:
    client = client_with_recipient("CHUNKING", lmtp=lmtp)
    for answer in [OK] * good + [reply]:
        client.send_chunk(b"text", last=False)
        receive(client, answer)
    client.data_to_send()
    assert client.phase is Phase.FAILED
    for last in (False, True):
        assert_refused(client, partial(client.send_chunk, b"a", last=last), match="RSET")
    for command in (MAIL, RCPT, Data(), Noop(), Vrfy("a"), LHLO if lmtp else EHLO):
        assert_refused(client, partial(client.send, command), match="RSET")
    assert client.allows("RSET")
    assert client.allows("QUIT")
    exchange(client, Rset(), MAIL, RCPT)
    client.send_chunk(b"b", last=True)
    assert client.data_to_send() == b"BDAT 1 LAST\r\nb"


@pytest.mark.req("RFC3030-2-10")
def test_chunks_in_flight_after_a_refused_one_get_replies_too() -> None:
    client = client_with_recipient("CHUNKING", "PIPELINING")
    sent = [client.send_chunk(b"a", last=number == 3)[0] for number in range(4)]
    answers = receive(client, OK + NO + b"503 no\r\n")
    assert [answer.sent for answer in answers] == sent[:3]
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"", last=True))
    assert [answer.sent for answer in receive(client, b"503 no\r\n")] == sent[3:]
    exchange(client, Rset())
    assert client.phase is Phase.READY


def test_after_a_refused_last_chunk_mail_needs_rset_first() -> None:
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"a", last=True)
    receive(client, NO)
    client.data_to_send()
    assert_refused(client, lambda: client.send(MAIL), match="RSET")


def test_after_a_refused_chunk_without_recipients_rcpt_needs_rset_first() -> None:
    """After 503 to a chunk the state of the transaction is undefined (RFC 3030 2)."""
    client = ready_client("CHUNKING", "PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    client.send_chunk(b"a", last=True)
    client.data_to_send()
    assert len(receive(client, OK, b"550 no\r\n", b"503 no\r\n")) == 3
    assert client.phase is Phase.FAILED
    assert_refused(client, lambda: client.send(RCPT), match="RSET")


def test_mail_accepted_after_a_refused_chunk_opens_a_transaction() -> None:
    """The second message is in the same group, and the server needs no RSET."""
    client = client_with_recipient("CHUNKING", "PIPELINING")
    client.send_chunk(b"a", last=True)
    for command in (MAIL, RCPT):
        client.send(command)
    client.send_chunk(b"b", last=True)
    receive(client, NO, OK, OK)
    receive(client, OK)
    assert client.phase is Phase.READY
    client.data_to_send()
    exchange(client, MAIL)


def test_421_to_a_chunk_closes_the_session() -> None:
    client = client_with_recipient("CHUNKING", "PIPELINING")
    client.send_chunk(b"a", last=False)
    (last,) = client.send_chunk(b"a", last=True)
    client.data_to_send()
    client.receive(b"421 bye\r\n250 ok\r\n")
    client.next_event()
    assert client.phase is Phase.CLOSED
    assert client.next_event() == Disconnected((last,))


def test_3yz_to_a_chunk_is_a_protocol_error() -> None:
    for last in (False, True):
        client = client_with_recipient("CHUNKING")
        client.send_chunk(b"a", last=last)
        client.data_to_send()
        client.receive(b"354 go\r\n")
        with pytest.raises(RemoteProtocolError):
            client.next_event()


@pytest.mark.parametrize("lasts", [(False,), (True,), (False, True)])
def test_disconnected_names_the_unanswered_chunks(lasts: tuple[bool, ...]) -> None:
    client = client_with_recipient("CHUNKING", "PIPELINING")
    sent = tuple(client.send_chunk(b"a", last=last)[0] for last in lasts)
    client.receive(b"")
    assert client.next_event() == Disconnected(sent)


def test_a_whole_message_in_chunks_may_be_one_pipelined_group() -> None:
    client = ready_client("CHUNKING", "PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    client.send_chunk(b"a", last=False)
    client.send_chunk(b"b", last=True)
    client.send(Quit())
    octets = client.data_to_send()
    assert octets.endswith(b"BDAT 1\r\naBDAT 1 LAST\r\nbQUIT\r\n")
    verbs = [str(answer.sent)[:4] for answer in receive(client, OK * 4)]
    assert verbs == ["MAIL", "RCPT", "BDAT", "BDAT"]


def test_without_pipelining_each_chunk_waits_for_its_reply() -> None:
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"a", last=False)
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"b", last=True), match="wait")
    assert_refused(client, lambda: client.send(Noop()), match="wait")
    receive(client, OK)
    client.send_chunk(b"b", last=True)


def test_in_flight_counts_the_bdat_lines_and_not_the_octets() -> None:
    """Only commands have replies that could block the server."""
    client = client_with_recipient("CHUNKING", "PIPELINING")
    client.send_chunk(b"x" * 5000, last=False)
    assert client.in_flight == len(b"BDAT 5000\r\n")
    receive(client, OK)
    assert client.in_flight == 0


def test_the_timeout_of_the_last_chunk_is_that_of_the_final_dot() -> None:
    """Other chunks have the timeout of a data block (RFC 5321 4.5.3.2.5)."""
    client = client_with_recipient("CHUNKING", "PIPELINING", timeouts=Timeouts(block=3, final=7))
    client.send_chunk(b"a", last=False)
    client.send_chunk(b"a", last=True)
    assert client.timeout == 3
    receive(client, OK)
    assert client.timeout == 7


@pytest.mark.req("RFC3030-2-17", "RFC5321-2.3.8-03")
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b"\0"])).map(b"".join),
    st.lists(st.integers(0, 40), max_size=5),
)
@example(b"a\r\nb", [2])
@example(b"a\r", [1])
@example(b"a\n", [1])
def test_chunks_with_a_bare_cr_or_lf_are_not_sent_however_they_are_cut(
    data: bytes, cuts: list[int]
) -> None:
    """A chunk that raises sends nothing; all others are sent unchanged."""
    for parts in (cut(data, cuts), [data], [data[i : i + 1] for i in range(len(data))]):
        client = client_with_recipient("CHUNKING", "PIPELINING")
        sent = b""
        refused = False
        for number, part in enumerate([*parts, b""]):
            last = number == len(parts)
            try:
                client.send_chunk(part, last=last)
            except LocalProtocolError:
                assert client.data_to_send() == b""
                refused = True
                break
            sent += client.data_to_send().split(b"\r\n", 1)[1]
        assert refused is has_bare_cr_or_lf(data)
        assert data.startswith(sent)
        assert refused or sent == data


def test_a_cr_at_the_end_of_an_aborted_chunk_is_forgotten() -> None:
    """It is not half of a CRLF in the next transaction."""
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"a\r", last=False)
    receive(client, OK)
    exchange(client, Rset(), MAIL, RCPT)
    client.send_chunk(b"b\r\n", last=True)
    assert client.data_to_send() == b"BDAT 3 LAST\r\nb\r\n"


def test_a_chunk_that_raised_changes_nothing() -> None:
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"a\r", last=False)
    receive(client, OK)
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"b", last=True), match="CR or LF alone")
    assert_refused(client, lambda: client.send_chunk(b"\xff", last=True), match="above 127")
    client.send_chunk(b"\nb", last=True)
    assert client.data_to_send() == b"BDAT 2 LAST\r\n\nb"


@pytest.mark.req("RFC5321-2.3.8-03", "RFC5321-2.4-06")
@pytest.mark.parametrize(
    ("parameters", "octets", "allowed"),
    [
        (MailParameters(), b"\xff", False),
        (MailParameters(body=Body.SEVEN_BIT), b"\xff", False),
        (MailParameters(body=Body.EIGHT_BIT_MIME), b"\xff", True),
        (MailParameters(smtputf8=True), b"\xff", True),
        (BINARY_PARAMETERS, b"\xff", True),
        (MailParameters(body=Body.EIGHT_BIT_MIME), b"\r", False),
        (MailParameters(body=Body.EIGHT_BIT_MIME, smtputf8=True), b"\n", False),
        (BINARY_PARAMETERS, b"\r", True),
        (BINARY_PARAMETERS, b"\n\r\0", True),
    ],
)
def test_a_chunk_may_contain_only_octets_that_the_body_parameter_allows(
    parameters: MailParameters, octets: bytes, allowed: bool
) -> None:
    offered = ("CHUNKING", "8BITMIME", "SMTPUTF8", "BINARYMIME", "PIPELINING")
    for first, last in itertools.product([b"", b"a"], [True, False]):
        client = client_with_recipient(*offered, parameters=parameters)
        if first:
            client.send_chunk(first, last=False)
            client.data_to_send()
        if allowed:
            client.send_chunk(octets, last=last)
            assert client.data_to_send().endswith(octets)
        elif octets != b"\r" or last:
            assert_refused(client, partial(client.send_chunk, octets, last=last))


def test_a_chunk_before_mail_is_not_sent() -> None:
    for client in (ClientProtocol(), ready_client("CHUNKING")):
        assert_refused(client, partial(client.send_chunk, b"", last=True))
