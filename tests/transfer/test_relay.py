"""One attempt to deliver a message: which hosts are tried, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import Reply
from smtpproto.dns import Kind
from smtpproto.errors import RemoteProtocolError
from smtpproto.limits import ADDRESSES_TRIED
from smtpproto.mta.judge import is_permanent
from smtpproto.mta.queue import Result
from smtpproto.mta.route import SmartHost
from smtpproto.mta.schedule import Feedback, feedback_of
from smtpproto.testing.simulation import Faults
from smtpproto.transfer.relay import check_route
from smtpproto.transfer.trial import Trial
from tests.support.hosts import Host
from tests.support.queued import attempt, delivery, message
from tests.transfer.relaying import CONTENT, ROUTE, Network

BUSY = Reply(421, "4.3.2", "Too busy")
FULL = Reply(452, "4.3.1", "Disk full")
GREY = Reply(451, "4.7.1", "Greylisted")
NO = Reply(550, "5.1.1", "No such user")


def test_a_message_goes_to_the_most_preferred_host() -> None:
    network = Network()
    [result] = network.attempt()
    assert (result.result, result.host) == (Result.RELAYED, "mx1.example.net")
    assert result.reply is not None and result.reply.code == 250
    assert [host.accepted for host in network.hosts] == [["bob@example.net"], []]
    assert network.hosts[0].received[0][1] == CONTENT


@pytest.mark.req("RFC5321-5.1-10")
def test_hosts_are_tried_in_order_until_one_accepts() -> None:
    refusing, accepting = Host(greeting=Reply(554, "5.3.2", "No service")), Host()
    network = Network((refusing, Host(), accepting))
    network.simulation.hosts.pop("192.0.2.2")
    [result] = network.attempt()
    assert (result.result, result.host) == (Result.RELAYED, "mx3.example.net")
    assert network.simulation.dialled == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    first, second = result.earlier.splitlines()
    assert first.startswith("mx1.example.net [192.0.2.1]: ") and "No service" in first
    assert second.startswith("mx2.example.net [192.0.2.2]: nothing listens")


def test_an_address_of_the_other_family_is_tried_after_a_refusal() -> None:
    network = Network((Host(greeting=BUSY), Host()))
    network.zone.records["mx1.example.net"] = {
        Kind.A: ["192.0.2.1"], Kind.AAAA: ["2001:db8::1"],
    }  # fmt: skip
    other = Host()
    network.simulation.serve("2001:db8::1", other)
    network.simulation.serve("192.0.2.1", network.hosts[0])
    [result] = network.attempt()
    assert (result.result, result.address) == (Result.RELAYED, "2001:db8::1")


class Stalling(Host):
    """A host from which nothing is heard any more once it has called a hook."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.hook, self.faults = hook, Faults()

    def connect(self, *arguments: Any) -> Reply | None:
        self.faults.silent |= self.hook == "connect"
        return super().connect(*arguments)

    def ehlo(self, *arguments: Any) -> None:
        self.faults.silent |= self.hook == "ehlo"

    def mail(self, *arguments: Any) -> Reply | None:
        self.faults.silent |= self.hook == "mail"
        return super().mail(*arguments)

    def rcpt(self, *arguments: Any) -> Reply | None:
        self.faults.silent |= self.hook == "rcpt"
        return super().rcpt(*arguments)

    def message(self, *arguments: Any) -> Reply | None:
        self.faults.silent |= self.hook == "message"
        return super().message(*arguments)


@pytest.mark.req("RFC5321-4.5.4-01")
@pytest.mark.parametrize("hook", ["", "connect", "ehlo", "mail", "rcpt", "message"])
def test_a_host_that_does_not_answer_in_time_is_followed_by_the_next(hook: str) -> None:
    host = Stalling(hook)
    network = Network((host, Host()))
    host.faults = network.simulation.host("192.0.2.1").faults
    host.faults.silent = not hook
    [result] = network.attempt()
    if hook == "message":  # it may have the message
        assert (result.result, result.host) == (Result.UNKNOWN, "mx1.example.net")
    else:
        assert (result.result, result.host) == (Result.RELAYED, "mx2.example.net")
    assert result.seconds >= 60


