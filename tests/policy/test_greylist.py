"""Greylisting (RFC 6647): who waits, and for how long."""

from __future__ import annotations

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.policy import Greylist, MemoryStates, Triplet

from .test_rate import Clock

DAY = 86400.0


class Host:
    """A server that greylists."""

    def __init__(self, greylist: Greylist) -> None:
        self.clock, self.greylist, self.store = Clock(), greylist, MemoryStates()

    def asked(self, names: str = "ann@a.test bob@b.test", network: str = "192.0.2.0/24") -> float:
        triplet = Triplet(self.greylist, network, names)
        return run(self.store.update(triplet.keys, triplet, self.clock))


def test_a_triplet_passes_after_the_delay_and_then_always() -> None:
    host = Host(Greylist(delay=300))
    assert host.asked() == 300
    host.clock.time += 299.5
    assert host.asked() == 0.5
    assert host.asked("ann@a.test carol@b.test") == 300
    assert host.asked(network="198.51.100.0/24") == 300
    host.clock.time += 0.5
    assert host.asked() == host.asked() == 0


def test_who_comes_again_too_late_has_to_wait_again() -> None:
    host = Host(Greylist(delay=300, window=DAY))
    host.asked()
    host.clock.time += DAY
    assert host.asked() == 300


def test_attempts_before_the_delay_do_not_extend_it_or_the_window() -> None:
    host = Host(Greylist(delay=300, window=1000))
    host.asked()
    for _ in range(2):
        host.clock.time += 100
        host.asked()
    host.clock.time += 100
    assert host.asked() == 0


def test_what_is_known_is_remembered_since_it_came_last() -> None:
    host = Host(Greylist(remember=36 * DAY))
    host.asked()
    host.clock.time += 300
    for _ in range(3):
        assert host.asked() == 0
        host.clock.time += 30 * DAY
    host.clock.time += 6 * DAY
    assert host.asked() == 300


def test_a_network_is_known_after_enough_triplets_have_passed() -> None:
    host = Host(Greylist(passes=3))
    for number in range(3):
        assert host.asked(f"{number}") == 300
        host.clock.time += 300
        assert host.asked(f"{number}") == host.asked(f"{number}") == 0
    assert host.asked("new") == 0
    assert host.asked("new", network="198.51.100.0/24") == 300
    host.clock.time += 36 * DAY
    assert host.asked("new") == 300


def test_without_passes_no_network_is_ever_known() -> None:
    host = Host(Greylist(passes=0))
    host.asked("first")
    host.clock.time += 300
    assert host.asked("first") == 0
    assert host.asked("second") == 300


def test_a_clock_that_is_put_back_makes_nobody_wait_longer_than_the_delay() -> None:
    host = Host(Greylist(delay=300))
    host.asked()
    host.clock.time -= 10 * DAY
    assert host.asked() == 300
    host.clock.time += 300
    assert host.asked() == 0


def test_the_window_must_leave_time_to_pass() -> None:
    with pytest.raises(ValueError, match="window must be longer than delay"):
        Greylist(delay=300, window=300)
