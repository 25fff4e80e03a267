"""A server's sinks when content comes in chunks."""

from __future__ import annotations

import ssl

import pytest
from attrs import define, field

from smtpproto import (
    Body,
    ConnectionLost,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
    Sink,
    TimedOut,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Verdict
from smtpproto.server.setup import check_server

from ..support.scripted_client import Feed, octets, replies, serve

# -- chunks ----------------------------------------------------------------------------------------


@define(eq=False)
class Sinks(Handler):
    """Each message has a sink that writes down what becomes of it; fails where it is told to."""

    fail_at: str = ""
    refusal: Reply | None = None
    calls: list[str] = field(factory=list)
    parameters: list[MailParameters] = field(factory=list)
    contents: list[bytes] = field(factory=list)

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.parameters.append(parameters)
        return None

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if self.refusal is not None:
            return self.refusal
        self._called("open")
        self.contents.append(b"")
        return self

    def write(self, data: bytes) -> None:
        self._called("write")
        self.contents[-1] += data

    async def commit(self) -> Verdict:
        self._called("commit")
        return None

    def abort(self) -> None:
        self._called("abort")

    def reset(self, session: Session) -> None:
        self.calls.append("reset")

    def _called(self, name: str) -> None:
        if name != "write" or self.calls[-1:] != ["write"]:
            self.calls.append(name)
        if name == self.fail_at:
            raise OSError("disk full")


TO_BOB = ("MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>")
ONE, TWO, END = ("BDAT 5", "one"), ("BDAT 5", "two"), ("BDAT 3 LAST", "3")


@pytest.mark.req("RFC3030-2-06", "RFC3030-2-02", "RFC3030-2-08")
def test_a_message_in_chunks_has_one_sink() -> None:
    handler = Sinks()
    said = replies(
        handler, *TO_BOB, *ONE, *TWO, *END, "BDAT 3 LAST", "x", *TO_BOB, "DATA", "x", "."
    )
    codes = ["250"] * 5 + ["503", "250", "250", "354", "250"]
    assert [line[:3] for line in said] == codes
    assert handler.contents == [b"one\r\ntwo\r\n3\r\n", b"x\r\n"]
    assert handler.calls == ["open", "write", "commit"] * 2


@pytest.mark.req("RFC3030-2-05")
def test_octets_of_a_chunk_are_what_they_are() -> None:
    handler = Sinks()
    said = replies(handler, *TO_BOB, "BDAT 15 LAST", ".", "QUIT", "..", ".", "NOOP")
    assert handler.contents == [b".\r\nQUIT\r\n..\r\n.\r"]
    assert said[2][:3] == "250" and said[3].startswith("500")  # the LF that was not announced


@pytest.mark.req("RFC3030-3-04")
def test_binary_content_is_kept_octet_by_octet() -> None:
    handler, body = Sinks(), bytes(range(256)) * 3
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = octets("EHLO x", TO_BOB[0] + " BODY=BINARYMIME", TO_BOB[1])
    feed = serve(handler, start + b"BDAT 768 LAST\r\n" + body + b"NOOP\r\n", config=config)
    assert feed.said[-2:] == ["250 2.0.0 Message accepted", "250 2.0.0 OK"]
    assert handler.contents == [body]
    assert handler.parameters[0].body is Body.BINARY_MIME


@pytest.mark.req("RFC3030-3-06", "RFC3030-3-01")
def test_binary_content_is_not_for_data() -> None:
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = (TO_BOB[0] + " BODY=BINARYMIME", TO_BOB[1])
    said = replies(Sinks(), *start, "DATA", "RSET", config=config)
    assert [line[:9] for line in said[2:]] == ["503 5.5.1", "250 2.0.0"]
    alone = ServerConfig(extensions={"BINARYMIME": "", "CHUNKING": None})
    with pytest.raises(ValueError, match="BINARYMIME"):
        check_server(Sinks, alone, 25)


@pytest.mark.req("RFC3030-2-15", "RFC3030-2-19")
def test_chunks_without_a_transaction_are_read_and_refused() -> None:
    class Nobody(Sinks):
        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            return Reply(550, "5.1.1", "No such user")

    said = replies(Sinks(), *TO_BOB, "DATA", "x", ".", "BDAT 6 LAST", "QUIT", "NOOP")
    assert [line[:3] for line in said[3:]] == ["250", "503", "250"]
    handler = Nobody()
    said = replies(handler, *TO_BOB, "BDAT 6 LAST", "QUIT", "NOOP")
    assert [line[:3] for line in said] == ["250", "550", "503", "250"]
    assert handler.calls == []


@pytest.mark.req("RFC3030-2-13")
@pytest.mark.parametrize("reset", ["RSET", "EHLO client.example", "HELO client.example"])
def test_a_reset_between_chunks_throws_them_away(reset: str) -> None:
    handler = Sinks()
    replies(handler, *TO_BOB, *ONE, reset, *TO_BOB, "DATA", "two", ".")
    assert handler.contents == [b"one\r\n", b"two\r\n"]
    assert handler.calls == ["open", "write", "abort", "reset", "open", "write", "commit"]


@pytest.mark.parametrize(
    "end",
    [
        (),
        (ConnectionLost("gone"),),
        (TimedOut("silent"),),
        (octets("QUIT"),),
        (octets("BDAT x"),),
    ],
    ids=str,
)
def test_chunks_that_nothing_follows_are_thrown_away(end: tuple[bytes | Exception, ...]) -> None:
    handler = Sinks()
    serve(handler, octets("EHLO x", *TO_BOB, *ONE), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.parametrize("end", [(), (ConnectionLost("gone"),), (TimedOut("silent"),)], ids=str)
def test_a_chunk_that_breaks_off_is_thrown_away(end: tuple[Exception, ...]) -> None:
    handler = Sinks()
    serve(handler, octets("EHLO x", *TO_BOB, "BDAT 9", "on"), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-14")
def test_what_is_out_of_order_between_chunks_changes_nothing() -> None:
    handler = Sinks()
    between = ["FOO", "MAIL FROM:<>", "RCPT TO:<x@y.example>", "DATA", "NOOP", "VRFY x", "AUTH x"]
    said = replies(handler, *TO_BOB, *ONE, *between, *END)
    assert [line[:3] for line in said[3:-1]] == ["500", "503", "503", "503", "250", "252", "502"]
    assert said[-1] == "250 2.0.0 Message accepted"
    assert handler.calls == ["open", "write", "commit"]
    assert replies(handler, *TO_BOB, *ONE, "DATA", "RSET")[3:] == [
        "503 5.5.1 BDAT chunks are open; send BDAT or RSET",
        "250 2.0.0 OK",
    ]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("fail_at", ["open", "write"])
def test_a_sink_that_fails_in_a_chunk(fail_at: str) -> None:
    """The chunk is read to its end and refused, and so is each that was on its way."""
    handler = Sinks(fail_at)
    said = replies(handler, *TO_BOB, *ONE, *TWO, *END, "RSET", "NOOP")
    assert [line[:3] for line in said[2:]] == ["451", "503", "503", "250", "250"]
    assert handler.calls == (["open"] if fail_at == "open" else ["open", "write", "abort"])


def test_a_write_that_fails_in_the_last_chunk() -> None:
    handler = Sinks("write")
    assert replies(handler, *TO_BOB, *END, "NOOP")[2:] == [
        "451 4.3.0 Local error in processing",
        "250 2.0.0 OK",
    ]
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("code", [452, 554, 421])
def test_a_message_refused_at_its_first_chunk(code: int) -> None:
    handler = Sinks(refusal=Reply(code, None, "No"))
    said = replies(handler, *TO_BOB, *ONE, *END, "NOOP")
    expected = ["421"] if code == 421 else [str(code), "503", "250"]
    assert [line[:3] for line in said[2:]] == expected
    assert handler.calls == []


def test_chunks_that_become_too_many_octets() -> None:
    handler, config = Sinks(), ServerConfig(limits=Limits(message_size=65536))
    body = b"BDAT 65536\r\n" + bytes(65536) + b"BDAT 1\r\nx"
    feed = serve(handler, octets("EHLO x", *TO_BOB) + body + octets("NOOP"), config=config)
    assert feed.said[-3:-1] == [
        "250 2.0.0 Chunk received",
        "552 5.3.4 Message size exceeds fixed maximum message size",
    ]
    assert handler.calls == ["open", "write", "abort"]


class Stopped(Feed):
    """Stops *conversation* when it waits for the *n*-th piece."""

    conversation: Conversation
    n: int

    async def read(self, timeout: float | None) -> bytes:
        if len(self.waits) == self.n:
            self.conversation.stop()
        return await super().read(timeout)


@pytest.mark.parametrize("n", range(1, 7))
def test_stop_lets_a_message_in_chunks_come_to_its_end(n: int) -> None:
    """But not one that has not begun, and nothing after it."""
    handler = Sinks()
    stream = Stopped(
        [
            octets("EHLO x"), octets(*TO_BOB), octets("BDAT 5"), octets("one"),
            octets("BDAT 3 LAST"), octets("3"), octets("MAIL FROM:<>"),
        ]
    )  # fmt: skip
    stream.conversation = Conversation(stream, handler, ServerConfig(), Runtime())
    stream.n = n
    run(stream.conversation.run())
    begun = n > 2
    assert handler.calls == (["open", "write", "commit"] if begun else [])
    assert stream.said[-1] == (
        "421 4.3.2 localhost Service shutting down; closing transmission channel"
    )
    assert ("250 2.0.0 Message accepted" in stream.said) is begun
    assert stream.interrupted is (n < 3 or n == 6)


def test_require_tls_reads_the_octets_of_a_chunk_all_the_same() -> None:
    config = ServerConfig(context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), require_tls=True)
    said = replies(Sinks(), "BDAT 6", "QUIT", "VRFY bob", "HELP", "NOOP", config=config)
    assert [line[:3] for line in said] == ["530", "530", "530", "250"]
