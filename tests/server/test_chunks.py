"""Sinks that receive a message sent by BDAT (RFC 3030)."""

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
from tests.support.scripted_client import ScriptedClient, octets, replies, serve


@define(eq=False)
class SinkRecorder(Handler):
    """A handler that is its own sink. It records calls and contents; the call *fail_at* raises."""

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
        self._call("open")
        self.contents.append(b"")
        return self

    def write(self, data: bytes) -> None:
        self._call("write")
        self.contents[-1] += data

    async def commit(self) -> Verdict:
        self._call("commit")
        return None

    def abort(self) -> None:
        self._call("abort")

    def reset(self, session: Session) -> None:
        self.calls.append("reset")

    def _call(self, name: str) -> None:
        if name != "write" or self.calls[-1:] != ["write"]:
            self.calls.append(name)
        if name == self.fail_at:
            raise OSError("disk full")


MAIL_AND_RCPT = ("MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>")
FIRST_CHUNK, SECOND_CHUNK, LAST_CHUNK = ("BDAT 5", "one"), ("BDAT 5", "two"), ("BDAT 3 LAST", "3")


@pytest.mark.req("RFC3030-2-06", "RFC3030-2-02", "RFC3030-2-08")
def test_a_message_in_chunks_has_one_sink() -> None:
    handler = SinkRecorder()
    answers = replies(
        handler,
        *MAIL_AND_RCPT, *FIRST_CHUNK, *SECOND_CHUNK, *LAST_CHUNK, "BDAT 3 LAST", "x",
        *MAIL_AND_RCPT, "DATA", "x", ".",
    )  # fmt: skip
    codes = ["250"] * 5 + ["503", "250", "250", "354", "250"]
    assert [line[:3] for line in answers] == codes
    assert handler.contents == [b"one\r\ntwo\r\n3\r\n", b"x\r\n"]
    assert handler.calls == ["open", "write", "commit"] * 2


@pytest.mark.req("RFC3030-2-05")
def test_dots_and_commands_within_a_chunk_are_content() -> None:
    handler = SinkRecorder()
    answers = replies(handler, *MAIL_AND_RCPT, "BDAT 15 LAST", ".", "QUIT", "..", ".", "NOOP")
    assert handler.contents == [b".\r\nQUIT\r\n..\r\n.\r"]
    assert answers[2][:3] == "250" and answers[3].startswith("500")  # the LF is one octet too many


@pytest.mark.req("RFC3030-3-04")
def test_binary_content_is_kept_octet_by_octet() -> None:
    handler, body = SinkRecorder(), bytes(range(256)) * 3
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = octets("EHLO x", MAIL_AND_RCPT[0] + " BODY=BINARYMIME", MAIL_AND_RCPT[1])
    client = serve(handler, start + b"BDAT 768 LAST\r\n" + body + b"NOOP\r\n", config=config)
    assert client.lines[-2:] == ["250 2.0.0 Message accepted", "250 2.0.0 OK"]
    assert handler.contents == [body]
    assert handler.parameters[0].body is Body.BINARY_MIME


@pytest.mark.req("RFC3030-3-06")
def test_data_is_refused_with_503_for_binary_content() -> None:
    config = ServerConfig(extensions={"BINARYMIME": ""})
    start = (MAIL_AND_RCPT[0] + " BODY=BINARYMIME", MAIL_AND_RCPT[1])
    answers = replies(SinkRecorder(), *start, "DATA", "RSET", config=config)
    assert [line[:9] for line in answers[2:]] == ["503 5.5.1", "250 2.0.0"]


@pytest.mark.req("RFC3030-3-01")
def test_binarymime_must_not_be_offered_without_chunking() -> None:
    config = ServerConfig(extensions={"BINARYMIME": "", "CHUNKING": None})
    with pytest.raises(ValueError, match="BINARYMIME"):
        check_server(SinkRecorder, config, 25)


