"""Servers that send replies that nobody asked for: no recipient counts as accepted by one of them.

The law: a recipient is accepted only by a reply that arrives after the whole message was sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    Envelope,
    Outcome,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TLSMode,
)
from smtpproto.adapters.blocking import Pool as BlockingPool
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client import submit
from smtpproto.client.connection import start_client
from tests.support.dialogue import GOODBYE, LINES, LOCKSTEP, MAIL, SENT, hello, play, send
from tests.support.envelopes import TO_BOB, TO_TWO
from tests.support.fickle_server import FickleServer
from tests.support.pools import ScriptedRuntime

WAYS: dict[str, dict[str, Any]] = {
    "DATA": {"keywords": ["8BITMIME"]},
    "pipelined DATA": {"keywords": ["PIPELINING"]},
    "BDAT": {"keywords": ["CHUNKING"]},
    "pipelined BDAT": {"keywords": ["CHUNKING", "PIPELINING"]},
    "LMTP": {"keywords": ["PIPELINING"], "lmtp": True},
    "LMTP BDAT": {"keywords": ["CHUNKING"], "lmtp": True},
}
SUPERFLUOUS = ("250 queued", "220 mx", "354 go", "334 ", "451 later", "552 too big", "421 closing")
CONTENT = b"one\r\ntwo\r\nthree\r\nfour\r\n"  # the last chunk is written in two parts, too


@pytest.fixture
def split_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks small, and write a chunk in two parts."""
    monkeypatch.setattr(submit, "BDAT_SIZE", 8)
    monkeypatch.setattr("smtpproto.client.link.CHUNK", 4)


def pieces() -> Iterator[bytes]:
    """Content of unknown size, which is sent as it comes, in chunks if the server takes them."""
    yield from CONTENT.splitlines(keepends=True)


def sent_to(
    server: FickleServer, *, lmtp: bool = False, envelope: Envelope = TO_TWO
) -> Outcome | None:
    """Send a message to two recipients; return its outcome, or None if it was refused or failed."""

    async def main() -> Outcome | None:
        config = ClientConfig(tls=TLSMode.NONE, lmtp=lmtp)
        try:
            client = await start_client(Runtime(), server, "", config, TLSMode.NONE)
            return await client.send(pieces(), envelope)
        except SMTPError:
            return None

    return run(main())


def server_of(way: str, final: str, **options: Any) -> tuple[FickleServer, bool]:
    """Return a server for messages sent in this *way*, and whether that is LMTP."""
    lmtp = WAYS[way].get("lmtp", False)
    finals = [final] * (2 if lmtp else 1)
    return FickleServer(WAYS[way]["keywords"], final=finals, **options), lmtp


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "apart"])
@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("split_chunks")
def test_a_superfluous_reply_at_any_place_accepts_nobody(way: str, size: int, joined: bool) -> None:
    """The server refuses the message, so whoever counts as accepted was accepted by mistake."""
    server, lmtp = server_of(way, "554 no")
    assert sent_to(server, lmtp=lmtp) is None and server.codes_after_end
    for moment in range(server.moments):
        for extra in SUPERFLUOUS:
            fickle, _ = server_of(way, "554 no", extras={moment: [extra]}, joined=joined, size=size)
            outcome = sent_to(fickle, lmtp=lmtp)
            assert outcome is None or not outcome.accepted, (moment, extra)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("split_chunks")
def test_superfluous_replies_in_any_number_accept_nobody_before_the_end(
    way: str, seeds: Callable[[int, int], Iterator[int]]
) -> None:
    for seed in seeds(300, 10):
        rng = random.Random(seed)
        extras = {
            rng.randrange(14): rng.choices(SUPERFLUOUS, k=rng.randint(1, 3))
            for _ in range(rng.randint(1, 4))
        }
        final = rng.choice(["250 ok", "554 no", "451 no"])
        fickle, lmtp = server_of(
            way, final, extras=extras, joined=rng.random() < 0.5, size=rng.choice([1, 7, 65536])
        )
        outcome = sent_to(fickle, lmtp=lmtp)
        if outcome is not None and outcome.accepted:
            assert 250 in fickle.codes_after_end, seed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("split_chunks")
def test_without_superfluous_replies_everybody_is_accepted(way: str) -> None:
    for size in (1, 2, 65536):
        server, lmtp = server_of(way, "250 ok", size=size)
        outcome = sent_to(server, lmtp=lmtp)
        assert outcome is not None and len(outcome.accepted) == 2


@pytest.mark.parametrize("way", WAYS)
def test_the_number_of_looks_does_not_depend_on_the_number_of_recipients(way: str) -> None:
    looks = []
    for number in (1, 100):
        people = [f"user{n}@example.org" for n in range(number)]
        server, lmtp = server_of(way, "250 ok")
        server.final = ["250 ok"] * (number if lmtp else 1)
        outcome = sent_to(server, lmtp=lmtp, envelope=Envelope("ann@example.org", people))
        assert outcome is not None and len(outcome.accepted) == number
        looks.append(server.looks)
    assert looks[0] == looks[1] < 8


# -- each place, and what the client reports -----------------------------------------------------


