"""What a mail agent's server accepts, from whom, and what it then has in its queue."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import (
    Anonymous,
    Authenticator,
    ByMode,
    Client,
    DeliverBy,
    Envelope,
    ForwardPath,
    MailParameters,
    Notify,
    PlainPasswords,
    RcptParameters,
    Reply,
    ReversePath,
    SendRefused,
    Session,
)
from smtpproto.errors import QueueFailed, QueueFull, SMTPError
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import State
from smtpproto.mta.route import Direct, Local, SmartHost
from smtpproto.mta.settlement import Hold
from smtpproto.mta.store import Queued
from smtpproto.policy import Inspection
from smtpproto.testing import Simulation, Zone
from smtpproto.testing.simulation import EPOCH
from smtpproto.transfer.receive import Check, Receiver
from smtpproto.transfer.relaying import Relaying
from tests.policy.signing import KEYS
from tests.support.receiving import ANN, BOB, INSIDE, MESSAGE, ROUTES, Site

ELSEWHERE = "cat@example.net"


def refusal(site: Site, recipient: str, sender: str = ANN) -> str:
    with pytest.raises(SendRefused) as caught:
        site.send(Envelope(sender, recipient))
    [reply] = caught.value.outcome.refused.values()
    assert site.queued() == []
    return str(reply)


# -- who may send to whom --------------------------------------------------------------------


def test_all_clients_may_send_to_recipients_whose_mail_is_delivered_here() -> None:
    assert Site().send(Envelope(ANN, BOB)).accepted


@pytest.mark.req("RFC5321-3.6.2-01")
def test_a_stranger_may_not_relay() -> None:
    assert refusal(Site(), ELSEWHERE) == "550 5.7.1 Relaying denied"


def test_a_client_in_a_trusted_network_may_relay() -> None:
    assert Site(INSIDE).send(Envelope(ANN, ELSEWHERE)).accepted


@pytest.mark.req("RFC4954-7-01")
def test_a_client_that_has_logged_in_may_relay() -> None:
    passwords = PlainPasswords({"ann": "secret"})
    site = Site(
        options={"authenticator": passwords, "auth_in_clear": True},
        client={"login": ("ann", "secret"), "login_in_clear": True, "tls": "none"},
    )
    assert site.send(Envelope(ANN, ELSEWHERE)).accepted
    [(entry, content)] = site.queued()
    assert (entry.message.origin, entry.message.authenticated) == ("ann", True)
    assert entry.message.client.endswith(", user ann")
    assert content.startswith(b"Received: ") and b"\r\n\twith ESMTPA\r\n" in content


@pytest.mark.req("RFC4954-5-04")
def test_a_message_names_no_user_who_says_that_its_sender_is_not_known() -> None:
    passwords = PlainPasswords({"agent7": "secret"})
    site = Site(
        options={"authenticator": passwords, "auth_in_clear": True},
        client={"login": ("agent7", "secret"), "login_in_clear": True, "tls": "none"},
    )
    assert site.send(Envelope(ANN, ELSEWHERE, MailParameters(auth=ReversePath(None)))).accepted
    [(entry, content)] = site.queued()
    assert entry.message.parameters.auth == ReversePath(None)
    assert b"agent7" not in content


class AllAreWelcome(Authenticator):
    def allow_anonymous(self, trace: str) -> bool:
        return True


def test_an_anonymous_login_does_not_let_a_client_relay() -> None:
    site = Site(
        options={"authenticator": AllAreWelcome(), "auth_in_clear": True},
        client={"login": Anonymous("me"), "login_in_clear": True, "tls": "none"},
    )
    assert refusal(site, ELSEWHERE) == "550 5.7.1 Relaying denied"
    assert site.send(Envelope(ANN, BOB)).accepted
    [(entry, _)] = site.queued()
    assert (entry.message.origin, entry.message.authenticated) == ("192.0.2.1/32", False)


def test_a_route_to_a_smart_host_does_not_make_its_domain_one_that_all_may_send_to() -> None:
    site = Site(routes={**ROUTES, "example.net": SmartHost("gateway.example.net")})
    assert refusal(site, ELSEWHERE) == "550 5.7.1 Relaying denied"


@pytest.mark.parametrize("domain", ["example.net", "EXAMPLE.net", ".net"])
def test_all_clients_may_send_to_the_domains_that_the_server_relays_for(domain: str) -> None:
    assert Site(relay_for=[domain]).send(Envelope(ANN, ELSEWHERE)).accepted


def test_relaying_for_all_domains_is_an_open_relay_and_refused() -> None:
    with pytest.raises(ValueError, match="open relay"):
        Relaying(relay_for=["*"])


def test_a_recipient_without_a_route_is_refused() -> None:
    for site in Site(INSIDE, routes={}), Site(relay_for=["example.net"], routes={}):
        assert refusal(site, ELSEWHERE) == "550 5.4.4 No route to this recipient"


def test_a_route_that_the_sender_decides_counts() -> None:
    site = Site(INSIDE, routes={}, by_sender={"example.com": Direct()})
    assert site.send(Envelope(ANN, ELSEWHERE)).accepted


def test_a_recipient_without_a_mailbox_here_is_refused_before_its_mail_is_taken() -> None:
    site = Site(routes={"example.org": Local(bool, lambda path: path.local_part == "ann")})
    assert refusal(site, "nobody@example.org") == "550 5.1.1 No such mailbox"
    assert site.send(Envelope(ANN, "ann@EXAMPLE.org")).accepted


def test_a_deliverer_may_know_its_mailboxes() -> None:
    class Boxes:
        def __call__(self, *_: object) -> None: ...

        def knows(self, recipient: ForwardPath) -> bool:
            return bool(recipient.local_part == "ann")

    site = Site(routes={"example.org": Local(Boxes())})
    assert refusal(site, "nobody@example.org") == "550 5.1.1 No such mailbox"
    assert site.send(Envelope(ANN, "ann@example.org")).accepted


def test_all_may_send_to_a_host_that_is_final() -> None:
    final = SmartHost("lmtp:///run/dovecot/lmtp", final=True)
    site = Site(routes={"example.org": final, "*": SmartHost("smtp.example.net")})
    assert refusal(site, ELSEWHERE).startswith("550 5.7.1")
    assert site.send(Envelope(ANN, "bob@example.org")).accepted


@pytest.mark.req("RFC5321-4.5.1-02")
@pytest.mark.parametrize("recipient", ["postmaster@example.org", "PostMaster@Example.Org"])
def test_the_postmaster_of_a_local_domain_needs_no_mailbox_of_its_own(recipient: str) -> None:
    site = Site(
        routes={"example.org": Local(bool, lambda path: path.local_part == "ann")},
        facts={"postmaster": Envelope(None, "ann@example.org").recipients[0].mailbox},
    )
    assert site.send(Envelope(ANN, recipient)).accepted
    [(entry, _)] = site.queued()
    assert str(entry.deliveries[0].recipient) == "ann@example.org"


# -- the postmaster --------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.5.1-02", "RFC5321-3.9.1-01", "RFC5321-3.9-05")
@pytest.mark.parametrize("recipient", ["Postmaster", "postMaster@mx.example.org"])
def test_mail_for_the_postmaster_of_this_server_goes_where_its_options_say(recipient: str) -> None:
    site = Site(facts={"postmaster": Envelope(None, ELSEWHERE).recipients[0].mailbox})
    assert site.send(Envelope(ANN, recipient)).accepted
    [(entry, content)] = site.queued()
    assert [str(it.recipient) for it in entry.deliveries] == [ELSEWHERE]
    assert str(entry.message.sender) == ANN
    assert content.startswith(b"Received: ") and content.endswith(MESSAGE)


def test_without_that_option_the_route_for_the_bare_postmaster_decides() -> None:
    assert Site(routes={**ROUTES, "": Local(bool)}).send(Envelope(ANN, "Postmaster")).accepted
    assert refusal(Site(), "Postmaster") == "550 5.1.1 No postmaster is configured"


def test_the_postmaster_of_a_local_domain_is_not_redirected() -> None:
    site = Site(
        routes={"mx.example.org": Local(bool)},
        facts={"postmaster": Envelope(None, ELSEWHERE).recipients[0].mailbox},
    )
    site.send(Envelope(ANN, "postmaster@mx.example.org"))
    [(entry, _)] = site.queued()
    assert str(entry.deliveries[0].recipient) == "postmaster@mx.example.org"


# -- what is in the queue --------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.4-01", "RFC5321-4.4-06", "RFC5321-3.6.3-05", "RFC5321-4.4-12")
@pytest.mark.req("RFC5321-4.1.1.4-11", "RFC5321-3.7.2-01", "RFC5321-3.7.2-05")
def test_the_content_in_the_queue_is_one_received_field_and_then_what_the_client_sent() -> None:
    site = Site()
    fields = b"Return-Path: <x@y.test>\r\nReceived: from a by b; x\r\nSubject: x\r\n"
    message = fields + b"\r\n.\r\n\xff\r\n"
    outcome = site.send(Envelope(ANN, BOB), message)
    [(entry, content)] = site.queued()
    received = content.removesuffix(message)
    assert len(received) + len(message) == len(content) == entry.message.size
    assert received.startswith(
        b"Received: from client.example ([192.0.2.1])\r\n\tby mx.example.org"
    )
    assert received.endswith(b"\r\n") and f"id {entry.message.id}".encode() in received
    assert received.count(b"\r\n") == received.count(b"\r\n\t") + 1
    assert str(outcome.accepted[BOB]) == f"250 2.0.0 Queued as {entry.message.id}"


@pytest.mark.parametrize("blank", [b" ", b"\t"])
@pytest.mark.parametrize("inspect", [None, Inspection(keys=KEYS)], ids=["plain", "inspected"])
def test_a_message_that_begins_with_a_blank_does_not_continue_the_received_field(
    blank: bytes, inspect: Inspection | None
) -> None:
    site = Site(facts={"inspect": inspect, "resolver": Zone({})})
    site.send(Envelope(ANN, BOB), blank + b"; Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: x@y.z\r\n")
    [(_, content)] = site.queued()
    header, _, body = content.partition(b"\r\n\r\n")
    assert body.startswith(blank + b"; Thu, 1 Jan 1970")
    assert b"1970" not in header.partition(b"Received: ")[2]


def test_the_message_keeps_its_envelope_and_its_parameters() -> None:
    site = Site(options={"extensions": {"DSN": ""}})
    parameters = RcptParameters(notify={Notify.FAILURE})
    envelope = Envelope(ANN, [BOB, "al@example.org"], MailParameters(envid="QQ"), {BOB: parameters})
    site.send(envelope)
    [(entry, _)] = site.queued()
    message, [first, second] = entry.message, entry.deliveries
    assert (str(message.sender), message.parameters.envid) == (ANN, "QQ")
    assert (str(first.recipient), first.parameters.notify) == (BOB, frozenset({Notify.FAILURE}))
    assert (str(second.recipient), second.parameters.notify) == ("al@example.org", None)
    assert (message.arrived, first.due, first.attempts) == (EPOCH, EPOCH, 0)
    assert message.expires == EPOCH + 5 * 86400


def test_equal_recipients_have_one_delivery() -> None:
    site = Site(facts={"postmaster": Envelope(None, BOB).recipients[0].mailbox})

    async def scenario(client: Client) -> None:
        await client.send(MESSAGE, Envelope(ANN, ["Postmaster", BOB]))

    site.run(scenario)
    [(entry, _)] = site.queued()
    assert [(it.number, str(it.recipient)) for it in entry.deliveries] == [(0, BOB)]


def test_the_agent_is_woken_after_each_message() -> None:
    site = Site()
    site.send(Envelope(ANN, BOB))
    assert site.woken == 1


def test_the_origin_is_the_network_of_a_client_that_has_not_logged_in() -> None:
    site = Site(INSIDE)
    site.send(Envelope(ANN, BOB))
    [(entry, _)] = site.queued()
    assert (entry.message.origin, entry.message.authenticated) == ("192.0.2.1/32", True)


def test_a_stranger_gets_no_reports_of_success() -> None:
    site = Site()
    site.send(Envelope(ANN, BOB))
    assert not site.queued()[0][0].message.authenticated


def test_a_return_at_a_time_that_by_sets_ends_the_life_of_the_message() -> None:
    site = Site(options={"extensions": {"DELIVERBY": ""}})
    by = DeliverBy(120, ByMode.RETURN)
    site.send(Envelope(ANN, BOB, MailParameters(by=by)))
    assert site.queued()[0][0].message.expires == EPOCH + 120


@pytest.mark.req("RFC8689-4.1-02")
def test_a_message_may_waive_tls_in_its_header() -> None:
    site = Site()
    site.send(Envelope(ANN, BOB), b"TLS-Required: No\r\n\r\n")
    site.send(Envelope(ANN, BOB), b"Subject: x\r\n\r\nTLS-Required: No\r\n")
    assert [it.message.tls_optional for it, _ in site.queued()] == [True, False]


@pytest.mark.req("RFC8689-4.1-02", "RFC8689-4.1-03", "RFC8689-4.1-04")
@pytest.mark.parametrize("required", [False, True])
def test_a_message_that_requires_tls_cannot_waive_it(required: bool) -> None:
    site = Site(facts={"postmaster": Envelope(None, ELSEWHERE).recipients[0].mailbox})
    envelope = Envelope(ANN, ["Postmaster", BOB], MailParameters(requiretls=required))

    async def scenario(client: Client) -> None:
        sink = site.receiver(site.intake).data(Session(peer=("192.0.2.1", 25)), envelope)
        await sink.write(b"TLS-Required: No\r\n\r\nhello\r\n")
        await sink.commit()

    site.run(scenario)
    [(entry, _)] = site.queued()  # one message, so one tag for the alias and the other recipient
    assert [str(it.recipient) for it in entry.deliveries] == [ELSEWHERE, BOB]
    assert entry.message.tls_optional == (not required)
    assert entry.message.parameters.requiretls == required


def test_a_message_that_is_held_for_the_future_is_not_due_before() -> None:
    site = Site()
    until = datetime.fromtimestamp(EPOCH + 7200, UTC)
    for parameters in (MailParameters(hold_for=7200), MailParameters(hold_until=until)):
        message, envelope = _message_of(site, parameters)
        [[queued]] = site.simulation.run(site.intake.recipients.deliveries(message, envelope))
        assert queued.due == message.not_before == EPOCH + 7200
        assert message.expires == EPOCH + 7200 + 5 * 86400


def _message_of(site: Site, parameters: MailParameters) -> Any:
    envelope = Envelope(ANN, BOB, parameters)
    return site.intake.message("m1", envelope, 10, "ann"), envelope


# -- loops and checks ------------------------------------------------------------------------


@pytest.mark.req("RFC5321-6.3-01", "RFC5321-6.3-02")
def test_a_message_with_more_than_a_hundred_received_fields_is_refused() -> None:
    site = Site()
    assert site.send(Envelope(ANN, BOB), b"Received: x\r\n" * 100 + b"\r\n").accepted
    with pytest.raises(SendRefused, match=r"554 5\.4\.6"):
        site.send(Envelope(ANN, BOB), b"Received: x\r\n" * 101 + b"\r\n")
    assert len(site.queued()) == 1


def test_a_message_that_was_delivered_to_its_recipient_before_is_refused() -> None:
    site = Site()
    with pytest.raises(SendRefused, match=r"554 5\.4\.6"):
        site.send(Envelope(ANN, BOB), b"Delivered-To: bob@example.org\r\n\r\n")
    assert site.send(Envelope(ANN, BOB), b"Delivered-To: al@example.org\r\n\r\n").accepted


class Checked(Receiver):
    verdict: Any = None

    async def check(self, session: Session, envelope: Envelope, header: bytes) -> Any:
        self.seen = header
        return self.verdict


def checked(verdict: object) -> type[Receiver]:
    return type("Checked", (Checked,), {"verdict": verdict})


def test_the_check_sees_the_header_section_alone() -> None:
    seen: list[bytes] = []

    class Watching(Receiver):
        def check(self, session: Session, envelope: Envelope, header: bytes) -> Check:
            seen.append(header)
            return None

    site = Site(receiver=Watching)
    site.send(Envelope(ANN, BOB), b"Subject: x\r\nTo: y\r\n\r\nbody\r\n\r\n")
    assert seen == [b"Subject: x\r\nTo: y\r\n"]


def test_a_check_may_refuse() -> None:
    site = Site(receiver=checked(Reply(550, "5.7.1", "No")))
    with pytest.raises(SendRefused, match=r"550 5\.7\.1 No"):
        site.send(Envelope(ANN, BOB))
    assert site.queued() == []


def test_a_check_may_hold() -> None:
    site = Site(receiver=checked(Hold("looks like spam")))
    assert site.send(Envelope(ANN, BOB)).accepted
    [delivery] = site.queued()[0][0].deliveries
    assert (delivery.state, delivery.reason) == (State.HELD, "looks like spam")


def test_a_check_may_accept_with_a_text_of_its_own() -> None:
    site = Site(receiver=checked(Reply(250, "2.6.0", "Thanks")))
    assert str(site.send(Envelope(ANN, BOB)).accepted[BOB]) == "250 2.6.0 Thanks"
    assert len(site.queued()) == 1


def test_a_check_that_returns_nonsense_refuses_for_now_and_stores_nothing() -> None:
    site = Site(receiver=checked(True))
    with pytest.raises(SendRefused, match="451"):
        site.send(Envelope(ANN, BOB))
    assert site.queued() == []


# -- the store fails -------------------------------------------------------------------------


class Failing(MemoryQueue):
    """Raises *error* where *where* says."""

    def __init__(self, where: str, error: QueueFailed) -> None:
        super().__init__()
        self.where, self.error, self.discarded = where, error, 0

    def body(self) -> Any:
        body, store = super().body(), self
        if self.where == "body":
            raise self.error

        class Body:
            size = property(lambda _: body.size)

            async def write(self, data: bytes) -> None:
                if store.where == "write" and body.size > 100:
                    raise store.error
                await body.write(data)

            async def prepend(self, data: bytes) -> None:
                await body.prepend(data)

            async def discard(self) -> None:
                store.discarded += 1
                await body.discard()

        return Body()

    async def put(self, messages: Sequence[Queued]) -> None:
        raise self.error


@pytest.mark.req("RFC5321-2.1-01")
@pytest.mark.parametrize("where", ["body", "write", "put"])
@pytest.mark.parametrize(
    ("error", "reply"),
    [(QueueFull("full"), r"452 4\.3\.1"), (QueueFailed("broken"), r"451 4\.3\.0")],
)
def test_a_store_that_fails_refuses_the_message_for_now(
    where: str, error: QueueFailed, reply: str
) -> None:
    store = Failing(where, error)
    site = Site(store=store)
    with pytest.raises(SendRefused, match=reply):
        site.send(Envelope(ANN, BOB), b"Subject: x\r\n\r\n" + b"x\r\n" * 100)
    assert store.discarded or where == "body"
    assert site.woken == 0


@pytest.mark.parametrize(
    ("message", "header"),
    [
        (b"Subject: x\r\n\r\nbody\r\n\r\nmore\r\n", b"Subject: x\r\n"),
        (b"\r\nbody\r\n\r\nmore\r\n", b""),
        (b"Subject: x\r\n", b"Subject: x\r\n"),
        (b"", b""),
    ],
)
def test_a_check_gets_the_header_section_and_nothing_of_the_body(
    message: bytes, header: bytes
) -> None:
    seen: list[bytes] = []

    class Looks(Receiver):
        def check(self, session: Session, envelope: Envelope, header: bytes) -> Check:
            seen.append(header)
            return None

    assert Site(receiver=Looks).send(Envelope(ANN, BOB), message).accepted
    assert seen == [header]


class Cancelled(BaseException):
    """What a cancelled task raises."""


class Interrupted(MemoryQueue):
    """A store whose caller is cancelled when the message is in the queue."""

    async def put(self, messages: Sequence[Queued]) -> None:
        await super().put(messages)
        raise Cancelled


def test_a_message_that_was_put_by_a_cancelled_task_is_delivered_without_delay() -> None:
    site = Site(store=Interrupted())
    with contextlib.suppress(Cancelled, SMTPError):
        site.send(Envelope(ANN, BOB))
    assert len(site.queued()) == site.woken == 1


@pytest.mark.req("RFC5321-2.1-01")
@given(st.data())
def test_what_was_answered_with_250_is_in_the_queue_wherever_the_connection_breaks(
    data: st.DataObject,
) -> None:
    cut = data.draw(st.integers(0, 60))
    site = Site(simulation=Simulation(data.draw(st.integers(0, 99)), cut_at=cut))
    accepted: list[Reply] = []

    async def scenario(client: Client) -> None:
        for _ in range(3):
            outcome = await client.send(MESSAGE, Envelope(ANN, BOB))
            accepted.extend(outcome.accepted.values())

    with contextlib.suppress(SMTPError):
        site.run(scenario)
    ids = {entry.message.id for entry, _ in site.queued()}
    assert {reply.text.rpartition(" ")[2] for reply in accepted} <= ids
    assert all(content.endswith(MESSAGE) for _, content in site.queued())
