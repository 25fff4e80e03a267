"""Limits on the connections of a server, in all and from each client network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve

from smtpproto import ConnectionLost, Handler, Limits, Reply, ServerConfig, Session, Timeouts
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server import Conversation, Usage
from smtpproto.wire.proxy import ProxyHeader
from tests.support.crowd import Crowd, Talker
from tests.support.scripted_client import ScriptedClient
from tests.support.tls_sessions import SERVER_CONTEXT

GREETING = "220 localhost ESMTP ready"
TOO_MANY = "421 localhost Too many connections; try again later"
TOO_MANY_THERE = "421 localhost Too many connections from your network"
ONE_EACH = Limits(connections_per_network=1)


class Recorder(Handler):
    """Records the calls of ``connect`` and ``close``."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def connect(self, session: Session) -> None:
        self.calls.append(f"connect {session.peer[0]}")

    def close(self, session: Session) -> None:
        self.calls.append(f"close {session.peer[0]}")


def proxied(address: str) -> bytes:
    return ProxyHeader((address, 1), (address, 25)).v1()


@pytest.mark.req("RFC5321-3.8-01")
@pytest.mark.parametrize("limit", [1, 2, 10])
def test_the_connection_after_the_limit_is_greeted_with_421_and_closed(limit: int) -> None:
    crowd = Crowd(ServerConfig(limits=Limits(connections=limit, connections_per_network=100)))

    async def talk(crowd: Crowd) -> None:
        served = [await crowd.connect(f"192.0.2.{number}") for number in range(limit)]
        assert [await one.line() for one in served] == [GREETING] * limit
        for _ in range(3):
            surplus = await crowd.connect()
            await surplus.send(b"EHLO x.example\r\nNOOP\r\n")
            assert [await surplus.line(), await surplus.line()] == [TOO_MANY, ""]
        assert (await served[0].ask("NOOP")).startswith("250")
        await served[0].hang_up()
        assert await crowd.greeting() == GREETING
        assert await crowd.greeting() == TOO_MANY

    crowd.play(talk)
    crowd.assert_unused()


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_the_connection_after_the_limit_of_a_network_is_refused(limit: int) -> None:
    crowd = Crowd(ServerConfig(limits=Limits(connections_per_network=limit)))

    async def talk(crowd: Crowd) -> None:
        served = [await crowd.connect("192.0.2.1") for _ in range(limit)]
        assert [await one.line() for one in served] == [GREETING] * limit
        surplus = await crowd.connect("192.0.2.1")
        assert [await surplus.line(), await surplus.line()] == [TOO_MANY_THERE, ""]
        assert await crowd.greeting("192.0.2.2") == GREETING
        await served[0].hang_up()
        assert await crowd.greeting("192.0.2.1") == GREETING
        assert await crowd.greeting("192.0.2.1") == TOO_MANY_THERE

    crowd.play(talk)
    crowd.assert_unused()


@pytest.mark.parametrize(
    ("limits", "first", "second", "same"),
    [
        (Limits(), "192.0.2.1", "192.0.2.1", True),
        (Limits(), "192.0.2.1", "192.0.2.0", False),
        (Limits(network_prefixes=(24, 64)), "192.0.2.1", "192.0.2.254", True),
        (Limits(network_prefixes=(24, 64)), "192.0.2.1", "192.0.3.1", False),
        (Limits(network_prefixes=(0, 64)), "192.0.2.1", "203.0.113.1", True),
        (Limits(network_prefixes=(0, 0)), "192.0.2.1", "2001:db8::1", False),
        (Limits(), "192.0.2.1", "::ffff:192.0.2.1", True),
        (Limits(), "2001:db8::1", "2001:db8::ffff:1:2:3", True),
        (Limits(), "2001:db8::1", "2001:db8:0:1::1", False),
        (Limits(network_prefixes=(32, 48)), "2001:db8::1", "2001:db8:0:1::1", True),
        (Limits(network_prefixes=(32, 128)), "2001:db8::1", "2001:db8::2", False),
        (Limits(), "fe80::1%eth0", "fe80::2%eth1", True),
        (Limits(), "", "", False),
        (Limits(), "/run/socket", "/run/socket", False),
    ],
)
def test_a_network_is_the_first_bits_of_an_address(
    limits: Limits, first: str, second: str, same: bool
) -> None:
    usage = Usage(evolve(limits, connections_per_network=1))
    accounts = usage.account(), usage.account()
    assert accounts[0].set_client(first) is None
    assert (accounts[1].set_client(second) is not None) == same
    for account in accounts:
        account.close()
    assert not usage.networks