@pytest.mark.parametrize("code", ["250 queued", "354 go", "220 mx"])
def test_an_acceptance_before_the_final_dot_is_a_protocol_error(code: str) -> None:
    with pytest.raises(RemoteProtocolError, match="answers no command") as caught:
        send(f"{hello()}{MAIL}C: DATA\nS: 354 go\nS: {code}\nC: hello\n")
    assert caught.value.command == "end of data"
    assert caught.value.reply is not None and str(caught.value.reply) == code


@pytest.mark.parametrize("code", ["552 5.3.4 too big", "451 4.3.1 full", "421 4.3.2 closing"])
def test_a_refusal_before_the_final_dot_refuses_the_message(code: str) -> None:
    """The client does not send the dot: the server might take the part that it has for a whole."""
    with pytest.raises(SendRefused) as caught:
        send(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: hello\nS: {code}")
    assert str(caught.value.reply) == code
    assert caught.value.outcome.unknown == {}


def test_an_end_of_the_connection_before_the_final_dot_is_no_unknown_outcome() -> None:
    with pytest.raises(ConnectionLost, match="closed the connection in the middle of a reply: "):
        send(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: hello\nS: 250-ok")


@pytest.mark.usefixtures("small_chunks")
def test_two_replies_to_a_chunk_are_a_protocol_error() -> None:
    with pytest.raises(RemoteProtocolError, match="answers no command"):
        send(f"{LOCKSTEP}{MAIL}C: BDAT 7\nC: one..\nS: 250 ok\nS: 250 ok", body=LINES)


@pytest.mark.parametrize("script", [
    "S: 220 mx\nS: 220 mx again",
    "S: 220 mx\nS: 554 no",
    "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\nS: 250 mx",
])  # fmt: skip
def test_extra_lines_of_a_greeting_or_hello_are_a_protocol_error(script: str) -> None:
    async def talk(client: Client) -> None:
        await client.noop()

    with pytest.raises(RemoteProtocolError, match="answers no command"):
        play(script, talk)


def test_an_answer_to_a_login_before_its_response_is_a_protocol_error() -> None:
    script = f"{hello('AUTH LOGIN')}C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nS: 235 ok"
    with pytest.raises(RemoteProtocolError, match="answers no command"):
        play(script, login=("ann", "secret"), login_in_clear=True)


def test_421_before_a_command_is_the_reply_to_it() -> None:
    """The server closes an idle connection; the command need not be sent to learn that."""

    async def talk(client: Client) -> None:
        await client.noop()
        assert (await client.noop()).code == 421
        assert not client.usable

    play(f"{hello()}C: NOOP\nS: 250 ok\nS: 421 4.4.2 idle", talk)


@pytest.mark.parametrize("extra", ["250 ok", "451 4.4.2 idle", "354 go"])
@pytest.mark.parametrize("verb", ["MAIL", "NOOP", "RSET", "AUTH"])
def test_a_reply_that_arrives_on_an_idle_connection_answers_no_later_command(
    verb: str, extra: str
) -> None:
    """It is found although nothing was waiting for it when it arrived; the command is not sent."""
    server = FickleServer(["8BITMIME", "AUTH PLAIN"])
    asks: dict[str, Callable[[Client], Any]] = {
        "MAIL": lambda client: client.send(CONTENT, TO_BOB),
        "NOOP": lambda client: client.noop(),
        "RSET": lambda client: client.rset(),
        "AUTH": lambda client: client.login(("ann", "secret")),
    }

    async def main() -> None:
        config = ClientConfig(tls=TLSMode.NONE, login_in_clear=True)
        client = await start_client(Runtime(), server, "", config, TLSMode.NONE)
        assert (await client.send(CONTENT, TO_BOB)).accepted
        server.say(extra)
        with pytest.raises(RemoteProtocolError, match="answers no command") as caught:
            await asks[verb](client)
        assert str(caught.value.reply) == extra and not client.usable

    run(main())
    assert server.lines[-1] == b"."


# -- pools ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["250 ok", "451 4.4.2 idle", "421 4.4.2 idle", "354 go", "what"])
def test_a_pool_drops_a_kept_connection_that_is_out_of_step(extra: str) -> None:
    runtime = ScriptedRuntime([f"{hello()}{SENT}S: {extra}\n", hello() + SENT + GOODBYE])
    with BlockingPool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


def test_a_pool_sends_again_if_a_kept_connection_gets_out_of_step_before_the_final_dot() -> None:
    dirty = SENT.partition("C: hi")[0] + "S: 250 queued\nC: hi\n"
    runtime = ScriptedRuntime([hello() + SENT + dirty, hello() + SENT + GOODBYE])
    with BlockingPool(runtime.pool()) as pool:
        for _ in range(2):
            assert pool.send(b"hi\r\n", TO_BOB).accepted
    runtime.finish()


def test_a_protocol_error_on_a_new_connection_of_a_pool_is_raised() -> None:
    dirty = SENT.partition("C: hi")[0] + "S: 250 queued\nC: hi\n"
    runtime = ScriptedRuntime([hello() + dirty])
    with BlockingPool(runtime.pool()) as pool, pytest.raises(RemoteProtocolError):
        pool.send(b"hi\r\n", TO_BOB)
    runtime.finish()
