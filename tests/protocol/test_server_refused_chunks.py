"""Chunks that a server refuses (RFC 3030 2)."""

from __future__ import annotations

import pytest

from smtpproto.events import (
    BodyEnd,
    ChunkEnd,
    Connected,
    Rejected,
)
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase

from .machines import (
    DISK_FULL,
    ENVELOPE_LINES,
    LOOKS_LIKE_COMMANDS,
    MAIL,
    SMALL_MESSAGES,
    ServerDriver,
    accept,
    bdat,
    bdat_last,
    codes_of,
    ready_server,
    reply_to,
    server_with_recipient,
)


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
def test_octets_of_a_refused_chunk_are_never_read_as_commands(
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
    assert refusal == [503 if code == 553 else code], "there is one reply, after the last octet"
    assert len(server.events) == 1
    assert server.rejected[0].line == f"BDAT {len(LOOKS_LIKE_COMMANDS)}{mark}"
    assert server.content == b""
    assert server.machine.phase is (Phase.READY if in_transaction else phase)
    assert server.codes(b"NOOP\r\nQUIT\r\n") == [250, 221]


def test_mail_pipelined_after_a_refused_chunk_opens_a_transaction() -> None:
    """Otherwise its recipients would be added to the transaction of the sender before."""
    server = ready_server(b"MAIL FROM:<eve@example.org>\r\n")
    assert server.codes(bdat_last(b"a") + ENVELOPE_LINES + bdat_last(b"b")) == [503, 250, 250, 250]
    assert server.content == b"b"
    assert MAIL in server.events


def test_chunks_before_ehlo_or_after_a_554_greeting_are_refused() -> None:
    for greeting in (None, Reply(554, None, "No")):
        server = ServerDriver(reply_to(Connected, greeting) if greeting else accept)
        assert server.codes(bdat_last(LOOKS_LIKE_COMMANDS), bdat(LOOKS_LIKE_COMMANDS), b"QUIT\r\n")[
            1:
        ] == [503, 503, 221]
        assert server.content == b""


def test_a_chunk_is_refused_with_502_if_chunking_is_not_offered() -> None:
    """Its octets are skipped, not read as commands."""
    server = server_with_recipient(extensions={"CHUNKING": None})
    assert "CHUNKING" not in server.machine.terms.offered
    assert server.lines(bdat_last(LOOKS_LIKE_COMMANDS)) == ["502 5.5.1 Command not implemented"]
    assert server.codes(ENVELOPE_LINES, b"DATA\r\nx\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC3030-2-01")
@pytest.mark.parametrize(
    ("line", "command", "expected"),
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
def test_bdat_takes_a_size_and_the_word_last(
    line: bytes, command: Bdat | None, expected: list[int]
) -> None:
    server = server_with_recipient()
    assert server.codes(line + b"\r\n1234567\n\r\n") == expected
    assert (server.events[0] == command) is (command is not None)


@pytest.mark.req("RFC3030-2-20")
@pytest.mark.parametrize("size", [65536 + 1, 10**6, 10**20 - 1])
def test_a_chunk_beyond_the_limit_is_refused_after_its_octets(size: int) -> None:
    """None of its octets is kept."""
    server = server_with_recipient(limits=SMALL_MESSAGES)
    assert server.feed(b"BDAT %d LAST\r\n" % size) == b""
    come = 0
    while come < min(size, 3 * 10**5) - len(LOOKS_LIKE_COMMANDS):
        piece = (LOOKS_LIKE_COMMANDS * 1000)[: size - come]
        assert server.feed(piece) == b"" or come + len(piece) == size
        come += len(piece)
        assert len(server.machine.buffer) == 0
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
    ("sizes", "expected"),
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
def test_the_size_limit_applies_to_all_chunks_together(
    sizes: tuple[int, ...], expected: list[int]
) -> None:
    server = server_with_recipient(limits=SMALL_MESSAGES)
    data = [bdat(b"x" * size) for size in sizes[:-1]]
    assert server.codes(*data, bdat_last(b"x" * sizes[-1])) == expected
    assert server.machine.phase is Phase.READY
    assert any(isinstance(event, BodyEnd) for event in server.events) == (expected[-1] == 250)
    assert server.codes(ENVELOPE_LINES, bdat_last(b"x" * 65536)) == [250, 250, 250], (
        "the next transaction counts from 0"
    )


@pytest.mark.req("RFC3030-2-01")
@pytest.mark.parametrize("tail", [b"5 FOO", b"5 LAST FOO", b"5 LASTING", b"5 6", b"00005 -"])
@pytest.mark.parametrize("before", [b"", b"RSET\r\n", bdat(b"a")])
def test_after_a_bad_argument_the_octets_of_the_known_size_are_skipped(
    tail: bytes, before: bytes
) -> None:
    """Because the size is known, the octets are not commands. The transaction is over."""
    server = server_with_recipient()
    server.feed(before)
    assert server.feed(b"BDAT " + tail + b"\r\nQUIT") == b""
    assert server.codes(b"\n", b"NOOP\r\n") == [501, 250]
    assert [rejected.line for rejected in server.rejected] == [f"BDAT {tail.decode()}"]
    assert server.machine.phase is Phase.READY


@pytest.mark.req("RFC3030-2-01", "RFC3030-2-20")
@pytest.mark.parametrize(
    "argument",
    [
        b"", b" ", b" -1", b" +1", b" 0x5", b" five", b" LAST", b" 5.0", b" 1e3", b" 5LAST",
        b" 100000000000000000000", b" 999999999999999999999 LAST", b" \xd9\xa5", b" \xff", b" 5\0",
        b"\t5", b"X 5", b":5", b" 5\t LAST", b" 5 LAST" + b" " * 600, b" " + b"1" * 2000,
        b" 5 LAST" + b" " * 12_300, b" " + b"1" * 70_000,
    ],
)  # fmt: skip
def test_bdat_without_a_readable_size_closes_with_421(argument: bytes) -> None:
    """The octets after it may be content or commands, so nothing is read."""
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


@pytest.mark.req("RFC3030-2-01")
def test_bdat_accepts_trailing_blanks_only() -> None:
    server = server_with_recipient()
    assert server.codes(b"BDAT 3  LAST\r\nQUI", b"NOOP\r\n") == [501, 250]
    assert server.codes(ENVELOPE_LINES, b"BDAT 3 LAST \t\r\nabc") == [250, 250, 250]


def test_too_many_bad_chunks_close_with_421() -> None:
    server = server_with_recipient(limits=Limits(errors=3))
    assert server.codes(b"BDAT 1 X\r\n." * 5) == [501, 501, 501, 421]
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("kind", [Bdat, ChunkEnd])
@pytest.mark.parametrize("good", [0, 1])
@pytest.mark.parametrize("last", [LOOKS_LIKE_COMMANDS, b""], ids=["octets", "empty"])
def test_a_chunk_refused_by_the_application_fails_the_transaction(
    kind: type, good: int, last: bytes
) -> None:
    """Its octets are read first. Chunks in flight after it are read and refused, too."""
    server = server_with_recipient(application=reply_to(kind, DISK_FULL, after=good))
    data = (
        bdat(b"good" if good else LOOKS_LIKE_COMMANDS)
        + bdat(LOOKS_LIKE_COMMANDS)
        + bdat(LOOKS_LIKE_COMMANDS)
        + bdat(b"")
        + bdat_last(last)
    )
    lines = server.lines(data + b"NOOP\r\n")
    expected = [250, 452, 503, 503, 503, 250] if good else [452, 503, 503, 503, 503, 250]
    assert codes_of(lines) == expected
    assert lines[good] == "452 4.3.1 Disk full"
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.machine.phase is Phase.READY
    assert server.machine.envelope.recipients == ()
    server.application = accept
    assert server.codes(b"RSET\r\n", ENVELOPE_LINES, bdat_last(b"x")) == [250, 250, 250, 250]


@pytest.mark.req("RFC3030-2-09")
def test_a_refusal_at_bdat_is_sent_after_the_octets() -> None:
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
def test_421_to_a_chunk_closes_the_session(kind: type) -> None:
    server = server_with_recipient(application=reply_to(kind, Reply(421, "4.3.2", "Bye")))
    chunk = bdat_last(LOOKS_LIKE_COMMANDS) if kind is BodyEnd else bdat(LOOKS_LIKE_COMMANDS)
    assert server.lines(chunk, b"NOOP\r\n") == ["421 4.3.2 mx.example.org Bye"]
    assert server.machine.phase is Phase.CLOSED
    assert server.machine.next_event() is None
