"""Failed logins are counted for the network of the client, not only for its connection."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import Handler, Identity, Limits, Reply, ServerConfig, Session
from smtpproto.server import Usage
from tests.support.accounts import Accounts
from tests.support.crowd import Crowd
from tests.support.scripted_client import LOGIN
from tests.support.server_logins import WRONG_PASSWORD

BLOCKED = "421 4.7.0 localhost Too many failed logins from your network"


def config(**options: Any) -> ServerConfig:
    limits = Limits(failed_logins_per_network=5, failed_login_delay=0)
    defaults: dict[str, Any] = {
        "authenticator": Accounts(),
        "auth_in_clear": True,
        "limits": limits,
    }
    return ServerConfig(**(defaults | options))


async def log_in(crowd: Crowd, line: str, address: str = "192.0.2.1") -> str:
    """Return the reply to the login *line* on a new connection from *address*."""
    client = await crowd.connect(address)
    await client.line()
    reply = await client.ask("EHLO x.example", line)
    await client.hang_up()
    return reply


@pytest.mark.req("RFC4954-9-02")
@pytest.mark.parametrize(("failures", "refused"), [(4, False), (5, True), (6, True)])
def test_after_too_many_failed_logins_the_network_gets_421(failures: int, refused: bool) -> None:
    async def talk(crowd: Crowd) -> None:
        replies = [await log_in(crowd, WRONG_PASSWORD) for _ in range(failures)]
        assert [reply[:3] for reply in replies[:5]] == ["535"] * min(failures, 5)
        assert (await log_in(crowd, LOGIN) == BLOCKED) == refused
        assert (await log_in(crowd, LOGIN, "192.0.2.2")).startswith("235")

    Crowd(config()).play(talk)


def test_connections_that_were_open_before_are_refused_too() -> None:
    async def talk(crowd: Crowd) -> None:
        early, in_exchange = await crowd.connect(), await crowd.connect()
        for client in (early, in_exchange):
            await client.line()
            await client.ask("EHLO x.example")
        assert (await in_exchange.ask("AUTH PLAIN")).startswith("334")
        for _ in range(5):
            await log_in(crowd, WRONG_PASSWORD)
        assert await early.ask(LOGIN) == BLOCKED and await early.line() == ""
        assert await in_exchange.ask(LOGIN.split()[-1]) == BLOCKED

    Crowd(config()).play(talk)


def test_failed_logins_are_forgotten_after_the_period() -> None:
    async def talk(crowd: Crowd) -> None:
        start = crowd.now()
        for _ in range(5):
            await log_in(crowd, WRONG_PASSWORD)
        while crowd.now() < start + 590:
            assert await log_in(crowd, LOGIN) == BLOCKED
            await crowd.sleep(50)
        await crowd.sleep(start + 601 - crowd.now())
        assert (await log_in(crowd, LOGIN)).startswith("235")

    Crowd(config()).play(talk)


def test_a_login_that_the_handler_refuses_counts() -> None:
    class Blocklist(Handler):
        def login(self, session: Session, identity: Identity) -> Reply:
            return Reply(535, "5.7.8", "Blocked")

    async def talk(crowd: Crowd) -> None:
        for _ in range(5):
            assert (await log_in(crowd, LOGIN)).startswith("535")
        assert await log_in(crowd, LOGIN) == BLOCKED

    Crowd(config(), Blocklist()).play(talk)


def test_successful_and_cancelled_logins_do_not_count() -> None:
    async def talk(crowd: Crowd) -> None:
        for _ in range(10):
            assert (await log_in(crowd, LOGIN)).startswith("235")
            assert (await log_in(crowd, "AUTH PLAIN !")).startswith("501")

    Crowd(config()).play(talk)


def test_peers_that_speak_for_others_are_not_blocked_themselves() -> None:
    async def talk(crowd: Crowd) -> None:
        for _ in range(10):
            assert (await log_in(crowd, WRONG_PASSWORD)).startswith("535")

    Crowd(config(xclient_from=["192.0.2.1"])).play(talk)


def test_clients_without_an_address_are_not_blocked() -> None:
    async def talk(crowd: Crowd) -> None:
        for _ in range(10):
            assert (await log_in(crowd, WRONG_PASSWORD, "")).startswith("535")

    Crowd(config()).play(talk)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_oldest_of_too_many_networks_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("smtpproto.server.usage.REMEMBERED_NETWORKS", limit)
    usage = Usage(Limits(failed_logins_per_network=3))
    for number in range(limit + 1):
        for _ in range(3):
            usage.add_failed_login((4, number), float(number))
    assert [usage.failed_logins((4, number), 200.0) for number in range(limit + 1)] == (
        [0] + [3] * limit
    )
    assert usage.failed_logins((4, limit), 10**6) == 0 and not usage._failures
