"""Connections that break: the errors that the client raises, and what it still sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    LocalProtocolError,
    LoginRefused,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client import submit
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.dialogue import MAIL, hello
from tests.support.envelopes import TO_BOB, TO_TWO


class Cancelled(BaseException):
    """The cancellation of a framework."""


async def greeted(script: str) -> tuple[Client, ScriptedStream]:
    """Return an open client, and its stream, which plays *script* next."""
    stream = ScriptedStream(f"S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n{script}")
    config = ClientConfig(tls=TLSMode.NONE)
    return await start_client(Runtime(), stream, "", config, TLSMode.NONE), stream


def test_a_cancelled_write_ends_the_connection() -> None:
    """Part of it may have been sent, so the server could read what follows as content."""

    async def main() -> None:
        client, stream = await greeted("C: NOOP\n")

        async def write(data: bytes, timeout: float | None) -> None:
            raise Cancelled

        stream.write = write  # type: ignore[method-assign]
        with pytest.raises(Cancelled):
            await client.noop()
        assert not client.usable
        with pytest.raises(LocalProtocolError, match="over"):
            await client.send(b"hello\r\n", TO_TWO)

    run(main())


def test_after_421_every_message_is_refused_with_that_reply() -> None:
    async def main() -> None:
        client, _ = await greeted("C: MAIL FROM:<ann@example.org>\nS: 421 Going\n")
        for _ in range(3):
            with pytest.raises(SendRefused) as caught:
                await client.send(b"hello\r\n", TO_TWO)
            assert caught.value.reply.code == 421

    run(main())


@pytest.mark.parametrize("verb", ["NOOP", "RSET", "VRFY", "EXPN", "HELP", "ETRN", "AUTH"])
def test_after_421_every_command_is_answered_by_it_until_the_client_is_closed(verb: str) -> None:
    asks: dict[str, Callable[[Client], Awaitable[Any]]] = {
        "NOOP": Client.noop,
        "RSET": Client.rset,
        "VRFY": lambda client: client.vrfy("ann"),
        "EXPN": lambda client: client.expn("list"),
        "HELP": Client.help,
        "ETRN": lambda client: client.etrn("example.org"),
        "AUTH": lambda client: client.login(("ann", "secret")),
    }

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE, login_in_clear=True)
        stream = ScriptedStream(f"{hello('AUTH PLAIN', 'ETRN')}C: NOOP\nS: 421 Going\n")
        client = await start_client(Runtime(), stream, "", config, TLSMode.NONE)
        await client.noop()
        for _ in range(2):
            if verb == "AUTH":
                with pytest.raises(LoginRefused, match="421 Going"):
                    await asks[verb](client)
            else:
                assert str(await asks[verb](client)) == "421 Going"
        await client.quit()
        with pytest.raises(LocalProtocolError, match="this connection is over"):
            await asks[verb](client)

    run(main())


# -- the last reply of the server ----------------------------------------------------------------


class SlowRuntime(Runtime):
    """A runtime whose clock a test moves on."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds


def test_after_a_failed_write_the_client_reads_replies_for_one_second_only() -> None:
    """The server sends octets that never complete a line, one in half a second."""

    class Dripping(ScriptedStream):
        reads = 0
        broken = False

        async def read(self, timeout: float | None) -> bytes:
            if timeout == 0:
                raise TimedOut("nothing has arrived")
            if not self.broken:
                return await super().read(timeout)
            runtime.seconds += 0.5
            self.reads += 1
            assert self.reads < 9
            return b"x"

    runtime, stream = SlowRuntime(), Dripping("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n")

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(runtime, stream, "", config, TLSMode.NONE)
        stream.write = write_fails  # type: ignore[method-assign]
        stream.broken = True
        with pytest.raises(ConnectionLost):
            await client.noop()

    run(main())
    assert stream.reads == 2


async def write_fails(data: bytes, timeout: float | None) -> None:
    """Raise ConnectionLost, as a write to a broken connection does."""
    raise ConnectionLost("broken pipe")


