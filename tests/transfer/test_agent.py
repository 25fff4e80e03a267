"""The agent: what is due is tried, what failed is tried again, what ended is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from attrs import evolve

from smtpproto import Envelope, ForwardPath, MailParameters, Notify, RcptParameters, Reply, Session
from smtpproto.errors import ContentLost, QueueFailed, QueueFull
from smtpproto.grammar.scheduling import ByMode, DeliverBy
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Result, State
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import Direct, Local, Routes, SmartHost
from smtpproto.mta.settlement import Fate
from smtpproto.mta.status import Action
from smtpproto.mta.store import Selection
from smtpproto.testing.simulation import EPOCH
from tests.support.hosts import Host
from tests.transfer.relaying import CONTENT, ROUTE, Network
from tests.transfer.working import Working

NO = Reply(550, "5.1.1", "No such user")
GREY = Reply(451, "4.7.1", "Greylisted")


def fates(working: Working, entries: Any) -> dict[str, Fate]:
    return {str(it.delivery.recipient): it.fate for it in working.ended(entries)}


def test_a_message_is_delivered_as_soon_as_it_is_put() -> None:
    working = Working()
    entries = working.deliver(working.queued("bob@example.net", "eve@example.net"))
    assert fates(working, entries) == {
        "bob@example.net": Fate.RELAYED, "eve@example.net": Fate.RELAYED,
    }  # fmt: skip
    [(_, body)] = working.network.hosts[0].received
    assert body == CONTENT
    [ended, _] = working.ended(entries)
    assert working.at(ended.at) < 1
    assert ended.delivery.attempts == 1
    assert working.reports == []


@pytest.mark.req("RFC5321-4.5.4.1-01")
def test_a_message_that_cannot_be_sent_is_kept_and_tried_again() -> None:
    working = Working()
    working.network.simulation.hosts.clear()

    async def scenario() -> list[Any]:
        await working.store.put([working.queued()])
        await working.network.simulation.sleep(900)
        [entry] = await working.entries()
        working.network.simulation.serve("192.0.2.2", working.network.hosts[1])
        await working.network.simulation.sleep(7200)
        return [entry, *await working.entries()]

    waiting, after = working.run(scenario)
    [delivery] = waiting.deliveries
    assert delivery.state is State.WAITING and delivery.log
    assert delivery.log[0].result is Result.UNREACHED
    assert fates(working, [after]) == {"bob@example.net": Fate.RELAYED}
    assert len(working.network.hosts[1].received) == 1


@pytest.mark.req("RFC5321-4.5.4.1-05")
def test_the_waits_between_attempts_are_those_that_were_set() -> None:
    network = Network((Host(refuse_message=GREY, times=2),))
    working = Working(network, retry=RetrySchedule(steps=(10, 20), jitter=0))
    [ended] = working.ended(working.deliver(working.queued()))
    assert [round(working.at(it.at)) for it in ended.delivery.log] == [0, 10, 30]


@pytest.mark.req("RFC5321-4.2.5-03", "RFC5321-4.2.5-05")
def test_a_greylisting_host_gets_the_message_after_a_minute() -> None:
    network = Network((Host(refuse_message=GREY, times=1),))
    working = Working(network)
    [ended] = working.ended(working.deliver(working.queued()))
    assert ended.fate is Fate.RELAYED
    assert 60 <= working.at(ended.at) < 70
    assert [it.result for it in ended.delivery.log] == [Result.REFUSED, Result.RELAYED]


@pytest.mark.req("RFC3461-5.2.2-03", "RFC5321-4.1.1.4-10")
def test_a_refused_recipient_is_reported_to_the_sender_and_the_others_are_not() -> None:
    working = Working(Network((Host(refuse_rcpt={"nobody": NO}),)))
    entries = working.deliver(working.queued("bob@example.net", "nobody@example.net"))
    assert fates(working, entries) == {
        "bob@example.net": Fate.RELAYED, "nobody@example.net": Fate.FAILED,
    }  # fmt: skip
    [report] = working.reports
    assert report.count(b"Final-Recipient:") == 1
    assert b"nobody@example.net" in report and b"Action: failed" in report
    assert str(working.home.received[0][0].recipients[0]) == "ann@example.org"


def test_all_recipients_that_fail_together_share_a_report() -> None:
    working = Working(Network((Host(refuse_rcpt={"a": NO, "b": NO}),)))
    working.deliver(working.queued("a@example.net", "b@example.net"))
    [report] = working.reports
    assert report.count(b"Final-Recipient:") == 2


@pytest.mark.req("RFC3461-5.2-01", "RFC3461-5.2-02", "RFC5321-4.5.4-02")
def test_no_report_is_made_for_the_null_sender_but_the_log_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    working = Working(Network((Host(refuse_rcpt={"nobody": NO}),)))
    entries = working.deliver(working.queued("nobody@example.net", sender=None))
    assert fates(working, entries) == {"nobody@example.net": Fate.FAILED}
    assert len(entries) == 1 and working.home.received == []
    assert [it.getMessage() for it in caplog.records if it.levelname == "WARNING"] == [
        "message m1 from <> could not be delivered to nobody@example.net; nobody is told"
    ]


def test_a_report_that_cannot_be_delivered_is_dropped() -> None:
    working = Working(Network((Host(refuse_rcpt={"nobody": NO}),)))
    working.home.refuse_rcpt["ann"] = NO
    entries = working.deliver(working.queued("nobody@example.net"), hours=100)
    assert len(entries) == 2
    assert all(not entry.deliveries for entry in entries)


def test_an_unreachable_domain_is_reported_late_and_then_given_up() -> None:
    working = Working()
    for number in (1, 2):
        working.network.simulation.hosts.pop(f"192.0.2.{number}")
    entries = working.deliver(working.queued(), hours=24 * 6)
    [ended] = working.ended(entries)
    assert ended.fate is Fate.EXPIRED
    day = 86400
    assert 5 * day <= working.at(ended.at) < 5 * day + 2 * 3600
    delayed, failed = working.reports
    assert b"Action: delayed" in delayed and b"Action: failed" in failed


@pytest.mark.req("RFC3461-5.2.2-02")
def test_a_host_without_dsn_makes_this_server_report_success() -> None:
    working = Working(Network(config=({"extensions": {"DSN": None}},)))
    rcpt = RcptParameters(notify={Notify.SUCCESS})
    working.deliver(working.queued(rcpt=rcpt, authenticated=True))
    [report] = working.reports
    assert b"Action: relayed" in report


@pytest.mark.req("RFC2852-4.1.3-01")
def test_a_message_to_return_is_not_tried_after_its_time() -> None:
    working = Working()
    working.network.simulation.hosts.pop("192.0.2.1")
    working.network.simulation.hosts.pop("192.0.2.2")
    by = MailParameters(by=DeliverBy(100, ByMode.RETURN))
    entries = working.deliver(working.queued(mail=by))
    [ended] = working.ended(entries)
    assert ended.fate is Fate.EXPIRED
    assert 100 <= working.at(ended.at) <= 180  # when the pause of its destination ends
    assert len(ended.delivery.log) == 2  # at once, and after a minute
    [report] = working.reports
    assert b"Status: 5.4.7" in report


@pytest.mark.req("RFC5321-4.2.5-04")
def test_a_message_refused_for_good_is_not_tried_again() -> None:
    network = Network((Host(refuse_message=Reply(554, "5.7.1", "Spam")), Host()))
    working = Working(network)
    [ended] = working.ended(working.deliver(working.queued(), hours=48))
    assert ended.fate is Fate.FAILED
    assert len(ended.delivery.log) == 1
    assert [host.connections for host in network.hosts] == [1, 0]


@pytest.mark.req("RFC1870-6.4-03")
def test_a_recipient_whose_quota_is_used_up_is_not_tried_again() -> None:
    working = Working(Network((Host(refuse_rcpt={"bob": Reply(552, "5.2.2", "Over quota")}),)))
    [ended] = working.ended(working.deliver(working.queued()))
    assert (ended.fate, len(ended.delivery.log)) == (Fate.FAILED, 1)


@pytest.mark.req("RFC1870-6.4-02")
def test_a_recipient_without_room_for_now_is_tried_again() -> None:
    host = Host(refuse_rcpt={"bob": Reply(452, "4.2.2", "Full")})
    [entry] = Working(Network((host,))).deliver(Working().queued())
    assert len(entry.deliveries[0].log) > 1


@pytest.mark.req("RFC8689-4.2.2-02")
def test_a_host_that_insists_on_tls_which_fails_leads_to_a_report() -> None:
    wanted = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
    network = Network((Host(refuse_mail=wanted),))
    working = Working(network)
    entries = working.deliver(working.queued(tls_optional=True), hours=24 * 6)
    assert fates(working, entries) == {"bob@example.net": Fate.EXPIRED}
    assert sum(b"Action: failed" in report for report in working.reports) == 1


@pytest.mark.req("RFC4865-4.2-02")
def test_a_message_is_not_released_before_its_time() -> None:
    working = Working()
    queued = working.queued(not_before=EPOCH + 1000)
    held = evolve(queued, deliveries=(evolve(queued.deliveries[0], due=EPOCH + 1000),))
    [ended] = working.ended(working.deliver(held))
    assert 1000 <= working.at(ended.at) < 1002


def test_a_lost_reply_is_retried_later_at_the_same_host() -> None:
    network = Network()
    working = Working(network)
    network.hosts[0].cuts = network.simulation.host("192.0.2.1")

    async def scenario() -> Any:
        await working.store.put([working.queued()])
        await network.simulation.sleep(600)
        network.hosts[0].cuts = None
        await network.simulation.sleep(1200)
        return await working.entries()

    [ended] = working.ended(working.run(scenario))
    assert [it.result for it in ended.delivery.log] == [Result.UNKNOWN, Result.RELAYED]
    assert {it.address for it in ended.delivery.log} == {"192.0.2.1"}
    assert network.hosts[1].connections == 0


# -- connections and turns -----------------------------------------------------------------------


class Busy(Host):
    """A host that counts the messages that it takes at the same time."""

    def __init__(self, simulation: Any) -> None:
        super().__init__()
        self.now = self.most = 0
        self.simulation = simulation

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        return self._slowly(session, envelope, body)

    async def _slowly(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.simulation.sleep(30)
        self.now -= 1
        return super().message(session, envelope, body)


def test_no_more_transactions_than_the_window_are_open() -> None:
    network = Network()
    busy = Busy(network.simulation)
    network.simulation.serve("192.0.2.1", busy)
    working = Working(network, limits=ScheduleLimits(window=2, largest_window=3))
    entries = working.deliver(*(working.queued() for _ in range(40)))
    assert len(working.ended(entries)) == 40
    assert busy.most == 3
    assert busy.connections <= 6  # each is kept for five minutes


def test_more_messages_than_the_active_set_are_all_delivered_without_spinning() -> None:
    network = Network()
    network.simulation.host("192.0.2.1").faults.latency = 1.0
    claims = 0

    class Counting(MemoryQueue):
        async def claim(self, *args: Any, **more: Any) -> Any:
            nonlocal claims
            claims += 1
            return await super().claim(*args, **more)

    limits = ScheduleLimits(active=10, active_per_destination=6, connections=4)
    working = Working(network, store=Counting(), limits=limits)
    entries = working.deliver(*(working.queued() for _ in range(60)), hours=3)
    assert len(working.ended(entries)) == 60
    assert len(network.hosts[0].received) == 60
    assert claims < 1000


@pytest.mark.req("RFC5321-4.5.4.1-06")
def test_a_dead_destination_is_not_tried_for_each_message_and_delays_no_other() -> None:
    network = Network()
    network.simulation.host("192.0.2.1").faults.silent = True
    network.simulation.host("192.0.2.2").faults.silent = True
    working = Working(network)
    dead = [working.queued("bob@example.net") for _ in range(50)]
    entries = working.deliver(*dead, working.queued("ann@example.org"), hours=0.5)
    assert len(network.simulation.dialled) < 60
    assert fates(working, entries)["ann@example.org"] is Fate.RELAYED
    assert working.home.received[0][0].recipients[0] == "ann@example.org"


def test_a_message_that_arrives_is_not_kept_waiting() -> None:
    working = Working()

    async def scenario() -> Any:
        await working.network.simulation.sleep(1000)
        await working.store.put([working.queued()])
        working.agent.wake()
        await working.network.simulation.sleep(1)
        return await working.entries()

    assert len(working.ended(working.run(scenario))) == 1


def test_new_routes_hold_for_what_is_in_the_queue() -> None:
    working = Working(routes=Routes({"*": SmartHost("192.0.2.99", 25, tls="none")}))

    async def scenario() -> Any:
        await working.store.put([working.queued()])
        await working.network.simulation.sleep(30)
        working.agent.routes = Routes({"*": ROUTE})
        await working.network.simulation.sleep(600)
        return await working.entries()

    assert len(working.ended(working.run(scenario))) == 1


def test_a_recipient_without_a_route_waits_for_one() -> None:
    working = Working(routes=Routes({"example.org": ROUTE}))
    [entry] = working.deliver(working.queued())
    [delivery] = entry.deliveries
    assert delivery.last is not None and delivery.last.reply is not None
    assert str(delivery.last.reply.enhanced) == "4.3.5"


def test_each_of_several_routes_is_used_for_its_recipients() -> None:
    routes = {
        "a.test": SmartHost("192.0.2.1", 25, tls="none"),
        "b.test": SmartHost("192.0.2.1", 25, tls="none", hello="other.us.test"),
    }
    working = Working(routes=Routes(routes))
    entries = working.deliver(working.queued("x@a.test", "y@b.test", "z@a.test"))
    assert len(working.ended(entries)) == 3
    accepted = [sorted(map(str, it.recipients)) for it, _ in working.network.hosts[0].received]
    assert sorted(accepted) == [["x@a.test", "z@a.test"], ["y@b.test"]]


# -- what goes wrong here ------------------------------------------------------------------------


def test_a_bug_in_one_job_neither_loses_it_nor_stops_the_others() -> None:
    working = Working()
    relay, broken = working.network.relay, True

    class Fails:
        async def attempt(self, route: Any, message: Any, *more: Any) -> Any:
            if message.id == "m1" and broken:
                raise ZeroDivisionError("a bug")
            return await relay.attempt(route, message, *more)

    working.agent._worker._relay = Fails()  # type: ignore[assignment]

    async def scenario() -> Any:
        nonlocal broken
        await working.store.put([working.queued(), working.queued()])
        await working.network.simulation.sleep(30)
        before = await working.entries()
        broken = False
        await working.network.simulation.sleep(600)
        return before, await working.entries()

    before, after = working.run(scenario)
    [delivery] = before[0].deliveries
    assert "ZeroDivisionError: a bug" in delivery.log[0].error
    assert not before[1].deliveries
    assert len(working.ended(after)) == 2


class Failing(MemoryQueue):
    """A queue in memory whose methods fail, one by one, as *errors* says."""

    def __init__(self, method: str, errors: Iterator[Exception | None]) -> None:
        super().__init__()
        self.method, self.errors = method, errors
        self.failed = 0

    def _check(self, method: str) -> None:
        if method == self.method and (error := next(self.errors, None)) is not None:
            self.failed += 1
            raise error

    async def claim(self, *args: Any, **more: Any) -> Any:
        self._check("claim")
        return await super().claim(*args, **more)

    async def settle(self, *args: Any, **more: Any) -> None:
        self._check("settle")
        await super().settle(*args, **more)

    async def next_due(self, **more: Any) -> Any:
        self._check("next_due")
        return await super().next_due(**more)

    async def content(self, message: Any) -> Any:
        self._check("content")
        return await super().content(message)


@pytest.mark.parametrize("method", ["claim", "settle", "next_due", "content"])
@pytest.mark.parametrize("error", [QueueFailed("broken"), QueueFull("full")])
def test_what_came_of_a_job_outlives_a_failure_of_the_store(method: str, error: Exception) -> None:
    store = Failing(method, iter([error] * 5))
    working = Working(Network((Host(refuse_rcpt={"nobody": NO}),)), store=store)
    messages = [working.queued("bob@example.net", "nobody@example.net") for _ in range(3)]
    entries = working.deliver(*messages, hours=24)
    assert store.failed == 5
    assert len(working.ended(entries)) == 6
    assert len(working.network.hosts[0].received) == 3
    assert len(working.reports) == 3


def test_a_message_whose_content_is_lost_is_held() -> None:
    working = Working(store=Failing("content", iter([ContentLost("it is damaged")])))
    entries = working.deliver(working.queued(), working.queued(), hours=24 * 9)
    [held] = [delivery for entry in entries for delivery in entry.deliveries]
    assert (held.state, held.reason, held.attempts) == (State.HELD, "it is damaged", 1)
    assert len(working.ended(entries)) == 1 and working.reports == []


def test_no_job_begins_while_the_store_cannot_write_what_came_of_others() -> None:
    store = Failing("settle", iter([QueueFailed("broken")] * 7))  # about two minutes
    limits = ScheduleLimits(window=1, largest_window=1)
    working = Working(store=store, limits=limits)

    async def scenario() -> Any:
        await store.put([working.queued() for _ in range(5)])
        await working.network.simulation.sleep(60)
        early = len(working.network.hosts[0].received)
        await working.network.simulation.sleep(600)
        return early, len(working.network.hosts[0].received)

    early, late = working.run(scenario)
    assert early <= 3  # some began before the first write had failed
    assert late == 5


def test_a_store_that_has_nothing_due_is_not_asked_after_each_job() -> None:
    class Counting(MemoryQueue):
        claims = 0

        async def claim(self, *args: Any, **more: Any) -> Any:
            Counting.claims += 1
            return await super().claim(*args, **more)

    working = Working(store=Counting(), limits=ScheduleLimits(window=1, largest_window=1))
    entries = working.deliver(*(working.queued() for _ in range(50)), hours=0.01)
    assert len(working.ended(entries)) == 50
    assert Counting.claims <= 5


def test_a_settlement_that_the_store_refuses_does_not_keep_the_others_back() -> None:
    class Picky(MemoryQueue):
        async def settle(self, settlements: Sequence[Any], *more: Any, **others: Any) -> None:
            if any(it.delivery.message == "m1" for it in settlements):
                raise ValueError("not leased")
            await super().settle(settlements, *more, **others)

    working = Working(store=Picky())
    entries = working.deliver(working.queued(), working.queued())
    assert [str(it.delivery.message) for it in working.ended(entries)] == ["m2"]


def test_a_report_that_cannot_be_made_leaves_its_delivery_held() -> None:
    working = Working(Network((Host(refuse_rcpt={"nobody": NO}),)))

    class Broken:
        def octets_needed(self, *_: Any) -> int:
            return 100

        def action(self, *_: Any) -> Action:
            return Action.FAILED

        def report(self, *_: Any, **more: Any) -> Any:
            raise ZeroDivisionError("a bug")

    working.agent._outbox.reporter = Broken()  # type: ignore[assignment]
    [entry] = working.deliver(working.queued("bob@example.net", "nobody@example.net"))
    [held] = entry.deliveries
    assert held.state is State.HELD
    assert "ZeroDivisionError" in held.reason
    assert [it.fate for it in entry.ended] == [Fate.RELAYED]


# -- the end -------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_jobs_that_run_and_puts_back_the_others() -> None:
    network = Network()
    busy = Busy(network.simulation)
    network.simulation.serve("192.0.2.1", busy)
    working = Working(network, limits=ScheduleLimits(window=2, largest_window=2))

    async def scenario() -> None:
        await working.store.put([working.queued() for _ in range(10)])
        await network.simulation.sleep(10)

    async def run() -> Any:
        entries = await working.entries()
        deliveries = [it for entry in entries for it in entry.deliveries]
        return len(busy.received), deliveries

    working.run(scenario)
    received, deliveries = network.simulation.run(run())[0]
    assert received == 2
    assert len(deliveries) == 8
    assert {(it.state, it.attempts) for it in deliveries} == {(State.WAITING, 0)}
    assert all(working.at(it.due) <= 10 for it in deliveries)


def test_connections_are_closed_at_the_end() -> None:
    working = Working()
    working.deliver(working.queued(), hours=0.001)
    assert not working.agent._relay.connections._kept


def test_unused_connections_are_closed_meanwhile() -> None:
    working = Working()
    closed: list[int] = []

    async def scenario() -> None:
        await working.store.put([working.queued()])
        await working.network.simulation.sleep(200)
        closed.append(len(working.agent._relay.connections._kept))

    working.run(scenario)
    assert closed == [0]


# -- mailboxes here ------------------------------------------------------------------------------


def local(deliver: Callable[..., Any]) -> Working:
    return Working(routes=Routes({"example.net": Local(deliver), "*": Direct(tls="none")}))


def path(address: str) -> ForwardPath:
    return ForwardPath.of(address)


@pytest.mark.parametrize("is_async", [False, True])
def test_mail_for_a_domain_here_is_given_to_its_function(is_async: bool) -> None:
    got = []

    def deliver(message: Any, deliveries: Sequence[Any], content: Any) -> None:
        got.append((message.id, [str(it.recipient) for it in deliveries], content))

    async def slowly(*args: Any) -> None:
        await working.network.simulation.sleep(1)
        deliver(*args)

    working = local(slowly if is_async else deliver)
    entries = working.deliver(working.queued("a@example.net", "b@example.net"))
    assert got == [("m1", ["a@example.net", "b@example.net"], CONTENT)]
    assert set(fates(working, entries).values()) == {Fate.DELIVERED}


def test_each_recipient_may_have_a_reply() -> None:
    replies = {path("a@example.net"): None, path("b@example.net"): NO, path("c@example.net"): GREY}
    working = local(lambda *_: replies)
    entries = working.deliver(
        working.queued("a@example.net", "b@example.net", "c@example.net", "d@example.net")
    )
    assert fates(working, entries) == {
        "a@example.net": Fate.DELIVERED, "b@example.net": Fate.FAILED,
    }  # fmt: skip
    waiting = {str(it.recipient) for entry in entries for it in entry.deliveries}
    assert waiting == {"c@example.net", "d@example.net"}
    assert len(working.reports) == 1


@pytest.mark.parametrize("result", [ZeroDivisionError("a bug"), StopIteration(), True, "ok", {}])
def test_a_function_that_fails_loses_nothing(result: Any) -> None:
    def deliver(*_: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    working = local(deliver)
    [entry] = working.deliver(working.queued())
    [delivery] = entry.deliveries
    assert delivery.state is State.WAITING
    assert delivery.log[0].result is Result.REFUSED and delivery.log[0].error


@pytest.mark.req("RFC3461-5.2.3-01")
@pytest.mark.parametrize("notify", [{Notify.SUCCESS}, {Notify.FAILURE}, None])
def test_success_is_reported_where_it_was_asked_for(notify: Any) -> None:
    working = local(lambda *_: None)
    rcpt = RcptParameters(notify=notify)
    working.deliver(working.queued(rcpt=rcpt, authenticated=True))
    wanted = bool(notify) and Notify.SUCCESS in notify
    assert [b"Action: delivered" in report for report in working.reports] == [True] * wanted


def test_a_selection_by_an_empty_id_finds_all() -> None:
    working = Working()
    assert len(working.deliver(working.queued())) == 1
    assert Selection(id="").id == ""
