"""Channel binding in SCRAM (RFC 5802 6): flags, bindings, and attackers in the middle."""

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

from .scram_exchanges import BOUND, LOGIN, UNBOUND, ScramUsers, first_and_final, log_in, make_server


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
def test_the_gs2_flag_depends_on_the_binding_support_of_both_sides(
    binds: bool, peer_binds: bool, flag: str
) -> None:
    offered = ["SCRAM-SHA-256", *(["SCRAM-SHA-256-PLUS"] if peer_binds else [])]
    channel = evolve(BOUND, peer_binds=peer_binds, bindings=BOUND.bindings if binds else {})
    chosen = usable(LOGIN, offered, channel)[0]
    assert chosen.name.endswith("-PLUS") == flag.startswith("p")
    first = chosen.client(LOGIN, channel).initial()
    assert first is not None and first.reveal().decode().startswith(f"{flag},,n=ann,")


def test_a_client_that_may_not_use_the_offered_plus_sends_n() -> None:
    """The flag "y" would claim that the server did not offer -PLUS."""
    (chosen,) = usable(LOGIN, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], BOUND, ["SCRAM-SHA-256"])
    first = chosen.client(LOGIN, BOUND).initial()
    assert first is not None and first.reveal().startswith(b"n,,n=ann,")


def test_the_client_refuses_plus_without_a_binding() -> None:
    with pytest.raises(GrammarError, match="bind"):
        ScramClient(LOGIN, UNBOUND, "SHA-256", plus=True)


@pytest.mark.req("RFC5802-5.1-05/client")
def test_the_client_uses_its_first_binding_and_the_server_accepts_any() -> None:
    assert (
        ScramClient(LOGIN, BOUND, "SHA-256", plus=True)
        .initial()
        .reveal()
        .startswith(b"p=tls-exporter,,")
    )
    reversed_channel = evolve(BOUND, bindings=dict(reversed([*BOUND.bindings.items()])))
    client = ScramClient(LOGIN, reversed_channel, "SHA-256", plus=True)
    assert client.initial().reveal().startswith(b"p=tls-unique,,")
    assert isinstance(log_in(client, make_server(channel=BOUND, plus=True)), Identity)


@pytest.mark.parametrize(
    ("header", "channel", "plus"),
    [
        ("y,,", BOUND, False),
        ("y,,", BOUND, True),
        ("n,,", BOUND, True),
        ("p=unknown,,", BOUND, True),
        ("p=tls-unique-for-telnet,,", BOUND, True),
        ("p=tls-unique,,", BOUND, False),
        ("p=tls-unique,,", UNBOUND, False),
        ("p=tls-unique,,", UNBOUND, True),
    ],
    ids=lambda value: str(value) if isinstance(value, str | bool) else f"{len(value.bindings)}",
)
def test_the_server_refuses_a_flag_that_contradicts_its_offer(
    header: str, channel: Channel, plus: bool
) -> None:
    users = ScramUsers({"ann": "secret"})
    with pytest.raises(GrammarError):
        run(make_server(users, channel, plus=plus).step(Secret(f"{header}n=ann,r=n")))
    assert users.calls == []


def test_a_server_with_bindings_accepts_a_client_that_cannot_bind() -> None:
    client = ScramClient(LOGIN, UNBOUND, "SHA-256")
    assert isinstance(log_in(client, make_server(channel=BOUND)), Identity)


def test_an_attacker_who_removes_plus_from_the_offer_is_detected() -> None:
    client = ScramClient(LOGIN, evolve(BOUND, peer_binds=False), "SHA-256")
    with pytest.raises(GrammarError, match="offer"):
        log_in(client, make_server(channel=BOUND))


@pytest.mark.req("RFC5802-5.1-05/client", "RFC5802-5.1-05/server")
def test_an_attacker_between_two_connections_is_detected() -> None:
    """The attacker holds both connections, but their bindings differ."""
    other = evolve(BOUND, bindings={"tls-exporter": b"another"})
    client = ScramClient(LOGIN, other, "SHA-256", plus=True)
    with pytest.raises(GrammarError, match="bound"):
        log_in(client, make_server(channel=BOUND, plus=True))


@pytest.mark.req("RFC5802-5.1-05/client", "RFC5802-5.1-05/server")
@pytest.mark.parametrize(
    ("original", "changed"),
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
def test_the_final_message_must_repeat_the_gs2_header(original: str, changed: str) -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    _, message = first_and_final(client, server)
    assert message.startswith(original)
    with pytest.raises(GrammarError):
        run(server.step(Secret(message.replace(original, changed, 1))))
