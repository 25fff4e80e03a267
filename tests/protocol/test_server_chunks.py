"""CHUNKING (RFC 3030) on a server."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    BodyChunk,
    BodyEnd,
    ChunkEnd,
    Disconnected,
    ServerEvent,
)
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server_replies import TIMED_OUT
from tests.support.pieces import single_octets

from .machines import (
    BINARY_ENVELOPE_LINES,
    BINARYMIME,
    DISK_FULL,
    ENVELOPE_LINES,
    LOOKS_LIKE_COMMANDS,
    MAIL_LINE,
    RCPT_LINE,
    SMALL_MESSAGES,
    Application,
    accept,
    bdat,
    bdat_last,
    codes_of,
    cut,
    lines_of,
    merge_content,
    ready_server,
    reply_to,
    server_with_recipient,
)

CHUNK_CONTENT = st.sampled_from(
    [b"", b"x", LOOKS_LIKE_COMMANDS, b"\r\n.\r\n", b"QUIT\r\n", b"a\r\n" * 50, b"\r", b"\n"]
)

CHUNKS = st.builds(bdat, CHUNK_CONTENT, st.sampled_from(["", "", "", " LAST", " last", " FOO"]))
STREAMS = st.lists(
    CHUNKS
    | st.just(ENVELOPE_LINES)
    | st.sampled_from([
        b"RSET\r\n", b"NOOP\r\n", MAIL_LINE, RCPT_LINE, b"DATA\r\nBDAT 9\r\n.\r\n",
        b"FOO\r\n",
        BINARY_ENVELOPE_LINES, b"EHLO a.example\r\n", b"HELO a.example\r\n", b"BDAT 5", b"BDAT\r\n",
        b"BDAT 70000\r\n" + b"y" * 70000, b"BDAT -1\r\n", b"BDAT 99999 LAST\r\nQUIT\r\n",
    ]),
    max_size=12,
).map(b"".join)  # fmt: skip

CODES = st.lists(st.sampled_from([None, None, None, 452, 550, 421]), max_size=12)


def replying_with(codes: list[int | None]) -> Application:
    """Return an application that replies with *codes*, then accepts."""
    left = iter(codes)

    def application(_: object) -> Reply | None:
        code = next(left, None)
        return None if code is None else Reply(code, None, "No")

    return application


def history(parts: list[bytes], codes: list[int | None]) -> tuple[list[ServerEvent], bytes]:
    server = ready_server(application=replying_with(codes), limits=SMALL_MESSAGES, **BINARYMIME)
    sent = b"".join(server.feed(part) for part in parts)
    return merge_content(server.events), sent


@pytest.mark.req("RFC3030-2-05", "RFC3030-2-06")
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_each_chunk_has_its_250_after_its_octets(step: int) -> None:
    """Its octets are content even if they look like commands."""
    server = server_with_recipient()
    data = bdat(LOOKS_LIKE_COMMANDS) + bdat(b"..\r\n") + bdat_last(b"\r\n.\r\n")
    assert server.codes(*cut(data, range(step, len(data), step))) == [250] * 3
    content = LOOKS_LIKE_COMMANDS + b"..\r\n" + b"\r\n.\r\n"
    assert server.content == content
    assert [event for event in server.events if not isinstance(event, BodyChunk)] == [
        Bdat(len(LOOKS_LIKE_COMMANDS)),
        ChunkEnd(len(LOOKS_LIKE_COMMANDS)),
        Bdat(4),
        ChunkEnd(4),
        Bdat(5, last=True),
        BodyEnd(len(content)),
    ]
    assert server.machine.phase is Phase.READY


def test_no_reply_is_sent_before_the_last_octet_of_a_chunk() -> None:
    server = server_with_recipient()
    assert server.feed(b"BDAT 3\r\n") == b""
    assert server.machine.phase.in_message
    assert server.feed(b"ab") == b""
    assert server.codes(b"c") == [250]
    assert server.machine.phase is Phase.CHUNKS
    assert server.machine.phase.in_message


@pytest.mark.req("RFC3030-2-06", "RFC3030-2-07")
def test_the_last_chunk_may_be_empty() -> None:
    server = server_with_recipient()
    assert server.codes(bdat(b"text\r\n"), b"BDAT 0 LAST\r\n") == [250, 250]
    assert server.events[-1] == BodyEnd(6)
    server = server_with_recipient()
    assert server.codes(b"BDAT 0\r\n", b"bdat 0 last\r\n") == [250, 250]
    assert server.events == [Bdat(0), ChunkEnd(0), Bdat(0, last=True), BodyEnd(0)]


@pytest.mark.req("RFC3030-2-02")
def test_data_and_bdat_may_alternate_between_transactions() -> None:
    server = server_with_recipient()
    assert server.codes(b"DATA\r\n..text\r\n.\r\n") == [354, 250]
    assert server.codes(ENVELOPE_LINES, bdat_last(b".text\r\n")) == [250, 250, 250]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\nx\r\n.\r\n") == [250, 250, 354, 250]
    assert server.content == b".text\r\n.text\r\nx\r\n"
    assert server.machine.budget.transactions == 3
    assert server.codes(bdat_last(b"refused"), bdat(b"refused")) == [503, 503]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\ny\r\n.\r\n") == [250, 250, 354, 250]
    assert server.content == b".text\r\n.text\r\nx\r\ny\r\n"


@pytest.mark.req("RFC3030-2-08")
@pytest.mark.parametrize("code", [250, 452, 554])
def test_after_the_last_chunk_the_transaction_is_over(code: int) -> None:
    """Whether the message was accepted or not."""
    server = server_with_recipient(application=reply_to(BodyEnd, Reply(code, None, "Done")))
    assert server.codes(bdat_last(b"text\r\n")) == [code]
    assert server.codes(bdat(LOOKS_LIKE_COMMANDS), bdat_last(LOOKS_LIKE_COMMANDS)) == [503, 503]
    assert server.content == b"text\r\n"
    assert server.codes(ENVELOPE_LINES) == [250, 250]


@pytest.mark.req("RFC3030-2-15")
def test_a_chunk_after_data_is_refused_with_503() -> None:
    server = server_with_recipient()
    assert server.codes(b"DATA\r\ntext\r\n.\r\n") == [354, 250]
    assert server.codes(bdat_last(LOOKS_LIKE_COMMANDS), b"NOOP\r\n") == [503, 250]
    assert server.content == b"text\r\n"


@pytest.mark.req("RFC3030-2-13")
def test_rset_between_chunks_clears_them_all() -> None:
    server = server_with_recipient()
    assert server.codes(bdat(b"first"), b"RSET\r\n") == [250, 250]
    assert server.machine.transaction.size == 0
    server.events.clear()
    assert server.codes(ENVELOPE_LINES, bdat_last(b"second")) == [250, 250, 250]
    assert server.content == b"second"
    assert server.events[-1] == BodyEnd(6)


@pytest.mark.req("RFC3030-2-14")
def test_data_after_a_chunk_is_refused_with_503() -> None:
    server = server_with_recipient()
    assert server.lines(bdat(b"first"), b"DATA\r\n")[1].startswith("503 5.5.1 ")
    assert server.machine.phase is Phase.CHUNKS
    assert server.codes(b"RSET\r\n", ENVELOPE_LINES, b"DATA\r\n") == [250, 250, 250, 354]


@pytest.mark.parametrize("line", [MAIL_LINE, RCPT_LINE, b"STARTTLS\r\n", b"AUTH PLAIN\r\n"])
def test_between_chunks_mail_rcpt_starttls_and_auth_are_refused(line: bytes) -> None:
    server = server_with_recipient(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    assert server.codes(bdat(b"first"), line, bdat_last(b"")) == [250, 503, 250]
    assert server.events[-1] == BodyEnd(5)


def test_between_chunks_other_commands_are_accepted() -> None:
    server = server_with_recipient()
    lines = b"NOOP\r\nVRFY a\r\nHELP\r\nFOO\r\n"
    assert server.codes(bdat(b"a"), lines, bdat_last(b"b")) == [250, 250, 252, 214, 500, 250]
    assert server.content == b"ab"
    assert server.codes(
        ENVELOPE_LINES, bdat(b"a"), b"EHLO a.example\r\n", bdat_last(LOOKS_LIKE_COMMANDS)
    ) == [
        *[250] * 4,
        503,
    ], "EHLO clears chunks as RSET does"


def test_hanging_up_in_a_chunk_sends_421_and_reads_no_more() -> None:
    server = server_with_recipient()
    server.feed(b"BDAT 99\r\nabc")
    server.machine.hang_up(TIMED_OUT)
    assert codes_of(lines_of(server.feed(b"def") + server.end())) == [421]
    assert server.content == b"abc"


def test_only_250_accepts_a_chunk() -> None:
    server = server_with_recipient(application=accept)
    machine = server.machine
    for data, kind in ((b"BDAT 1\r\n", Bdat), (b"a", ChunkEnd)):
        machine.receive(data)
        while not isinstance(event := machine.next_event(), kind):
            assert isinstance(event, BodyChunk)
        for code in (220, 221, 251, 354):
            with pytest.raises(LocalProtocolError):
                machine.answer(Reply(code, None, ""))
        with pytest.raises(LocalProtocolError):
            machine.next_event()
        assert machine.data_to_send() == b""
        machine.answer()
    assert codes_of(lines_of(machine.data_to_send())) == [250]


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("come", [b"", b"abc"])
def test_the_end_within_a_chunk_is_reported_without_a_message(come: bytes, refused: bool) -> None:
    server = server_with_recipient(application=reply_to(Bdat, DISK_FULL) if refused else accept)
    assert server.feed(bdat(b"a") if not refused else b"NOOP\r\n") != b""
    assert server.feed(b"BDAT 4 LAST\r\n" + come) + server.end() == b""
    assert server.events[-1] == Disconnected()
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.req("RFC3030-2-18", "SMUGGLING-07")
@given(st.binary(max_size=1200), st.lists(st.integers(0, 1300), max_size=5))
@example(b"\xff" * 20000, [])
@example(b"\xff" * 600, [])
@example(b"\n" * 600, [20])
def test_octets_beyond_the_counted_size_are_refused_line_by_line(
    content: bytes, cuts: list[int]
) -> None:
    """If a client counts too few octets, the rest is read as lines, each refused with 500."""
    content = content.replace(b":", b";")  # a header field would end the connection
    if content[:1].isalpha() or b"\r\n" in content:
        content = b"\0" + content.replace(b"\r\n", b"\r\n\0")
    server = server_with_recipient(limits=Limits(errors=1000))
    data = b"BDAT 0 LAST\r\n" + content + b"\r\nNOOP\r\n"
    assert server.codes(*cut(data, cuts)) == [250, *[500] * (content.count(b"\r\n") + 1), 250]


@given(STREAMS, CODES, st.lists(st.integers(0, 800), max_size=6))
@example(ENVELOPE_LINES + bdat(LOOKS_LIKE_COMMANDS) + bdat_last(b""), [], [70, 80, 90])
def test_events_and_replies_do_not_depend_on_how_chunks_are_split(
    data: bytes, codes: list[int | None], cuts: list[int]
) -> None:
    whole = history([data], codes)
    assert history(cut(data, cuts), codes) == whole
    if len(data) < 2000:
        assert history(single_octets(data), codes) == whole


@given(STREAMS, CODES)
def test_every_command_chunk_and_rejection_has_one_reply(
    data: bytes, codes: list[int | None]
) -> None:
    """BDAT has its reply at the end of its chunk. A BDAT of unknown size has a 421 besides."""
    events, sent = history([data], codes)
    counted = sum(not isinstance(event, BodyChunk | Bdat) for event in events)
    replies = codes_of(lines_of(sent))
    lost = sent.count(b"Size of the chunk unknown")
    closed_at_bdat = replies[-1:] == [421] and isinstance(events[-1], Bdat)
    assert len(replies) == counted + lost + closed_at_bdat
