"""Bugs planted in a handler and in our own code are found by seeds, each within 10,000."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from smtpproto.testing import SeedFailed, Simulation, explore
from smtpproto.testing.fault_points import FAULTS, FaultName
from smtpproto.testing.internet import Internet
from tests.testing.mail_store import play, play_agent
from tests.testing.planted_bugs import BUGS, Bug

SEEDS = 10_000
LOSSES: tuple[FaultName, ...] = ("cut", "stall", "half_close", "jump")
"""Those that do not make an agent refuse what it has stored, which a client then sends again."""


@pytest.fixture(autouse=True)
def no_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Keep no logs: what the bugs make the library log is most of the time of these tests."""
    caplog.set_level(logging.CRITICAL, "smtpproto")


def find(bug: Bug, faults: Sequence[FaultName], monkeypatch: pytest.MonkeyPatch) -> SeedFailed:
    if bug.patch is not None:
        monkeypatch.setattr(*bug.patch)

    def scene(simulation: Simulation) -> None:
        play(simulation, bug.make)

    with pytest.raises(SeedFailed) as caught:
        if bug.is_of_agent:
            explore(play_agent, SEEDS, faults=faults, simulation=Internet)
        else:
            explore(scene, SEEDS, faults=faults)
    return caught.value


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_planted_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = find(bug, bug.faults, monkeypatch)
    assert failed.seed < 200, "it is found late: the scene or the scheduler has become worse"


@pytest.mark.soak
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_planted_bug_is_found_among_all_faults(
    bug: Bug, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(bug, LOSSES if bug.is_of_agent else FAULTS, monkeypatch)


def test_there_are_at_least_twenty_bugs() -> None:
    assert len(BUGS) >= 20


def test_without_a_bug_no_seed_fails() -> None:
    explore(play, 20, faults=FAULTS)
    explore(play_agent, 20, faults=LOSSES, simulation=Internet)


@pytest.mark.soak
def test_without_a_bug_none_of_ten_thousand_seeds_fails() -> None:
    explore(play, SEEDS, faults=FAULTS)
    explore(play_agent, SEEDS, faults=LOSSES, simulation=Internet)
