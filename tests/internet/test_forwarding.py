"""Mail that aliases forward over three agents: nothing is lost, and nothing goes in circles."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from smtpproto.mta import SRS, Direct, Route
from smtpproto.mta.report import read_report
from smtpproto.testing.internet import Internet
from smtpproto.testing.mail_host import Behaviour

SITES = ("a.test", "b.test", "c.test")
NAMES = [f"{name}@{site}" for site in SITES for name in "xyz"]
ORDINARY, MANY = 6, 2000

Graph = Mapping[str, Sequence[str]]


def graph_of(choose: random.Random) -> Graph:
    """Return aliases: most lead to one or two other addresses, or also to the mailbox itself."""
    return {
        name: choose.sample(NAMES, choose.choice([1, 1, 1, 2, 3]))
        for name in NAMES
        if choose.random() < 0.7
    }


def ways(graph: Graph, start: str) -> Counter[str]:
    """Return in how many ways without a circle *start* leads to each mailbox."""
    found: Counter[str] = Counter()

    def follow(name: str, way: tuple[str, ...]) -> None:
        for target in graph.get(name, [name]):
            if target == name:
                found[name] += 1
            elif target not in way:
                follow(target, (*way, target))

    follow(start, (start,))
    return found


def internet_of(seed: int, graph: Graph, crash_rate: float = 0.0) -> Internet:
    """Return an internet with an agent for each of SITES, and the host of the sender."""
    internet = Internet(seed)
    internet.domain("sender.test", internet.mail_host("mx.sender.test").name)
    for site in SITES:
        host = f"mx.{site}"
        internet.domain(site, host)
        own = {name: its for name, its in graph.items() if name.endswith(site)}
        routes: dict[str, Route] = {site: internet.mailboxes(host), "*": Direct()}
        srs = SRS(site, secrets=[f"secret of {site}"])
        internet.mta(host, routes, aliases=own, srs=srs, relay_from=[], crash_rate=crash_rate)
    return internet


def play(seed: int, crash_rate: float = 0.0) -> tuple[Internet, Graph]:
    choose = random.Random(seed)
    graph = graph_of(choose)
    internet = internet_of(seed, graph, crash_rate)

    async def scene() -> None:
        for number, name in enumerate(choose.sample(NAMES, 3)):
            mta = internet.mtas[f"mx.{name.partition('@')[2]}"]
            await internet.submit(mta, f"m{number}", "ann@sender.test", [name])
        await internet.until_delivered(days=8)

    internet.run(scene())
    return internet, graph


def check(internet: Internet, graph: Graph) -> None:
    """Assert the laws of forwarding, besides those of all agents."""
    assert internet.is_calm
    internet.check()
    reports = [it for it in internet.record.arrivals if it.is_report]
    for submission in internet.submissions:
        key, doubts = submission.key, internet.record.doubts[submission.key]
        for name in submission.recipients:
            expected = ways(graph, name)
            copies = Counter(
                {it: n for (of, it), n in internet.record.delivered.items() if of == key}
            )
            assert copies.keys() == expected.keys(), f"{key} for {name} went to {copies}"
            for mailbox, number in copies.items():
                most = expected[mailbox] << doubts  # a doubt may double all ways after it
                assert number <= most, f"{number} copies for {mailbox}"
            told = [it for it in reports if it.key == key]
            to = {str(path) for it in told for path in it.envelope.recipients}
            assert to <= {"ann@sender.test"}
            assert expected or told, f"nobody knows what became of {key} for {name}"


@pytest.mark.parametrize("first", range(0, ORDINARY, 3))
def test_mail_reaches_each_mailbox_to_which_any_aliases_lead_and_circles_nowhere(
    first: int,
) -> None:
    for seed in range(first, first + 3):
        check(*play(seed))


def test_so_it_does_when_processes_die() -> None:
    crashes = 0
    for seed in range(4):
        internet, graph = play(seed, crash_rate=0.1)
        check(internet, graph)
        crashes += sum(internet.record.crashes.values())
    assert crashes


@pytest.mark.soak
@pytest.mark.parametrize("first", range(ORDINARY, MANY, 83))
def test_so_it_does_for_many_more_aliases(first: int) -> None:
    for seed in range(first, first + 83):
        check(*play(seed, crash_rate=0.01 * (seed % 3)))


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_report_on_forwarded_mail_reaches_its_first_sender_once(hops: int) -> None:
    """The last agent cannot deliver; each of the others has rewritten the sender."""
    far = [f"x@{site}" for site in SITES[:hops]] + ["gone@far.test"]
    internet = internet_of(5, dict(zip(far, [[it] for it in far[1:]], strict=False)))
    far_host = internet.mail_host("mx.far.test", Behaviour(unknown=["gone"]))
    internet.domain("far.test", far_host.name)

    async def scene() -> None:
        await internet.submit(internet.mtas["mx.a.test"], "m", "ann@sender.test", ["x@a.test"])
        await internet.until_delivered(days=1)

    internet.run(scene())
    internet.check()
    [report] = internet.record.arrivals
    assert report.is_report and report.host == "mx.sender.test"
    assert [*map(str, report.envelope.recipients)] == ["ann@sender.test"]
    found = read_report(report.content)
    assert found is not None
    [status] = found.recipients
    assert status.final_recipient.value == far[hops - 1]
    assert status.original_recipient is None or status.original_recipient.value == "x@a.test"
    assert b"gone@far.test" not in report.content