@pytest.mark.req("RFC3030-2-15", "RFC3030-2-19")
def test_chunks_without_a_transaction_are_skipped_and_refused_with_503() -> None:
    class NoUsers(SinkRecorder):
        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            return Reply(550, "5.1.1", "No such user")

    answers = replies(
        SinkRecorder(), *MAIL_AND_RCPT, "DATA", "x", ".", "BDAT 6 LAST", "QUIT", "NOOP"
    )
    assert [line[:3] for line in answers[3:]] == ["250", "503", "250"]
    handler = NoUsers()
    answers = replies(handler, *MAIL_AND_RCPT, "BDAT 6 LAST", "QUIT", "NOOP")
    assert [line[:3] for line in answers] == ["250", "550", "503", "250"]
    assert handler.calls == []


@pytest.mark.req("RFC3030-2-13", "RFC5321-4.1.1.5-01", "RFC5321-4.1.4-05", "RFC5321-4.1.1.1-08")
@pytest.mark.parametrize("reset", ["RSET", "EHLO client.example", "HELO client.example"])
def test_a_reset_between_chunks_aborts_the_sink(reset: str) -> None:
    handler = SinkRecorder()
    replies(handler, *MAIL_AND_RCPT, *FIRST_CHUNK, reset, *MAIL_AND_RCPT, "DATA", "two", ".")
    assert handler.contents == [b"one\r\n", b"two\r\n"]
    assert handler.calls == ["open", "write", "abort", "reset", "open", "write", "commit"]


class HelloRefuser(SinkRecorder):
    """Refuses every EHLO but the first one."""

    hellos = 0

    def ehlo(self, session: Session, host: object) -> Verdict:
        self.hellos += 1
        return Reply(550, None, "Once is enough") if self.hellos > 1 else None


@pytest.mark.req("RFC5321-4.1.4-07")
@pytest.mark.parametrize("line", ["EHLO other.example", "HELO other.example", "EHLO", "HELO a\0b"])
def test_a_refused_ehlo_between_chunks_does_not_end_the_message(line: str) -> None:
    handler = HelloRefuser()
    replies(handler, *MAIL_AND_RCPT, *FIRST_CHUNK, line, *SECOND_CHUNK, *LAST_CHUNK)
    assert handler.contents == [b"one\r\ntwo\r\n3\r\n"]
    assert handler.calls == ["open", "write", "commit"]


