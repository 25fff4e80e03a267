"""The zone: answers to questions to the DNS, from a table."""

from __future__ import annotations

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Answer, Kind, Status
from smtpproto.testing import Mood, Simulation, Zone


def zone() -> Zone:
    return Zone(
        {
            "example.org": {Kind.MX: [MX(10, "mx.example.org")], Kind.TXT: [b"v=spf1 -all"]},
            "mx.example.org": {Kind.A: ["192.0.2.1"]},
            "www.example.org": "alias.example.org",
            "alias.example.org": "example.org",
            "loop.example.org": "loop.example.org",
            "a.b.example.org": {Kind.A: ["192.0.2.2"]},
            "müller.example": {Kind.A: ["192.0.2.3"]},
        }
    )


def ask(zone: Zone, name: str, kind: Kind = Kind.MX) -> Answer:
    return run(zone.lookup(name, kind))


def test_records_are_found_by_name_and_type() -> None:
    answer = ask(zone(), "example.org")
    assert (answer.status, answer.exchangers) == (Status.FOUND, (MX(10, "mx.example.org"),))
    assert answer.ttl == 300


@pytest.mark.parametrize("name", ["EXAMPLE.org", "example.org."])
def test_names_are_found_in_any_case_and_with_a_dot_at_their_end(name: str) -> None:
    assert ask(zone(), name).status is Status.FOUND


def test_a_name_in_the_table_may_have_u_labels() -> None:
    assert ask(zone(), "xn--mller-kva.example", Kind.A).texts == ("192.0.2.3",)


def test_a_name_without_records_of_the_type_has_no_data() -> None:
    assert ask(zone(), "example.org", Kind.A).status is Status.NO_DATA


def test_a_name_above_others_has_no_data() -> None:
    assert ask(zone(), "b.example.org").status is Status.NO_DATA


def test_any_other_name_does_not_exist() -> None:
    assert ask(zone(), "c.example.org").status is Status.NO_NAME


def test_aliases_are_followed_and_the_last_name_is_told() -> None:
    answer = ask(zone(), "www.example.org")
    assert (answer.exchangers, answer.name) == ((MX(10, "mx.example.org"),), "example.org")


def test_a_loop_of_aliases_is_a_failure() -> None:
    assert ask(zone(), "loop.example.org").status is Status.FAILED


@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
def test_a_mood_decides_the_status_of_a_name_or_of_one_type(status: Status) -> None:
    it = zone()
    it.moods["example.org", Kind.MX] = Mood(status)
    assert ask(it, "example.org").status is status
    assert not ask(it, "example.org").records
    assert ask(it, "example.org", Kind.TXT).octets == (b"v=spf1 -all",)
    it.moods["example.org"] = Mood(Status.FAILED)
    assert ask(it, "example.org", Kind.TXT).status is Status.FAILED


def test_a_mood_passes_after_its_number_of_answers() -> None:
    it = zone()
    it.moods["example.org"] = Mood(Status.FAILED, times=2)
    statuses = [ask(it, "example.org").status for _ in range(3)]
    assert statuses == [Status.FAILED, Status.FAILED, Status.FOUND]


def test_a_delay_passes_on_the_clock_of_the_runtime() -> None:
    simulation = Simulation(1)
    it = Zone({"example.org": {Kind.A: ["192.0.2.1"]}}, simulation)
    it.moods["example.org"] = Mood(delay=5)
    [answer] = simulation.run(it.lookup("example.org", Kind.A))
    assert (answer.texts, simulation.now()) == (("192.0.2.1",), 5)


def test_a_delay_without_a_runtime_is_an_error() -> None:
    it = zone()
    it.moods["example.org"] = Mood(delay=5)
    with pytest.raises(ValueError, match="runtime"):
        ask(it, "example.org")


def test_questions_are_recorded_in_order() -> None:
    it = zone()
    ask(it, "Example.org")
    ask(it, "mx.example.org", Kind.A)
    assert it.asked == [("example.org", Kind.MX), ("mx.example.org", Kind.A)]
