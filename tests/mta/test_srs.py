"""Senders that SRS rewrites, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.mta import SRS
from smtpproto.testing.strategies import forward_paths, reverse_paths

DAY = 86400.0
NOW = 20787 * DAY + 80000.0  # 30 November 2026
OURS = SRS("fwd.test", secrets=["tops3cr3t"])


def path_of(sender: ReversePath) -> ForwardPath:
    assert sender.mailbox is not None
    return ForwardPath(sender.mailbox)


def at(local_part: str) -> ForwardPath:
    return ForwardPath(Mailbox(local_part, "fwd.test", long=True))


# What postsrsd 1.10 has answered with this secret on this day; pysrs 1.0.4 gives the same.
MADE = {
    "ann@example.net": "SRS0=8wJJ=JT=example.net=ann@fwd.test",
    "Ann.Lee@example.net": "SRS0=MpIs=JT=example.net=Ann.Lee@fwd.test",
    "SRS0=abcd=EF=x.test=bob@other.test": "SRS1=d+PT=other.test==abcd=EF=x.test=bob@fwd.test",
    "SRS1=abcd=first.test==gh=EF=x.test=bob@o.test": (
        "SRS1=ABag=first.test==gh=EF=x.test=bob@fwd.test"
    ),
}


@pytest.mark.parametrize("sender", MADE)
def test_addresses_are_those_of_postsrsd(sender: str) -> None:
    assert str(OURS.forward(ReversePath.of(sender), NOW)) == MADE[sender]


@pytest.mark.parametrize(
    ("made", "sender"),
    [
        ("SRS0=8wJJ=JT=example.net=ann", "ann@example.net"),
        ("srs0=8wjj=jt=example.net=ann", "ann@example.net"),  # a server has changed the case
        ("SRS0=8WJJ=JT=EXAMPLE.NET=ANN", "ANN@example.net"),
        ("SRS0+8wJJ=JT=example.net=ann", "ann@example.net"),  # postsrsd -a +
        ("SRS1=d+PT=other.test==abcd=EF=x.test=bob", "SRS0=abcd=EF=x.test=bob@other.test"),
    ],
)
def test_addresses_of_postsrsd_lead_back(made: str, sender: str) -> None:
    assert OURS.reverse(at(made), NOW) == sender


@given(reverse_paths(smtputf8=True), st.floats(0, 1e11))
@example(ReversePath.of('""@example.net'), NOW)
@example(ReversePath.of("ann@[a:=]"), NOW)
def test_a_rewritten_sender_leads_back_whatever_case_a_server_gives_it(
    sender: ReversePath, now: float
) -> None:
    assume(sender.mailbox is not None and sender.mailbox.domain != OURS.domain)
    made = OURS.forward(sender, now)
    if made != sender:  # it is not too long
        assert made.mailbox is not None and made.mailbox.domain == OURS.domain
        assert OURS.is_ours(path_of(made))
        if not str(sender).upper().startswith("SRS"):
            assert OURS.reverse(path_of(made), now) == sender.mailbox
        lower = OURS.reverse(at(str(made.mailbox.local_part).swapcase()), now)
        if str(sender).isascii():  # the hash is over the lower case of ASCII
            assert lower is not None


@given(st.integers(2, 6), st.sampled_from(["ann", "a=b", "a+b-c", '"a b"']))
def test_a_report_needs_two_steps_back_however_often_the_mail_was_forwarded(
    hops: int, local_part: str
) -> None:
    sender = ReversePath.of(f"{local_part}@example.net")
    agents = [SRS(f"hop{number}.test", secrets=[f"secret {number}"]) for number in range(hops)]
    path = sender
    for agent in agents:
        path = agent.forward(path, NOW)
    first = agents[-1].reverse(path_of(path), NOW + 20 * DAY)
    assert first is not None and first.domain == "hop0.test"
    assert agents[0].reverse(ForwardPath(first), NOW + 20 * DAY) == sender.mailbox
    assert len(str(path)) < len(str(sender)) + 60


@given(st.data())
def test_whoever_changes_an_address_of_srs_cannot_use_it(data: st.DataObject) -> None:
    sender = data.draw(st.sampled_from([*MADE]))
    made = path_of(OURS.forward(ReversePath.of(sender), NOW)).local_part
    place = data.draw(st.integers(5, len(made) - 1))  # the separator after SRS0 may be another
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    assume(other.lower() != made[place].lower())
    changed = at(made[:place] + other + made[place + 1 :])
    # Without its "=" the fields may be divided otherwise; the octets that are signed are the same.
    assume(changed.local_part.replace("=", "").lower() != made.replace("=", "").lower())
    assert OURS.reverse(changed, NOW) is None


@given(forward_paths(smtputf8=True))
def test_nobody_can_make_an_address_without_the_secret(path: ForwardPath) -> None:
    assert OURS.reverse(path, NOW) is None
    for prefix in ("SRS0=aaaa=JT=", "SRS1=aaaa=", "SRS0", "SRS1=", "SRS0=="):
        if len(prefix + path.local_part) < 200:
            forged = at(prefix + path.local_part)
            assert OURS.reverse(forged, NOW) is None


@pytest.mark.parametrize("days", [0, 1, 21])
def test_an_address_is_valid_for_21_days_also_when_the_count_of_days_begins_anew(days: int) -> None:
    for start in (NOW, 1023 * DAY, 20480 * DAY - 1):
        path = path_of(OURS.forward(ReversePath.of("ann@example.net"), start))
        assert OURS.reverse(path, start + days * DAY) == "ann@example.net"
        assert OURS.reverse(path, start + 22 * DAY) is None
        assert OURS.reverse(path, start - DAY) is None  # a stamp of the future is an old one


def test_an_old_secret_is_valid_as_long_as_it_is_listed() -> None:
    path = path_of(OURS.forward(ReversePath.of("ann@example.net"), NOW))
    both = SRS("fwd.test", secrets=["new", "tops3cr3t"])
    assert both.reverse(path, NOW) == "ann@example.net"
    assert SRS("fwd.test", secrets=["new"]).reverse(path, NOW) is None
    assert both.forward(ReversePath.of("ann@example.net"), NOW) != MADE["ann@example.net"]


def test_senders_that_need_no_address_of_srs_remain() -> None:
    for sender in ("", "ann@FWD.test", MADE["ann@example.net"]):
        assert OURS.forward(ReversePath.of(sender), NOW) == sender
    long = ReversePath(Mailbox("x" * 64, ".".join(["y" * 59] * 3), long=True))
    assert OURS.forward(long, NOW) == long


def test_local_parts_may_become_longer_than_64_octets() -> None:
    made = OURS.forward(ReversePath.of(f"{'x' * 60}@example.net"), NOW)
    assert made.mailbox is not None and len(made.mailbox.local_part) == 85
    assert OURS.reverse(path_of(made), NOW) == f"{'x' * 60}@example.net"


def test_longer_hashes_are_compared_whole() -> None:
    longer = evolve(OURS, hash_length=10)
    path = path_of(longer.forward(ReversePath.of("ann@example.net"), NOW))
    assert longer.reverse(path, NOW) is not None
    assert (
        longer.reverse(path_of(OURS.forward(ReversePath.of("ann@example.net"), NOW)), NOW) is None
    )


def test_secrets_are_not_shown() -> None:
    assert "tops3cr3t" not in repr(OURS)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"secrets": []}, ValueError),
        ({"secrets": "secret"}, TypeError),
        ({"secrets": ["x"], "max_age": 0}, ValueError),
        ({"secrets": ["x"], "max_age": 600}, ValueError),
        ({"secrets": ["x"], "hash_length": 3}, ValueError),
        ({"domain": "not a domain", "secrets": ["x"]}, GrammarError),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        SRS(**{"domain": "fwd.test"} | wrong)
