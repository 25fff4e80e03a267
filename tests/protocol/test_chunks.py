"""CHUNKING and BINARYMIME (RFC 3030) as a server speaks them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    BodyChunk,
    BodyEnd,
    ChunkEnd,
    Connected,
    Disconnected,
    Rejected,
    ServerEvent,
)
from smtpproto.grammar.command import Data
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server_replies import TIMED_OUT

from .machines import (
    MAIL_COMMAND,
    ALL_OCTETS,
    BINARY_ENVELOPE_LINES,
    BINARYMIME,
    DISK_FULL,
    ENVELOPE_LINES,
    LOOKS_LIKE_COMMANDS,
    MAIL,
    MAIL_LINE,
    RCPT_LINE,
    SMALL_MESSAGES,
    Application,
    ServerDriver,
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
    single_octets,
)

# -- a message in chunks -----------------------------------------------------------------------


@pytest.mark.req("RFC3030-2-05", "RFC3030-2-06", "SMUGGLING-04")
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_message_in_chunks(step: int) -> None:
    """Octets are content whatever they are; each chunk has its 250, and none before its end."""
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


def test_nothing_is_said_before_the_octets_of_a_chunk_have_come() -> None:
    server = server_with_recipient()
    assert server.feed(b"BDAT 3\r\n") == b""
    assert server.machine.in_message
    assert server.feed(b"ab") == b""
    assert server.codes(b"c") == [250]
    assert server.machine.phase is Phase.CHUNKS
    assert server.machine.in_message


@pytest.mark.req("RFC3030-2-07")
def test_the_last_chunk_may_be_empty() -> None:
    server = server_with_recipient()
    assert server.codes(bdat(b"text\r\n"), b"BDAT 0 LAST\r\n") == [250, 250]
    assert server.events[-1] == BodyEnd(6)
    server = server_with_recipient()
    assert server.codes(b"BDAT 0\r\n", b"bdat 0 last\r\n") == [250, 250]
    assert server.events == [Bdat(0), ChunkEnd(0), Bdat(0, last=True), BodyEnd(0)]


@pytest.mark.req("RFC3030-2-02")
def test_both_ways_in_one_session() -> None:
    server = server_with_recipient()
    assert server.codes(b"DATA\r\n..text\r\n.\r\n") == [354, 250]
    assert server.codes(ENVELOPE_LINES, bdat_last(b".text\r\n")) == [250, 250, 250]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\nx\r\n.\r\n") == [250, 250, 354, 250]
    assert server.content == b".text\r\n.text\r\nx\r\n"
    assert server.machine.transactions == 3


@pytest.mark.req("RFC3030-2-08")
def test_after_the_last_chunk_there_is_no_transaction() -> None:
    server = server_with_recipient()
    assert server.codes(bdat_last(b"text\r\n")) == [250]
    assert server.codes(bdat(LOOKS_LIKE_COMMANDS), bdat_last(LOOKS_LIKE_COMMANDS)) == [503, 503]
    assert server.content == b"text\r\n"
    assert server.codes(ENVELOPE_LINES) == [250, 250]


@pytest.mark.req("RFC3030-2-15")
def test_after_data_there_is_no_transaction() -> None:
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
def test_data_does_not_follow_chunks() -> None:
    server = server_with_recipient()
    assert server.lines(bdat(b"first"), b"DATA\r\n")[1].startswith("503 5.5.1 ")
    assert server.machine.phase is Phase.CHUNKS
    assert server.codes(b"RSET\r\n", ENVELOPE_LINES, b"DATA\r\n") == [250, 250, 250, 354]


@pytest.mark.parametrize("line", [MAIL_LINE, RCPT_LINE, b"STARTTLS\r\n", b"AUTH PLAIN\r\n"])
def test_between_chunks_the_envelope_is_closed(line: bytes) -> None:
    server = server_with_recipient(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    assert server.codes(bdat(b"first"), line, bdat_last(b"")) == [250, 503, 250]
    assert server.events[-1] == BodyEnd(5)


def test_between_chunks_there_may_be_other_commands() -> None:
    server = server_with_recipient()
    lines = b"NOOP\r\nVRFY a\r\nHELP\r\nFOO\r\n"
    assert server.codes(bdat(b"a"), lines, bdat_last(b"b")) == [250, 250, 252, 214, 500, 250]
    assert server.content == b"ab"
    assert server.codes(
        ENVELOPE_LINES, bdat(b"a"), b"EHLO a.example\r\n", bdat_last(LOOKS_LIKE_COMMANDS)
    ) == [
        *[250] * 4,
        503,
    ], "EHLO clears them as RSET does"


# -- refused by the machine --------------------------------------------------------------------


@pytest.mark.req("RFC3030-2-19")
@pytest.mark.parametrize("mark", ["", " LAST"])
@pytest.mark.parametrize(
    ("before", "options", "code"),
    [
        (b"RSET\r\n", {}, 503),
        (b"RSET\r\nMAIL FROM:<>\r\n", {}, 503),
        (b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<\xc3\xa9@b.example>\r\n", {}, 553),
        (b"", {"require_tls": True}, 530),
        (b"", {"require_auth": True}, 530),
        (b"", {"extensions": {"CHUNKING": None}}, 502),
        (b"HELO a.example\r\n", {}, 503),
        (b"HELO a.example\r\n" + ENVELOPE_LINES, {}, 503),
    ],
)
def test_octets_of_a_refused_chunk_are_no_commands(
    before: bytes, options: dict[str, object], code: int, mark: str
) -> None:
    server = server_with_recipient(**options)
    server.feed(before)
    server.events.clear()
    phase = server.machine.phase
    in_transaction = phase in (Phase.MAIL, Phase.RCPT)
    assert (
        server.feed(
            b"BDAT %d%s\r\n" % (len(LOOKS_LIKE_COMMANDS), mark.encode()), LOOKS_LIKE_COMMANDS[:-1]
        )
        == b""
    )
    refusal = server.codes(LOOKS_LIKE_COMMANDS[-1:])
    assert refusal == [503 if code == 553 else code], "one reply, after the last octet"
    assert len(server.events) == 1
    assert server.rejected[0].line == f"BDAT {len(LOOKS_LIKE_COMMANDS)}{mark}"
    assert server.content == b""
    assert server.machine.phase is (Phase.READY if in_transaction else phase)
    assert server.codes(b"NOOP\r\nQUIT\r\n") == [250, 221]


def test_a_message_behind_one_that_failed_has_its_own_sender() -> None:
    """MAIL that was pipelined behind a refused chunk opens a transaction: else its recipients would
    be those of the sender before."""
    server = ready_server(b"MAIL FROM:<eve@example.org>\r\n")
    assert server.codes(bdat_last(b"a") + ENVELOPE_LINES + bdat_last(b"b")) == [503, 250, 250, 250]
    assert server.content == b"b"
    assert MAIL in server.events


def test_before_ehlo_and_where_there_is_no_service() -> None:
    for greeting in (None, Reply(554, None, "No")):
        server = ServerDriver(reply_to(Connected, greeting) if greeting else accept)
        assert server.codes(bdat_last(LOOKS_LIKE_COMMANDS), bdat(LOOKS_LIKE_COMMANDS), b"QUIT\r\n")[
            1:
        ] == [503, 503, 221]
        assert server.content == b""


def test_no_transaction_no_chunk_in_a_session_that_knows_none() -> None:
    """A client that was told of no CHUNKING and chunks all the same means content by it."""
    server = server_with_recipient(extensions={"CHUNKING": None})
    assert "CHUNKING" not in server.machine.offered
    assert server.lines(bdat_last(LOOKS_LIKE_COMMANDS)) == ["502 5.5.1 Command not implemented"]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\nx\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC3030-2-01")
@pytest.mark.parametrize(
    ("line", "command", "wanted"),
    [
        (b"BDAT 10", Bdat(10), [250]),
        (b"BDAT 0010", Bdat(10), [250]),
        (b"BDAT 10 LAST", Bdat(10, last=True), [250]),
        (b"bdat 10 last", Bdat(10, last=True), [250]),
        (b"BDAT 0 LAST", Bdat(0, last=True), [250, 500]),
        (b"BDAT", None, [501, 421]),
        (b"BDAT -1", None, [501, 421]),
        (b"BDAT 10 FOO", None, [501]),
    ],
)
def test_the_form_of_the_command(line: bytes, command: Bdat | None, wanted: list[int]) -> None:
    server = server_with_recipient()
    assert server.codes(line + b"\r\n1234567\n\r\n") == wanted
    assert (server.events[0] == command) is (command is not None)


@pytest.mark.req("RFC3030-2-20")
@pytest.mark.parametrize("size", [65536 + 1, 10**6, 10**20 - 1])
def test_a_chunk_that_is_too_big(size: int) -> None:
    """Refused, but only behind its octets, of which none is kept."""
    server = server_with_recipient(limits=SMALL_MESSAGES)
    assert server.feed(b"BDAT %d LAST\r\n" % size) == b""
    come = 0
    while come < min(size, 3 * 10**5) - len(LOOKS_LIKE_COMMANDS):
        piece = (LOOKS_LIKE_COMMANDS * 1000)[: size - come]
        assert server.feed(piece) == b"" or come + len(piece) == size
        come += len(piece)
        assert len(server.machine._buffer) == 0
    assert server.content == b""
    if size == 65536 + 1:
        server = server_with_recipient(limits=SMALL_MESSAGES)
        refusal = server.lines(bdat_last((LOOKS_LIKE_COMMANDS * 2000)[:size]), b"NOOP\r\n")
        assert refusal == [
            "552 5.3.4 Message size exceeds fixed maximum message size",
            "250 2.0.0 OK",
        ]
        assert server.machine.phase is Phase.READY


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ((65536,), [250]),
        ((65536 - 1, 1), [250, 250]),
        ((65536, 0), [250, 250]),
        ((65536, 1), [250, 552]),
        ((65536 - 1, 1, 1), [250, 250, 552]),
        ((65536 - 1, 2, 1), [250, 552, 503]),
        ((1, 65536, 1, 1), [250, 552, 503, 503]),
    ],
)
@pytest.mark.req("RFC1870-4-02")
def test_chunks_count_together(sizes: tuple[int, ...], wanted: list[int]) -> None:
    server = server_with_recipient(limits=SMALL_MESSAGES)
    data = [bdat(b"x" * size) for size in sizes[:-1]]
    assert server.codes(*data, bdat_last(b"x" * sizes[-1])) == wanted
    assert server.machine.phase is Phase.READY
    assert any(isinstance(event, BodyEnd) for event in server.events) == (wanted[-1] == 250)
    assert server.codes(ENVELOPE_LINES, bdat_last(b"x" * 65536)) == [250, 250, 250], "counted anew"


@pytest.mark.parametrize("tail", [b"5 FOO", b"5 LAST FOO", b"5 LASTING", b"5 6", b"00005 -"])
@pytest.mark.parametrize("before", [b"", b"RSET\r\n", bdat(b"a")])
def test_junk_behind_a_size(tail: bytes, before: bytes) -> None:
    """The size is known, so its octets are no commands; the transaction is over."""
    server = server_with_recipient()
    server.feed(before)
    assert server.feed(b"BDAT " + tail + b"\r\nQUIT") == b""
    assert server.codes(b"\n", b"NOOP\r\n") == [501, 250]
    assert [rejected.line for rejected in server.rejected] == [f"BDAT {tail.decode()}"]
    assert server.machine.phase is Phase.READY


@pytest.mark.parametrize(
    "argument",
    [
        b"", b" ", b" -1", b" +1", b" 0x5", b" five", b" LAST", b" 5.0", b" 1e3", b" 5LAST",
        b" 100000000000000000000", b" 999999999999999999999 LAST", b" \xd9\xa5", b" \xff", b" 5\0",
        b"\t5", b"X 5", b":5", b" 5\t LAST", b" 5 LAST" + b" " * 600, b" " + b"1" * 2000,
    ],
)  # fmt: skip
def test_a_size_that_nobody_knows_closes(argument: bytes) -> None:
    """What comes behind may be content or commands: neither is read."""
    for before, more in ((b"", {}), (b"RSET\r\n", {}), (bdat(b"a"), {"lmtp": True})):
        server = server_with_recipient(**more)
        server.feed(before)
        server.events.clear()
        lines = server.lines(b"bDaT" + argument + b"\r\n" + LOOKS_LIKE_COMMANDS)
        assert codes_of(lines) in ([501, 421], [500, 421])
        assert lines[1] == (
            "421 4.7.0 mx.example.org Size of the chunk unknown; closing transmission channel"
        )
        assert len(server.rejected) == len(server.events) == 1
        assert server.machine.phase is Phase.CLOSED
        assert server.feed(b"QUIT\r\n") + server.end() == b""


def test_blanks_at_the_end_are_no_part_of_it() -> None:
    server = server_with_recipient()
    assert server.codes(b"BDAT 3  LAST\r\nQUI", b"NOOP\r\n") == [501, 250]
    assert server.codes(ENVELOPE_LINES, b"BDAT 3 LAST \t\r\nabc") == [250, 250, 250]


def test_many_bad_chunks_close() -> None:
    server = server_with_recipient(limits=Limits(errors=3))
    assert server.codes(b"BDAT 1 X\r\n." * 5) == [501, 501, 501, 421]
    assert server.machine.phase is Phase.CLOSED


# -- refused by the application ----------------------------------------------------------------


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("kind", [Bdat, ChunkEnd])
@pytest.mark.parametrize("good", [0, 1])
def test_a_refused_chunk_fails_the_transaction(kind: type, good: int) -> None:
    """Its octets are read first; those on their way behind it are read and refused, too."""
    server = server_with_recipient(application=reply_to(kind, DISK_FULL, after=good))
    data = (
        bdat(b"good" if good else LOOKS_LIKE_COMMANDS)
        + bdat(LOOKS_LIKE_COMMANDS)
        + bdat(LOOKS_LIKE_COMMANDS)
        + bdat_last(LOOKS_LIKE_COMMANDS)
    )
    lines = server.lines(data + b"NOOP\r\n")
    wanted = [250, 452, 503, 503, 250] if good else [452, 503, 503, 503, 250]
    assert codes_of(lines) == wanted
    assert lines[good] == "452 4.3.1 Disk full"
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.machine.phase is Phase.READY
    assert server.machine.envelope.recipients == ()
    server.application = accept
    assert server.codes(b"RSET\r\n", ENVELOPE_LINES, bdat_last(b"x")) == [250, 250, 250, 250]


@pytest.mark.req("RFC3030-2-09")
def test_a_chunk_refused_at_its_command_gives_no_content_and_no_early_reply() -> None:
    server = server_with_recipient(application=reply_to(Bdat, DISK_FULL))
    assert server.feed(b"BDAT 5\r\n", b"QUIT") == b""
    assert server.feed(b"\n") == b"452 4.3.1 Disk full\r\n"
    assert server.content == b""
    assert server.events == [Bdat(5), Rejected("", DISK_FULL)]


@pytest.mark.parametrize("kind", [Bdat, BodyEnd])
def test_the_last_chunk_may_be_refused(kind: type) -> None:
    server = server_with_recipient(application=reply_to(kind, Reply(554, "5.6.0", "No")))
    assert server.codes(bdat_last(LOOKS_LIKE_COMMANDS), b"DATA\r\n") == [554, 503]
    assert server.machine.phase is Phase.READY


@pytest.mark.parametrize("kind", [Bdat, ChunkEnd, BodyEnd])
def test_421_to_a_chunk_closes(kind: type) -> None:
    server = server_with_recipient(application=reply_to(kind, Reply(421, "4.3.2", "Bye")))
    chunk = bdat_last(LOOKS_LIKE_COMMANDS) if kind is BodyEnd else bdat(LOOKS_LIKE_COMMANDS)
    assert server.lines(chunk, b"NOOP\r\n") == ["421 4.3.2 mx.example.org Bye"]
    assert server.machine.phase is Phase.CLOSED
    assert server.machine.next_event() is None


def test_hanging_up_in_the_middle_of_a_chunk() -> None:
    server = server_with_recipient()
    server.feed(b"BDAT 99\r\nabc")
    server.machine.hang_up(TIMED_OUT)
    assert codes_of(lines_of(server.feed(b"def") + server.end())) == [421]
    assert server.content == b"abc"


def test_answers_that_do_not_suit() -> None:
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
def test_the_end_in_the_middle_of_a_chunk(come: bytes, refused: bool) -> None:
    server = server_with_recipient(application=reply_to(Bdat, DISK_FULL) if refused else accept)
    assert server.feed(bdat(b"a") if not refused else b"NOOP\r\n") != b""
    assert server.feed(b"BDAT 4 LAST\r\n" + come) + server.end() == b""
    assert server.events[-1] == Disconnected()
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.req("RFC3030-2-18", "SMUGGLING-07")
@given(st.binary(max_size=1200), st.lists(st.integers(0, 1300), max_size=5))
@example(b"\xff" * 20000, [])
@example(b"\n" * 600, [20])
def test_octets_that_were_not_counted_are_commands_that_nobody_knows(
    content: bytes, cuts: list[int]
) -> None:
    """A client that counts too low: what is left over is refused line by line, in step."""
    if content[:1].isalpha() or b"\r\n" in content:
        content = b"\0" + content.replace(b"\r\n", b"\r\n\0")
    server = server_with_recipient(limits=Limits(errors=1000))
    data = b"BDAT 0 LAST\r\n" + content + b"\r\nNOOP\r\n"
    assert server.codes(*cut(data, cuts)) == [250, *[500] * (content.count(b"\r\n") + 1), 250]


# -- BINARYMIME --------------------------------------------------------------------------------


@pytest.mark.req("RFC3030-3-04", "SMUGGLING-04")
@pytest.mark.parametrize("cut", [0, 1, 13, 255])
def test_all_octets_are_preserved(cut: int) -> None:
    server = ready_server(BINARY_ENVELOPE_LINES, **BINARYMIME)
    assert server.codes(*single_octets(bdat(ALL_OCTETS[:cut]) + bdat_last(ALL_OCTETS[cut:]))) == [
        250,
        250,
    ]
    assert server.content == ALL_OCTETS


@pytest.mark.req("RFC3030-3-06")
def test_binary_content_does_not_come_by_data() -> None:
    server = ready_server(BINARY_ENVELOPE_LINES, **BINARYMIME)
    assert server.lines(b"DATA\r\n") == ["503 5.5.1 BODY=BINARYMIME needs BDAT"]
    assert not any(isinstance(event, Data) for event in server.events)
    assert server.machine.phase is Phase.RCPT
    assert server.codes(bdat_last(ALL_OCTETS)) == [250]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\n") == [250, 250, 354], "of that transaction only"


@pytest.mark.req("RFC3030-3-12")
@pytest.mark.parametrize("parameter", [b"", b" BODY=7BIT", b" BODY=8BITMIME"])
def test_what_was_announced_is_not_compared_with_what_comes(parameter: bytes) -> None:
    server = ready_server(
        BINARY_ENVELOPE_LINES.replace(b" BODY=BINARYMIME", parameter), **BINARYMIME
    )
    head = b"Content-Transfer-Encoding: binary\r\n\r\n"
    assert server.codes(bdat_last(head + ALL_OCTETS)) == [250]
    assert server.content == head + ALL_OCTETS


def test_binarymime_is_not_taken_unless_offered() -> None:
    server = ready_server()
    assert server.codes(MAIL_COMMAND + b" BODY=BINARYMIME\r\n") == [555]
    assert server.codes(b"MAIL FROM:<> BODY=BINARY\r\n") == [501]


@pytest.mark.req("RFC3030-3-01")
def test_binarymime_needs_chunking() -> None:
    with pytest.raises(ValueError, match="CHUNKING"):
        ServerDriver(extensions={"BINARYMIME": "", "CHUNKING": None})
    with pytest.raises(ValueError, match="no parameter"):
        ServerDriver(extensions={"BINARYMIME": "x"})


# -- laws --------------------------------------------------------------------------------------


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
    """An application that exchange these, then accept."""
    left = iter(codes)

    def application(_: object) -> Reply | None:
        code = next(left, None)
        return None if code is None else Reply(code, None, "No")

    return application


def history(parts: list[bytes], codes: list[int | None]) -> tuple[list[ServerEvent], bytes]:
    server = ready_server(application=replying_with(codes), limits=SMALL_MESSAGES, **BINARYMIME)
    said = b"".join(server.feed(part) for part in parts)
    return merge_content(server.events), said


@given(STREAMS, CODES, st.lists(st.integers(0, 800), max_size=6))
@example(ENVELOPE_LINES + bdat(LOOKS_LIKE_COMMANDS) + bdat_last(b""), [], [70, 80, 90])
def test_the_split_does_not_matter(data: bytes, codes: list[int | None], cuts: list[int]) -> None:
    whole = history([data], codes)
    assert history(cut(data, cuts), codes) == whole
    if len(data) < 2000:
        assert history(single_octets(data), codes) == whole


@given(STREAMS, CODES)
def test_one_reply_to_each(data: bytes, codes: list[int | None]) -> None:
    """To each command but BDAT, to each chunk's end, to each rejection: one. A BDAT of unknown
    size has its 421 besides."""
    events, said = history([data], codes)
    counted = sum(not isinstance(event, BodyChunk | Bdat) for event in events)
    replies = codes_of(lines_of(said))
    lost = said.count(b"Size of the chunk unknown")
    closed_at_bdat = replies[-1:] == [421] and isinstance(events[-1], Bdat)
    assert len(replies) == counted + lost + closed_at_bdat