@pytest.mark.req("RFC5321-5.1-12")
def test_at_least_two_and_at_most_five_addresses_are_tried() -> None:
    network = Network(tuple(Host(greeting=BUSY) for _ in range(8)))
    [result] = network.attempt()
    assert len(network.simulation.dialled) == ADDRESSES_TRIED >= 2
    assert result.result is Result.UNREACHED
    assert result.reply is not None and result.reply.code == 421
    assert feedback_of([result]) is Feedback.FAILED


@pytest.mark.req("RFC5321-5.1-12")
def test_a_host_with_many_dead_addresses_is_followed_by_the_next_and_then_tried_on() -> None:
    network = Network((Host(), Host(greeting=BUSY)))
    dead = [f"192.0.2.{number}" for number in range(11, 19)]
    network.zone.records["mx1.example.net"] = {Kind.A: dead}
    network.attempt()
    assert network.simulation.dialled == [*dead[:2], "192.0.2.2", *dead[2:4]]


@pytest.mark.parametrize(
    "busy", [Host(refuse_mail=BUSY), Host(refuse_mail=FULL), Host(refuse_message=FULL)]
)
def test_a_host_that_refuses_all_messages_for_now_is_followed_by_the_next(busy: Host) -> None:
    network = Network((busy, Host()))
    assert [it.result for it in network.attempt()] == [Result.RELAYED]
    assert network.hosts[1].accepted == ["bob@example.net"]


def test_a_recipient_refused_for_now_is_not_asked_for_elsewhere() -> None:
    network = Network((Host(refuse_rcpt={"bob": GREY}), Host()))
    [result] = network.attempt()
    assert (result.result, result.reply, result.command) == (Result.REFUSED, GREY, "RCPT")
    assert network.simulation.dialled == ["192.0.2.1"]
    assert feedback_of([result]) is Feedback.ANSWERED


def test_each_recipient_has_its_own_reply() -> None:
    network = Network((Host(refuse_rcpt={"nobody": NO, "grey": GREY}), Host()))
    good, bad, later = network.attempt("a@example.net", "nobody@example.net", "grey@example.net")
    assert [it.result for it in (good, bad, later)] == [
        Result.RELAYED, Result.REFUSED, Result.REFUSED,
    ]  # fmt: skip
    assert (bad.reply, later.reply) == (NO, GREY)
    assert network.hosts[1].connections == 0


def test_a_refusal_of_mail_for_good_is_final_and_not_remembered() -> None:
    network = Network((Host(refuse_mail=NO, times=1), Host()))
    [result] = network.attempt()
    assert is_permanent(result)
    assert network.hosts[1].connections == 0
    [result] = network.attempt()
    assert result.result is Result.RELAYED
    assert len(network.hosts[0].mails) == 2


def test_a_refusal_for_now_counts_more_than_a_host_that_cannot_be_reached() -> None:
    network = Network((Host(refuse_mail=FULL), Host()))
    network.simulation.hosts.pop("192.0.2.2")
    [result] = network.attempt()
    assert (result.result, result.reply, result.host) == (Result.REFUSED, FULL, "mx1.example.net")
    assert "mx2.example.net [192.0.2.2]: nothing listens" in result.earlier


def test_a_lost_connection_after_the_dot_is_unknown_and_no_other_host_is_tried() -> None:
    network = Network()
    network.hosts[0].cuts = network.simulation.host("192.0.2.1")
    [result] = network.attempt()
    assert (result.result, result.host, result.reply) == (
        Result.UNKNOWN, "mx1.example.net", None,
    )  # fmt: skip
    assert network.simulation.dialled == ["192.0.2.1"]


def test_after_an_unknown_outcome_the_same_address_is_tried_first() -> None:
    network = Network((Host(), Host(), Host()))
    unknown = attempt(Result.UNKNOWN, host="mx2.example.net", address="192.0.2.2")
    [result] = network.attempt(delivery(log=(unknown,)))
    assert result.host == "mx2.example.net"
    assert network.simulation.dialled == ["192.0.2.2"]


@pytest.mark.parametrize(("up", "host"), [((1, 3), "mx1"), ((3,), "mx3")])
def test_the_others_follow_in_their_order(up: tuple[int, ...], host: str) -> None:
    network = Network((Host(), Host(), Host()))
    for number in {1, 2, 3} - {*up}:
        network.simulation.hosts.pop(f"192.0.2.{number}")
    unknown = attempt(Result.UNKNOWN, host="mx2.example.net", address="192.0.2.2")
    [result] = network.attempt(delivery(log=(unknown,)))
    assert result.host == f"{host}.example.net"
    assert network.simulation.dialled[0] == "192.0.2.2"


