"""What guards refuse, in which words, and whom they leave alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from types import coroutine
from typing import Any

import pytest

from smtpproto import Client, Envelope, MailParameters, PlainPasswords, Reply, ReversePath, Session
from smtpproto.client import ClientConfig, open_client
from smtpproto.dns import Kind, Status
from smtpproto.errors import SMTPError, StatesFailed
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.parameters import RcptParameters
from smtpproto.policy import DNSList, Greylist, MemoryStates
from smtpproto.server.handler import Hook, Verdict
from smtpproto.testing import Mood, Zone
from smtpproto.transfer import Guards, ReceiveLimits
from smtpproto.transfer.guarding import Guarding
from smtpproto.transfer.receive import Receiver
from tests.support.receiving import ANN, BOB, INSIDE, MESSAGE, Site

CAROL, DAVE, POSTMASTER = "carol@example.org", "dave@example.org", "postmaster@example.org"
LISTED = {Kind.A: ["127.0.0.2"], Kind.TXT: [b"Sends\tspam, see https://bl.example/2"]}
LIST = {"2.0.0.127.bl.example": LISTED, "1.2.0.192.bl.example": LISTED}
LOGIN: dict[str, Any] = {
    "options": {"authenticator": PlainPasswords({"ann": "secret"}), "auth_in_clear": True},
    "client": {"login": ("ann", "secret"), "login_in_clear": True, "tls": "none"},
}


class Guarded(Site):
    """A site with guards. Its clients come from 192.0.2.1."""

    def __init__(
        self, guards: Guards, records: Any = None, kind: type[Receiver] = Receiver, **options: Any
    ) -> None:
        self.zone = Zone(records or {})
        super().__init__(
            receiver=lambda intake: lambda: self.guarding.guard(kind(intake)),  # type: ignore[arg-type, return-value]
            **options,
        )
        self.zone.runtime = self.simulation
        self.events: list[Any] = []
        self.guarding = Guarding(self.simulation, self.zone, guards, self.events.append)

    def replies(self, *recipients: str, sender: str = ANN) -> list[str]:
        """Return the replies to RCPT, in one transaction."""

        async def scenario(client: Client) -> list[str]:
            return await transaction(client, recipients, sender)

        return self.run(scenario)


async def transaction(client: Client, recipients: Iterable[str], sender: str = ANN) -> list[str]:
    try:
        outcome = await client.send(MESSAGE, Envelope(sender, recipients))
    except SMTPError as error:
        outcome = error.outcome  # type: ignore[attr-defined]
    known = outcome.accepted | outcome.refused
    return [str(known[ForwardPath.of(it)]) for it in recipients]


def accepted(replies: Sequence[str]) -> list[bool]:
    return [reply.startswith("250") for reply in replies]


# -- limits ----------------------------------------------------------------------------------


def test_recipients_beyond_the_limit_of_a_network_are_refused_for_now_with_the_seconds() -> None:
    site = Guarded(Guards(receive=ReceiveLimits(network="2/h")))
    first = site.replies(BOB, CAROL, DAVE)
    assert accepted(first) == [True, True, False]
    text = "Too many recipients from your network; try again in 1800 seconds"
    assert first[2] == f"452 4.5.3 {text}"
    assert site.replies(DAVE) == [f"450 4.7.1 {text}"]
    assert list(map(str, site.events)) == [
        f"192.0.2.1: {DAVE} refused by network: {code} {text}"
        for code in ("452 4.5.3", "450 4.7.1")
    ]


@pytest.mark.parametrize("guard", ["greylist", "lists"])
def test_what_a_guard_refuses_is_told(guard: str) -> None:
    guards = Guards(lists=["bl.example"]) if guard == "lists" else Guards(greylist=Greylist())
    site = Guarded(guards, LIST)
    [reply] = site.replies(BOB)
    assert [str(it) for it in site.events] == [f"192.0.2.1: {BOB} refused by {guard}: {reply}"]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"user": "1/h"}, "You have sent to too many recipients"),
        ({"user": {"ann": "1/h", "*": "9/h"}}, "You have sent to too many recipients"),
        ({"sender": "1/h"}, "This sender has sent to too many recipients"),
        ({"recipient_domain": {"Example.org": "1/h"}}, "Too many messages for this domain"),
    ],
)
def test_users_senders_and_domains_have_limits_too(limits: dict[str, Any], text: str) -> None:
    site = Guarded(Guards(receive=ReceiveLimits(**limits)), **LOGIN)
    assert site.replies(BOB, CAROL)[1] == f"452 4.5.3 {text}; try again in 3600 seconds"


def test_other_names_have_other_limits() -> None:
    limits = ReceiveLimits(user={"bob": "1/h"}, recipient_domain={"example.net": "1/h"})
    assert accepted(Guarded(Guards(receive=limits), **LOGIN).replies(BOB, CAROL)) == [True] * 2


def test_users_and_trusted_networks_are_not_met_by_the_guards_of_strangers() -> None:
    guards = Guards(receive=ReceiveLimits(network="1/h"), greylist=Greylist(), lists=["bl.example"])
    for options in (LOGIN, {"relay_from": INSIDE}):
        assert accepted(Guarded(guards, LIST, **options).replies(BOB, CAROL)) == [True] * 2


def test_a_stranger_cannot_use_up_the_limit_of_a_sender() -> None:
    site = Guarded(Guards(receive=ReceiveLimits(sender="1/h", user="1/h")))
    assert accepted(site.replies(BOB, CAROL)) == [True] * 2


def test_a_recipient_that_is_refused_anyway_costs_nothing() -> None:
    site = Guarded(Guards(receive=ReceiveLimits(network="1/h")))
    assert accepted(site.replies("cat@elsewhere.test", BOB)) == [False, True]


def test_an_exempt_network_is_left_alone() -> None:
    guards = Guards(
        connections="1/h",
        receive=ReceiveLimits(network="1/h"),
        greylist=Greylist(),
        lists=["bl.example"],
        exempt=["192.0.2.0/28"],
    )
    site = Guarded(guards, LIST)
    assert accepted(site.replies(BOB, CAROL) + site.replies(DAVE)) == [True] * 3


def test_connections_beyond_a_limit_are_greeted_with_421() -> None:
    site = Guarded(Guards(connections="3/m, 2 at once"))

    async def scenario(client: Client) -> str:
        second = await open_client(site.simulation, "mx.example.org", 25, ClientConfig(hello="a"))
        with pytest.raises(SMTPError, match="421") as caught:
            await open_client(site.simulation, "mx.example.org", 25, ClientConfig(hello="a"))
        await second.quit()
        third = await open_client(site.simulation, "mx.example.org", 25, ClientConfig(hello="a"))
        await third.quit()
        with pytest.raises(SMTPError, match=r"try again in 20 seconds"):
            await open_client(site.simulation, "mx.example.org", 25, ClientConfig(hello="a"))
        return str(caught.value.reply)

    text = "421 mx.example.org Too many connections from your network; try again in 2 seconds"
    assert site.run(scenario) == text
    assert str(site.events[0]) == f"192.0.2.1: refused by connections: {text}".replace(
        "421 mx.example.org", "421 4.7.0"
    )


def test_a_connection_counts_no_more_wherever_its_hook_was_cancelled() -> None:
    @coroutine
    def pause() -> Iterator[None]:
        yield

    class Slow(MemoryStates):
        async def update(self, keys: Sequence[str], change: Any, runtime: Any) -> Any:
            await pause()
            found = self._update(keys, change, 1000.0)
            await pause()
            return found

    def finish(hook: Any) -> Verdict:
        with pytest.raises(StopIteration) as ended:
            while True:
                hook.send(None)
        value: Verdict = ended.value.value
        return value

    session = Session(peer=("192.0.2.1", 1))
    for steps in range(4):
        site = Guarded(Guards(store=Slow(), connections="1 at once"))
        first, second = (site.guarding.guard(Receiver(site.intake)) for _ in range(2))
        asked: Any = first.connect(session)
        with suppress(StopIteration):
            for _ in range(steps):
                asked.send(None)
        asked.close()
        finish(first.close(session))
        assert finish(second.connect(session)) is None


def test_a_client_that_xclient_states_takes_the_place_of_the_one_before() -> None:
    site = Guarded(Guards(connections="1 at once"))

    async def scenario(client: Client) -> list[Any]:
        receiver: Any = site.guarding.guard(Receiver(site.intake))
        session = Session(peer=("198.51.100.1", 1))
        replies = [await receiver.connect(session) for _ in range(2)]
        await receiver.close(session)
        return [*replies, await receiver.connect(session)]

    assert site.run(scenario) == [None, None, None]


# -- greylisting -----------------------------------------------------------------------------


def test_a_stranger_comes_again_after_the_seconds_that_the_reply_says() -> None:
    site = Guarded(Guards(greylist=Greylist(delay=200)))

    async def scenario(client: Client) -> list[list[bool]]:
        found = [await transaction(client, [BOB, POSTMASTER])]
        assert found[0][0] == (
            "451 4.7.1 Greylisted, because you are not known here; try again in 200 seconds"
        )
        for seconds in (150, 50):
            await site.simulation.sleep(seconds)
            found.append(await transaction(client, [BOB]))
        return [accepted(it) for it in found]

    assert site.run(scenario) == [[False, True], [False], [True]]


def test_an_exempt_recipient_gets_mail_at_once() -> None:
    guards = Guards(
        greylist=Greylist(), lists=["bl.example"], exempt_recipients=["Carol@Example.org"]
    )
    site = Guarded(guards, {**LIST, "1.2.0.192.bl.example": {}})
    assert accepted(site.replies(BOB, CAROL)) == [False, True]


# -- lists -----------------------------------------------------------------------------------


def test_a_listed_client_is_refused_with_the_words_of_the_list_but_by_no_postmaster() -> None:
    site = Guarded(Guards(lists=["bl.example"]), LIST)
    refusal, taken = site.replies(BOB, POSTMASTER)
    assert refusal == (
        r"554 5.7.1 192.0.2.1 is listed by bl.example (Sends\tspam, see https://bl.example/2);"
        " ask there to be removed, or write to the postmaster"
    )
    assert accepted([taken]) == [True]


def test_a_listed_sender_is_refused() -> None:
    listed = {Kind.A: ["127.0.1.2"]}
    records = {"test.dbl.example": listed, "example.com.dbl.example": listed}
    site = Guarded(Guards(lists=[DNSList("dbl.example", domains=True)]), records)
    assert site.replies(BOB)[0].startswith("554 5.7.1 example.com is listed by dbl.example;")
    assert accepted(site.replies(BOB, sender="ann@example.net")) == [True]


def test_weights_add_up_and_a_list_of_good_hosts_takes_away() -> None:
    good = {"2.0.0.127.good.example": LISTED, "1.2.0.192.good.example": LISTED}
    bad = DNSList("bl.example", weight=1.5)
    assert accepted(Guarded(Guards(lists=[bad], refuse_at=2), LIST).replies(BOB)) == [True]
    lists = [bad, DNSList("good.example", weight=-1)]
    assert accepted(Guarded(Guards(lists=lists), LIST | good).replies(BOB)) == [True]
    assert accepted(Guarded(Guards(lists=lists), LIST).replies(BOB)) == [False]


def test_a_list_that_does_not_answer_holds_up_one_client_only() -> None:
    site = Guarded(Guards(lists=["bl.example", "slow.example"], lists_timeout=3), LIST)
    site.zone.moods["2.0.0.127.slow.example"] = Mood(Status.FAILED, delay=60)

    async def scenario(client: Client) -> list[float]:
        times = []
        for number in range(2):
            began = site.simulation.now()
            replies = await transaction(client, [BOB], f"ann{number}@example.com")
            times.append(site.simulation.now() - began)
            assert accepted(replies) == [False]
        return times

    assert site.run(scenario) == [3, 0]


# -- the rest --------------------------------------------------------------------------------


class Broken(MemoryStates):
    async def update(self, *arguments: Any) -> Any:
        raise StatesFailed("the disk is full")


def test_mail_is_taken_while_the_store_of_the_guards_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guards = Guards(
        store=Broken(), connections="1/h", receive=ReceiveLimits(network="1/h"), greylist=Greylist()
    )
    assert accepted(Guarded(guards).replies(BOB, CAROL)) == [True, True]
    assert "the disk is full" in caplog.text


def test_guards_are_asked_whatever_a_receiver_defines() -> None:
    class Own(Receiver):
        def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Hook:
            return None

        async def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Reply | None:
            return None if recipient == BOB else Reply(550, "5.1.1", "Nobody")

    site = Guarded(Guards(receive=ReceiveLimits(network="1/h")), kind=Own)
    assert accepted(site.replies(CAROL, BOB, BOB.upper())) == [False, True, False]
    assert accepted(site.replies(BOB)) == [False]


def test_without_guards_a_receiver_is_left_as_it_is() -> None:
    site = Site()
    receiver = Receiver(site.intake)
    Guarding(site.simulation, Zone({}), Guards(store=MemoryStates()), print).guard(receiver)
    assert "rcpt" not in vars(receiver)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lists": "bl.example"}, r"lists cannot be a str; pass \['bl.example'\]"),
        ({"exempt_recipients": "a@b.test"}, "exempt_recipients cannot be a str"),
        ({"connections": "many"}, "not a limit: 'many'"),
        ({"prefixes": (33, 48)}, "prefixes must be 0 to 32"),
        ({"greylist": True}, "greylist cannot be of the type bool"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        Guards(**options)


def test_a_number_at_once_is_refused_where_nothing_goes_on() -> None:
    with pytest.raises(ValueError, match="network cannot have a number at once"):
        ReceiveLimits(network="1/h, 5 at once")