def test_by_default_a_network_has_half_of_all_connections() -> None:
    assert Limits().connections_of_one_network == Limits().connections // 2  # type: ignore[operator]
    assert Limits(connections=1).connections_of_one_network == 1
    assert Limits(connections=None).connections_of_one_network is None
    assert Limits(connections=4, connections_per_network=3).connections_of_one_network == 3


@pytest.mark.parametrize("option", ["xclient_from", "xforward_from"])
def test_peers_that_speak_for_others_have_no_limit_of_their_network(option: str) -> None:
    config = ServerConfig(limits=ONE_EACH, **{option: ["192.0.2.1"]})  # type: ignore[arg-type]

    async def talk(crowd: Crowd) -> list[str]:
        return [await crowd.greeting() for _ in range(5)]

    assert Crowd(config).play(talk) == [GREETING] * 5


def test_the_client_that_a_proxy_states_is_counted_and_not_the_proxy() -> None:
    handler = Recorder()
    crowd = Crowd(ServerConfig(limits=ONE_EACH, proxied_by=["192.0.2.1"]), handler)

    async def talk(crowd: Crowd) -> None:
        for address, greeting in [
            ("203.0.113.1", GREETING),
            ("203.0.113.2", GREETING),
            ("203.0.113.1", TOO_MANY_THERE),
            ("192.0.2.1", GREETING),
            ("192.0.2.1", TOO_MANY_THERE),
        ]:
            client = await crowd.connect()
            await client.send(proxied(address))
            assert await client.line() == greeting
        for _ in range(3):
            health_check = await crowd.connect()
            await health_check.send(b"PROXY UNKNOWN\r\n")
            assert await health_check.line() == GREETING

    crowd.play(talk)
    crowd.assert_unused()
    assert (
        handler.calls.count("connect 203.0.113.1") == 1 == handler.calls.count("close 203.0.113.1")
    )


def test_the_client_that_xclient_states_is_counted() -> None:
    crowd = Crowd(ServerConfig(limits=ONE_EACH, xclient_from=["192.0.2.1"]))

    async def stated(address: str) -> tuple[Talker, str]:
        client = await crowd.connect()
        await client.line()
        return client, await client.ask("EHLO x", f"XCLIENT ADDR={address}")

    async def talk(crowd: Crowd) -> None:
        first, reply = await stated("203.0.113.1")
        assert reply == GREETING
        refusal = "421 4.7.0 localhost Too many connections from your network"
        assert (await stated("203.0.113.1"))[1] == refusal
        assert (await stated("203.0.113.2"))[1] == GREETING
        assert (await stated("[UNAVAILABLE]"))[1] == GREETING
        assert await first.ask("EHLO y", "XCLIENT ADDR=203.0.113.3") == GREETING
        assert (await stated("203.0.113.1"))[1] == GREETING

    crowd.play(talk)
    crowd.assert_unused()


def test_no_hook_is_called_for_a_refused_connection() -> None:
    handler = Recorder()

    async def talk(crowd: Crowd) -> None:
        await crowd.greeting("192.0.2.1")
        assert await crowd.greeting("192.0.2.2") == TOO_MANY

    Crowd(ServerConfig(limits=Limits(connections=1)), handler).play(talk)
    assert handler.calls == ["connect 192.0.2.1", "close 192.0.2.1"]


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"limits": Limits(connections=1)}, b""),
        ({"limits": ONE_EACH}, b""),
        (
            {"limits": ONE_EACH, "proxied_by": ["192.0.2.1"]},
            b"PROXY TCP4 203.0.113.1 192.0.2.2 1 2\r\n",
        ),
        ({"limits": ONE_EACH, "proxied_by": ["192.0.2.1"]}, proxied("203.0.113.1")),
    ],
)
def test_no_handler_is_made_for_a_refused_connection_and_each_that_is_made_is_closed(
    options: dict[str, Any], header: bytes
) -> None:
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    async def talk(crowd: Crowd) -> None:
        clients = [await crowd.connect() for _ in range(3)]
        for client in clients:
            await client.send(header)
            await client.line()

    Crowd(ServerConfig(**options), make).play(talk)
    assert len(made) == 1
    assert all([call.split()[0] for call in one.calls] == ["connect", "close"] for one in made)


def test_a_refused_connection_with_implicit_tls_is_closed_without_a_handshake() -> None:
    config = ServerConfig(limits=Limits(connections=1), context=SERVER_CONTEXT, implicit_tls=True)

    async def talk(crowd: Crowd) -> None:
        await crowd.connect()
        await crowd.sleep(0.1)
        surplus = await crowd.connect()
        assert await surplus.line() == ""
        assert crowd.now() < 1

    Crowd(config).play(talk)