def test_an_address_that_is_no_longer_a_host_is_not_tried() -> None:
    network = Network()
    unknown = attempt(Result.UNKNOWN, host="old.example.net", address="192.0.2.77")
    [result] = network.attempt(delivery(log=(unknown,)))
    assert network.simulation.dialled == ["192.0.2.1"]
    assert result.result is Result.RELAYED


def test_without_a_host_the_attempt_has_the_reply_that_says_why() -> None:
    network = Network()
    [gone] = network.attempt("bob@nowhere.test")
    assert is_permanent(gone) and gone.host == ""
    assert gone.reply is not None and str(gone.reply.enhanced) == "5.1.2"
    assert feedback_of([gone]) is Feedback.NEITHER


@pytest.mark.req("RFC5321-4.5.4.1-09", "RFC5321-4.5.4.1-13")
def test_recipients_at_one_host_share_one_copy() -> None:
    network = Network()
    network.attempt("a@example.net", "b@example.net", "c@example.net")
    assert len(network.hosts[0].mails) == len(network.hosts[0].received) == 1
    assert network.hosts[0].accepted == ["a@example.net", "b@example.net", "c@example.net"]


def test_recipients_of_many_domains_are_sent_in_turns_where_the_host_limits_domains() -> None:
    host = Host()
    network = Network((host,), ({"extensions": {"LIMITS": "RCPTDOMAINMAX=1"}},))
    route = SmartHost("192.0.2.1", 25, tls="none")
    results = network.attempt("a@a.test", "b@b.test", "c@a.test", route=route)
    assert {it.result for it in results} == {Result.RELAYED}
    assert [sorted(map(str, envelope.recipients)) for envelope, _ in host.received] == [
        ["a@a.test", "c@a.test"], ["b@b.test"],
    ]  # fmt: skip


def test_smart_hosts_are_tried_in_turn_and_not_looked_up() -> None:
    network = Network((Host(greeting=BUSY), Host()))
    route = SmartHost(["192.0.2.1", "192.0.2.2"], 25, tls="none")
    [result] = network.attempt("x@anything.test", route=route)
    assert (result.result, result.address) == (Result.RELAYED, "192.0.2.2")
    assert network.zone.asked == []


def test_a_server_for_lmtp_delivers() -> None:
    host = Host()
    network = Network()
    network.simulation.serve("192.0.2.9", host, port=24, lmtp=True)
    [result] = network.attempt(route=SmartHost("192.0.2.9", 24, tls="none"))
    assert result.result is Result.DELIVERED


def test_connections_are_kept_for_the_next_message() -> None:
    network = Network()
    simulation, relay = network.simulation, network.relay

    async def send() -> None:
        for _ in range(5):
            await relay.attempt(ROUTE, message(size=len(CONTENT)), [delivery()], CONTENT)
        await relay.connections.close_unused()
        assert network.hosts[0].connections == 1
        await simulation.sleep(30)
        await relay.connections.close_unused()
        assert not relay.connections._kept

    simulation.run(send())


def test_content_is_read_again_for_each_host() -> None:
    class Pieces:
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield CONTENT[:5]
            yield CONTENT[5:]

    network = Network((Host(refuse_message=FULL), Host()))
    [result] = network.attempt(content=Pieces())
    assert result.result is Result.RELAYED
    assert network.hosts[1].received[0][1] == CONTENT
    assert network.hosts[1].mails[0].size == len(CONTENT)


def test_wrong_options_of_a_route_are_found_before_it_is_used() -> None:
    with pytest.raises(TypeError, match="tsl"):
        check_route(SmartHost("mx.example.net", tsl="none"))


def test_a_positive_reply_at_the_wrong_time_is_not_why_a_host_could_not_be_reached() -> None:
    asked = delivery()
    trial = Trial(0.0, {asked.recipient: asked})
    early = RemoteProtocolError("a reply that answers no command", reply=Reply(250, None, "fine"))
    trial.unreached(early)
    [(_, result)] = trial.tried(1.0)
    assert result.reply == Reply(451, "4.5.0", "The host broke the protocol")
    assert result.error == "a reply that answers no command: 250 fine"