@pytest.mark.parametrize(
    "end",
    [
        (),
        (ConnectionLost("gone"),),
        (TimedOut("silent"),),
        (octets("QUIT"),),
        (octets("BDAT x"),),
    ],
    ids=["end", "lost", "timeout", "quit", "bad BDAT"],
)
def test_the_sink_is_aborted_if_the_last_chunk_never_comes(
    end: tuple[bytes | Exception, ...],
) -> None:
    handler = SinkRecorder()
    serve(handler, octets("EHLO x", *MAIL_AND_RCPT, *FIRST_CHUNK), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.parametrize(
    "end", [(), (ConnectionLost("gone"),), (TimedOut("silent"),)], ids=["end", "lost", "timeout"]
)
def test_the_sink_is_aborted_if_the_connection_ends_within_a_chunk(
    end: tuple[Exception, ...],
) -> None:
    handler = SinkRecorder()
    serve(handler, octets("EHLO x", *MAIL_AND_RCPT, "BDAT 9", "on"), *end)
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-14")
def test_refused_commands_between_chunks_do_not_change_the_message() -> None:
    handler = SinkRecorder()
    between = ["FOO", "MAIL FROM:<>", "RCPT TO:<x@y.example>", "DATA", "NOOP", "VRFY x", "AUTH x"]
    answers = replies(handler, *MAIL_AND_RCPT, *FIRST_CHUNK, *between, *LAST_CHUNK)
    assert [line[:3] for line in answers[3:-1]] == ["500", "503", "503", "503", "250", "252", "502"]
    assert answers[-1] == "250 2.0.0 Message accepted"
    assert handler.calls == ["open", "write", "commit"]
    assert replies(handler, *MAIL_AND_RCPT, *FIRST_CHUNK, "DATA", "RSET")[3:] == [
        "503 5.5.1 BDAT chunks are open; send BDAT or RSET",
        "250 2.0.0 OK",
    ]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("fail_at", ["open", "write"])
def test_after_a_failed_chunk_the_following_chunks_are_refused(fail_at: str) -> None:
    handler = SinkRecorder(fail_at)
    answers = replies(
        handler, *MAIL_AND_RCPT, *FIRST_CHUNK, *SECOND_CHUNK, *LAST_CHUNK, "RSET", "NOOP"
    )
    assert [line[:3] for line in answers[2:]] == ["451", "503", "503", "250", "250"]
    assert handler.calls == (["open"] if fail_at == "open" else ["open", "write", "abort"])


def test_a_failed_write_in_the_last_chunk_is_answered_with_451() -> None:
    handler = SinkRecorder("write")
    assert replies(handler, *MAIL_AND_RCPT, *LAST_CHUNK, "NOOP")[2:] == [
        "451 4.3.0 Local error in processing",
        "250 2.0.0 OK",
    ]
    assert handler.calls == ["open", "write", "abort"]


@pytest.mark.req("RFC3030-2-09", "RFC3030-2-11")
@pytest.mark.parametrize("code", [452, 554, 421])
def test_the_data_hook_may_refuse_the_first_chunk(code: int) -> None:
    handler = SinkRecorder(refusal=Reply(code, None, "No"))
    answers = replies(handler, *MAIL_AND_RCPT, *FIRST_CHUNK, *LAST_CHUNK, "NOOP")
    expected = ["421"] if code == 421 else [str(code), "503", "250"]
    assert [line[:3] for line in answers[2:]] == expected
    assert handler.calls == []


def test_chunks_above_the_size_limit_are_refused_with_552() -> None:
    handler, config = SinkRecorder(), ServerConfig(limits=Limits(message_size=65536))
    body = b"BDAT 65536\r\n" + bytes(65536) + b"BDAT 1\r\nx"
    client = serve(handler, octets("EHLO x", *MAIL_AND_RCPT) + body + octets("NOOP"), config=config)
    assert client.lines[-3:-1] == [
        "250 2.0.0 Chunk received",
        "552 5.3.4 Message size exceeds fixed maximum message size",
    ]
    assert handler.calls == ["open", "write", "abort"]


class StoppingClient(ScriptedClient):
    """A client; *conversation* is stopped when it reads the piece number *n*."""

    conversation: Conversation
    n: int

    async def read(self, timeout: float | None) -> bytes:
        if len(self.timeouts) == self.n:
            self.conversation.stop()
        return await super().read(timeout)


@pytest.mark.parametrize("n", range(1, 7))
def test_stop_waits_for_the_end_of_a_message_in_chunks(n: int) -> None:
    """It does not wait for a message that has not begun."""
    handler = SinkRecorder()
    stream = StoppingClient(
        [
            octets("EHLO x"), octets(*MAIL_AND_RCPT), octets("BDAT 5"), octets("one"),
            octets("BDAT 3 LAST"), octets("3"), octets("MAIL FROM:<>"),
        ]
    )  # fmt: skip
    stream.conversation = Conversation(stream, handler, ServerConfig(), Runtime())
    stream.n = n
    run(stream.conversation.run())
    begun = n > 2
    assert handler.calls == (["open", "write", "commit"] if begun else [])
    assert stream.lines[-1] == (
        "421 4.3.2 localhost Service shutting down; closing transmission channel"
    )
    assert ("250 2.0.0 Message accepted" in stream.lines) is begun
    assert stream.interrupted is (n < 3 or n == 6)


def test_chunks_before_a_required_tls_are_skipped_and_refused_with_530() -> None:
    config = ServerConfig(context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), require_tls=True)
    answers = replies(SinkRecorder(), "BDAT 6", "QUIT", "VRFY bob", "HELP", "NOOP", config=config)
    assert [line[:3] for line in answers] == ["530", "530", "530", "250"]
