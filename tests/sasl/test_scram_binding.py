"""SCRAM and the channel it runs on (RFC 5802 6): flags, bindings, and who sits between."""

from __future__ import annotations

import pytest
from attrs import evolve

from smtpproto import (
    GrammarError,
    Identity,
    Secret,
)
from smtpproto.adapters.blocking import run
from smtpproto.sasl import Channel, usable
from smtpproto.sasl.scram import ScramClient

from .scram_pair import BOUND, LOGIN, PLAIN_CHANNEL, Users, converse, final, server_of


@pytest.mark.req("RFC5802-6-01")
@pytest.mark.parametrize(
    ("binds", "peer_binds", "flag"),
    [
        (True, True, "p=tls-exporter"),
        (True, False, "y"),
        (False, True, "n"),
        (False, False, "n"),
    ],
)
def test_what_a_client_says_of_binding(binds: bool, peer_binds: bool, flag: str) -> None:
    """By the mechanism that it chooses of those that are offered."""
    offered = ["SCRAM-SHA-256", *(["SCRAM-SHA-256-PLUS"] if peer_binds else [])]
    channel = evolve(BOUND, peer_binds=peer_binds, bindings=BOUND.bindings if binds else {})
    chosen = usable(LOGIN, offered, channel)[0]
    assert chosen.name.endswith("-PLUS") == flag.startswith("p")
    first = chosen.client(LOGIN, channel).initial()
    assert first is not None and first.reveal().decode().startswith(f"{flag},,n=ann,")


def test_a_client_that_was_offered_plus_and_may_not_use_it() -> None:
    """It saw the offer, so it does not say that it did not."""
    (chosen,) = usable(LOGIN, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], BOUND, ["SCRAM-SHA-256"])
    first = chosen.client(LOGIN, BOUND).initial()
    assert first is not None and first.reveal().startswith(b"n,,n=ann,")


def test_no_plus_without_a_binding() -> None:
    with pytest.raises(GrammarError, match="bind"):
        ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256", plus=True)


def test_the_client_prefers_the_first_binding_and_the_server_takes_any() -> None:
    assert (
        ScramClient(LOGIN, BOUND, "SHA-256", plus=True)
        .initial()
        .reveal()
        .startswith(b"p=tls-exporter,,")
    )
    turned = evolve(BOUND, bindings=dict(reversed([*BOUND.bindings.items()])))
    client = ScramClient(LOGIN, turned, "SHA-256", plus=True)
    assert client.initial().reveal().startswith(b"p=tls-unique,,")
    assert isinstance(converse(client, server_of(channel=BOUND, plus=True)), Identity)


@pytest.mark.parametrize(
    ("header", "channel", "plus"),
    [
        ("y,,", BOUND, False),
        ("y,,", BOUND, True),
        ("n,,", BOUND, True),
        ("p=unknown,,", BOUND, True),
        ("p=tls-unique-for-telnet,,", BOUND, True),
        ("p=tls-unique,,", BOUND, False),
        ("p=tls-unique,,", PLAIN_CHANNEL, False),
        ("p=tls-unique,,", PLAIN_CHANNEL, True),
    ],
    ids=lambda value: str(value) if isinstance(value, str | bool) else f"{len(value.bindings)}",
)
def test_flags_that_fail(header: str, channel: Channel, plus: bool) -> None:
    users = Users({"ann": "secret"})
    with pytest.raises(GrammarError):
        run(server_of(users, channel, plus=plus).step(Secret(f"{header}n=ann,r=n")))
    assert users.asked == []


def test_a_bound_server_takes_clients_that_cannot_bind() -> None:
    client = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256")
    assert isinstance(converse(client, server_of(channel=BOUND)), Identity)


def test_somebody_who_takes_plus_out_of_the_offer_is_noticed() -> None:
    client = ScramClient(LOGIN, evolve(BOUND, peer_binds=False), "SHA-256")
    with pytest.raises(GrammarError, match="offer"):
        converse(client, server_of(channel=BOUND))


@pytest.mark.req("RFC5802-5.1-05")
def test_somebody_in_between_is_noticed() -> None:
    """Who knows all of both connections, but they are two."""
    other = evolve(BOUND, bindings={"tls-exporter": b"another"})
    client = ScramClient(LOGIN, other, "SHA-256", plus=True)
    with pytest.raises(GrammarError, match="bound"):
        converse(client, server_of(channel=BOUND, plus=True))


@pytest.mark.req("RFC5802-5.1-05")
@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("c=biws", "c=eSws"),  # y,,
        ("c=biws", "c=bixhPW9mZmljZSw="),  # n,a=office,
        ("c=biws", "c=biwsAA=="),
        ("c=biws", "c=biw"),
        ("c=biws", "c=*"),
        ("c=biws,", ""),
        ("c=biws", "c="),
    ],
)
def test_the_header_is_said_twice(said: str, changed: str) -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    _, message = final(client, server)
    assert message.startswith(said)
    with pytest.raises(GrammarError):
        run(server.step(Secret(message.replace(said, changed, 1))))