def test_the_header_of_a_proxy_is_not_awaited_on_a_refused_connection() -> None:
    config = ServerConfig(limits=Limits(connections=1), proxied_by=["192.0.2.1"])

    async def talk(crowd: Crowd) -> None:
        await crowd.connect()
        await crowd.sleep(0.1)
        assert await crowd.greeting() == TOO_MANY
        assert crowd.now() < 1

    Crowd(config).play(talk)


# -- every connection is given back --------------------------------------------------------------


class Failing(Handler):
    def connect(self, session: Session) -> Reply | None:
        raise RuntimeError("no database")

    def close(self, session: Session) -> None:
        raise RuntimeError("no database")


ENDS: dict[str, Callable[[Talker], object]] = {
    "QUIT": lambda client: client.ask("QUIT"),
    "the client hangs up": lambda client: client.hang_up(),
    "the client is silent": lambda client: client.line(),
    "too many errors": lambda client: client.send(b"FOO\r\n" * 100),
    "within a message": lambda client: client.send(
        b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n"
    ),
    "no TLS": lambda client: client.send(b"EHLO x\r\nSTARTTLS\r\n"),
    "bad TLS": lambda client: client.send(b"\x16\x03nonsense"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("handler", [Handler, Failing], ids=["handler", "failing handler"])
@pytest.mark.parametrize("options", [{}, {"implicit_tls": True}, {"proxied_by": ["192.0.2.1"]}])
def test_a_connection_is_given_back_however_it_ends(
    end: Callable[[Talker], object], handler: type[Handler], options: dict[str, object]
) -> None:
    config = ServerConfig(context=SERVER_CONTEXT, **options)  # type: ignore[arg-type]
    crowd = Crowd(config, handler)

    async def talk(crowd: Crowd) -> None:
        client = await crowd.connect()
        await end(client)  # type: ignore[misc]
        await client.hang_up()

    crowd.play(talk)
    crowd.assert_unused()


@pytest.mark.parametrize("cut_at", range(12))
def test_a_connection_is_given_back_wherever_it_breaks(cut_at: int) -> None:
    crowd = Crowd(ServerConfig(timeouts=Timeouts(command=5)))
    crowd.fault_points["cut_at"] = cut_at

    async def talk(crowd: Crowd) -> None:
        client = await crowd.connect()
        with suppress(ConnectionLost):
            await client.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
            await client.send(b"x\r\n.\r\nQUIT\r\n")

    crowd.play(talk)
    crowd.assert_unused()


def test_a_cancelled_connection_is_given_back() -> None:
    crowd = Crowd()

    async def start() -> None:
        await crowd.connect()

    coroutine = start()
    with pytest.raises(StopIteration):
        coroutine.send(None)
    served = [*crowd._tasks][-1].coroutine
    served.send(None)
    assert crowd.usage.connections == 1
    served.close()
    crowd.assert_unused()


def test_a_connection_that_never_ran_uses_nothing() -> None:
    usage = Usage(Limits())
    Conversation(ScriptedClient([]), Handler(), ServerConfig(), Runtime(), usage)
    assert usage.connections == 0


def test_counts_hold_with_many_threads() -> None:
    limits = Limits(connections=3, connections_per_network=2, memory=100_000)
    usage = Usage(limits, threading.Lock())
    most = threading.Semaphore(3)

    def connection(number: int) -> None:
        account = usage.account()
        if account.open() is None:
            assert most.acquire(blocking=False)
            account.set_client(f"192.0.2.{number % 2}")
            account.reserve(1000)
            assert usage.connections <= 3 and usage.memory <= 3000
            most.release()
        account.close()
        account.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(connection, range(2000)))
    assert (usage.connections, usage.memory, usage.networks) == (0, 0, {})


def test_a_conversation_without_shared_usage_counts_alone() -> None:
    for _ in range(3):
        client = ScriptedClient([])
        config = ServerConfig(limits=Limits(connections=1))
        run(Conversation(client, Handler(), config, Runtime()).run())
        assert client.lines == [GREETING]


def test_why_a_connection_was_refused_or_closed_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await crowd.connect()
        await client.line()
        await crowd.greeting()
        await client.ask("GET /\x1b HTTP/1.1")

    with caplog.at_level("INFO", "smtpproto"):
        Crowd(ServerConfig(limits=Limits(connections=1))).play(talk)
    assert "refused the connection of 192.0.2" in caplog.text
    assert ": 421 4.3.2 Too many connections; try again later" in caplog.text
    assert "This is not SMTP; closing transmission channel: GET /\\x1b HTTP/1.1" in caplog.text