@pytest.mark.parametrize("at_once", [True, False], ids=["with the answer", "after the write"])
@pytest.mark.parametrize("how", ["DATA", "BDAT"])
@pytest.mark.parametrize(
    ("reply", "code", "expected"),
    [
        (b"552 5.3.4 Too big\r\n", 552, SendRefused),
        (b"421 4.3.1 Disk full\r\n", 421, SendRefused),
        (b"250 2.0.0 OK\r\n", 250, (ConnectionLost, RemoteProtocolError)),
        (b"", None, ConnectionLost),
    ],
)
def test_a_refusal_in_the_middle_of_content_explains_the_broken_connection(
    how: str,
    reply: bytes,
    code: int | None,
    expected: type[SMTPError] | tuple[type[SMTPError], ...],
    at_once: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message refused as too big must not be sent again; one without a reply was not refused."""
    monkeypatch.setattr(submit, "BDAT_SIZE", 7)
    question, answer, offer = {
        "DATA": (b"DATA\r\n", b"354 go\r\n", "8BITMIME"),
        "BDAT": (b"BDAT 7\r\nhello\r\n", b"250 ok\r\n", "CHUNKING"),
    }[how]
    answers = {
        b"": b"220 mx\r\n", b"EHLO [127.0.0.1]\r\n": f"250-mx\r\n250 {offer}\r\n".encode(),
        b"MAIL FROM:<ann@example.org>\r\n": b"250 ok\r\n",
        b"RCPT TO:<bob@example.org>\r\n": b"250 ok\r\n",
    }  # fmt: skip
    answers[question] = answer + (reply if at_once else b"")

    class FullServer(ScriptedStream):
        written = b""

        async def read(self, timeout: float | None) -> bytes:
            if timeout == 0 and not answers.get(self.written):
                raise TimedOut("nothing has arrived")
            return answers.pop(self.written, b"")

        async def write(self, data: bytes, timeout: float | None) -> None:
            self.written = data
            if data not in answers:
                answers[data] = b"" if at_once else reply
                raise ConnectionLost("broken pipe")

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(Runtime(), FullServer(""), "", config, TLSMode.NONE)
        with pytest.raises(expected) as caught:
            await client.send(b"hello\r\n" * 3, TO_BOB)
        assert (caught.value.reply and caught.value.reply.code) == code
        assert not client.usable

    run(main())


class BrokenAt(ScriptedStream):
    """A scripted stream whose write of *data* fails; after it, *reply* can be read."""

    def __init__(self, script: str, data: bytes, reply: bytes) -> None:
        super().__init__(script)
        self.data, self.reply = data, reply
        self.failed = False

    async def write(self, data: bytes, timeout: float | None) -> None:
        if data == self.data:
            self.failed = True
            raise ConnectionLost("broken pipe")
        await super().write(data, timeout)

    async def read(self, timeout: float | None) -> bytes:
        if not self.failed:
            return await super().read(timeout)
        reply, self.reply = self.reply, b""
        return reply


@pytest.mark.parametrize("reply", [b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", b"250-ok\r\n", b""])
@pytest.mark.parametrize(("data", "unknown"), [(b"hello\r\n", False), (b".\r\n", True)])
def test_a_reply_after_a_failed_write_of_content_or_of_its_end_accepts_nobody(
    data: bytes, unknown: bool, reply: bytes
) -> None:
    """A failed write of the end is no proof that the server did not get it: the outcome is unknown,
    not a failure. Without the end the message cannot have been delivered."""

    async def main() -> None:
        script = f"{hello()}{MAIL}C: DATA\nS: 354 go\n" + ("C: hello\nC: .\n" if unknown else "")
        stream = BrokenAt(script, data, reply)
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(Runtime(), stream, "", config, TLSMode.NONE)
        if unknown:
            outcome = await client.send(b"hello\r\n", TO_BOB)
            assert outcome.unknown and not outcome.accepted and not outcome.refused
        else:
            with pytest.raises(ConnectionLost):
                await client.send(b"hello\r\n", TO_BOB)
        assert not client.usable

    run(main())


def test_the_last_slice_of_content_and_the_final_dot_are_written_apart() -> None:
    """So a link that breaks in the write of the slice leaves no doubt: the dot was not sent."""

    class Recording(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            writes.append(data)
            await super().write(data, timeout)

    writes: list[bytes] = []

    async def main() -> None:
        script = f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: hello\nC: .\nS: 250 ok\n"
        config = ClientConfig(tls=TLSMode.NONE)
        client = await start_client(Runtime(), Recording(script), "", config, TLSMode.NONE)
        assert (await client.send(b"hello\r\n", TO_BOB)).accepted

    run(main())
    assert writes[-2:] == [b"hello\r\n", b".\r\n"]
