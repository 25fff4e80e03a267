"""Aliases and forwarding, from RCPT over the queue to the next host and to reports."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import (
    Envelope,
    ForwardPath,
    Mailbox,
    MailParameters,
    Notify,
    OriginalRecipient,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
)
from smtpproto.errors import QueueFailed, SendRefused
from smtpproto.mta import SRS, Aliases, Delivery, Direct, Local, Message, Routes, SmartHost
from smtpproto.mta.report import read_report
from smtpproto.testing import Simulation
from smtpproto.transfer import Receiver, expansion
from smtpproto.transfer.assembly import RunningMTA
from smtpproto.transfer.receive import EXTENSIONS
from tests.support import receiving
from tests.support.hosts import Host
from tests.support.receiving import INSIDE, MESSAGE
from tests.transfer.test_accepted_mail import Relay
from tests.transfer.test_assembly import OURS

EVE = "eve@stranger.test"
SECRETS = SRS("example.org", secrets=["secret"])
HOME = {"example.org": Local(bool, lambda it: it.local_part.partition("+")[0] in ("ann", "bob"))}
SOURCE = {
    "info@example.org": "bob@example.org",
    "away@example.org": "bob@example.net",
    "team@example.org": ["ann@example.org", "bob@example.org", "bob@example.net"],
    "nobody@example.org": [],
    "a@loop.test": "b@loop.test",
    "b@loop.test": "a@loop.test",
    "@catch.test": "ann@example.org",
    "@old.test": "@example.org",
}


# -- RCPT ----------------------------------------------------------------------------------------


def site(aliases: Any = SOURCE, **options: Any) -> receiving.Site:
    facts = {"aliases": aliases if isinstance(aliases, Aliases) else Aliases(aliases)}
    extra = options.pop("facts", {})
    return receiving.Site(routes={**HOME, "*": Direct()}, facts=facts | extra, **options)


def refusal(at: receiving.Site, recipient: str, sender: str = EVE) -> str:
    """Return why *recipient* is refused; "" if it is accepted."""
    try:
        at.send(Envelope(sender, recipient))
    except SendRefused as error:
        return str(error.outcome.refused[recipient])
    return ""


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("info@example.org", ""),
        ("INFO+x@EXAMPLE.ORG", ""),
        ("away@example.org", ""),
        ("ann+x@example.org", ""),
        ("anybody@catch.test", ""),
        ("ann@old.test", ""),
        ("postmaster@loop.test", "550 5.1.1 No such mailbox"),
        ("typo@example.org", "550 5.1.1 No such mailbox"),
        ("nobody@example.org", "550 5.1.1 No such mailbox"),
        ("other@loop.test", "550 5.1.1 No such mailbox"),
        ("a@loop.test", "550 5.4.6 The aliases of this address lead back to it"),
        ("bob@example.net", "550 5.7.1 Relaying denied"),
        ("Postmaster", "550 5.1.1 No postmaster is configured"),
    ],
)
def test_strangers_may_write_to_aliases_and_get_550_before_data_for_what_nobody_knows(
    recipient: str, reply: str
) -> None:
    at = site()
    assert refusal(at, recipient) == reply
    assert len(at.queued()) == (not reply)


def test_a_mailbox_comes_before_the_catch_all_address_and_an_alias_before_the_mailbox() -> None:
    at = site({"ann@example.org": "bob@example.org", "@example.org": "ann@example.net"})
    for recipient, target in {"bob": "bob@example.org", "typo": "ann@example.net"}.items():
        at.send(Envelope(EVE, f"{recipient}@example.org"))
        assert str(at.queued()[-1][0].deliveries[0].recipient) == target
    at.send(Envelope(EVE, "ann@example.org"))
    assert str(at.queued()[-1][0].deliveries[0].recipient) == "bob@example.org"


@pytest.mark.parametrize(
    "recipient", ["postmaster@example.org", "postmaster@catch.test", "Postmaster"]
)
def test_the_postmaster_comes_before_the_catch_all_address(recipient: str) -> None:
    at = site(facts={"postmaster": Mailbox.parse("bob@example.org")})
    at.send(Envelope(EVE, recipient))
    assert str(at.queued()[0][0].deliveries[0].recipient) == "bob@example.org"


def test_the_bare_postmaster_may_be_an_alias() -> None:
    at = site({"postmaster": "info@example.org", "info@example.org": "bob@example.org"})
    assert at.intake.recipients.takes_postmaster and refusal(at, "Postmaster") == ""
    assert not site().intake.recipients.takes_postmaster


def test_domains_of_others_are_not_looked_up() -> None:
    asked: list[str] = []
    at = site(Aliases(asked.append, domains=["virtual.test"]), relay_from=INSIDE)
    assert refusal(at, "bob@elsewhere.test") == ""
    assert asked == []
    assert refusal(at, "bob@virtual.test") == "550 5.1.1 No such mailbox"
    assert asked == ["bob@virtual.test", "@virtual.test"]


def test_an_alias_makes_no_domain_virtual_that_has_a_route_of_its_own() -> None:
    at = site({"info@route.test": "bob@example.org"}, relay_from=INSIDE)
    routes = Routes({"route.test": SmartHost("192.0.2.9"), **HOME})
    recipients = evolve(at.intake.recipients, routes=routes)

    async def ask(recipient: str) -> Reply | None:
        return await recipients.refusal(ForwardPath.of(recipient), lambda: True)

    for recipient in ("info@route.test", "other@route.test"):
        assert at.simulation.run(ask(recipient)) == [None]
        assert not recipients.is_ours(ForwardPath.of(recipient))


def looked_up(recipient: ForwardPath) -> None:
    """Return that *recipient* is no alias."""


class Disk:
    """A disk with mailboxes, that fails with an error."""

    error: OSError | None = None

    def knows(self, recipient: ForwardPath) -> bool:
        if self.error is not None:
            raise self.error
        return True


def gate(**facts: Any) -> receiving.Site:
    host = SmartHost("192.0.2.9", final=True, knows=lambda it: it.local_part == "ann")
    return receiving.Site(routes={"gate.test": host}, facts=facts)


@pytest.mark.parametrize("facts", [{}, {"aliases": Aliases({"info@gate.test": "ann@gate.test"})}])
def test_recipients_that_a_smart_host_does_not_have_are_refused_before_data(
    facts: dict[str, Any],
) -> None:
    at = gate(**facts)
    assert refusal(at, "ann@gate.test") == refusal(at, "postmaster@gate.test") == ""
    assert refusal(at, "typo@gate.test") == "550 5.1.1 No such mailbox"
    assert (refusal(at, "info@gate.test") == "") == bool(facts)


@pytest.mark.parametrize("facts", [{}, {"aliases": Aliases(SOURCE)}], ids=["alone", "aliases"])
def test_clients_that_may_relay_learn_whom_a_smart_host_does_not_have(
    facts: dict[str, Any],
) -> None:
    host = SmartHost("192.0.2.9", knows=lambda it: it.local_part == "ann")
    at = receiving.Site(routes={"gate.test": host}, facts=facts, relay_from=INSIDE)
    assert refusal(at, "ann@gate.test") == ""
    assert refusal(at, "typo@gate.test") == "550 5.1.1 No such mailbox"


@pytest.mark.parametrize("aliases", [None, SOURCE, looked_up], ids=["alone", "table", "function"])
def test_recipients_whose_mailboxes_cannot_be_looked_up_are_asked_to_try_again(
    aliases: Any, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    facts = {} if aliases is None else {"aliases": Aliases(aliases, domains=["virtual.test"])}
    at = receiving.Site(routes={"example.org": Local(bool, disk.knows)}, facts=facts)
    assert refusal(at, "ann@example.org") == ""
    disk.error = OSError(errno.EIO, "Input/output error")
    assert refusal(at, "ann@example.org").startswith("451 4.3.0 The address cannot be looked up")
    assert "whether ann@example.org has a mailbox is not known: " in caplog.text
    assert "Traceback" not in caplog.text


def test_recipients_that_a_smart_host_has_come_before_the_catch_all_address() -> None:
    at = gate(aliases=Aliases({"@gate.test": "postmaster@gate.test"}))
    for recipient in ("ann@gate.test", "typo@gate.test"):
        at.send(Envelope(EVE, recipient))
    targets = [str(entry.deliveries[0].recipient) for entry, _ in at.queued()]
    assert targets == ["ann@gate.test", "postmaster@gate.test"]


def test_an_alias_may_be_in_a_domain_whose_mail_is_passed_on() -> None:
    at = site({"info@gate.test": "bob@example.org"}, relay_for=["gate.test"])
    assert refusal(at, "info@gate.test") == refusal(at, "other@gate.test") == ""
    targets = {str(it.recipient) for entry, _ in at.queued() for it in entry.deliveries}
    assert targets == {"bob@example.org", "other@gate.test"}


@pytest.mark.parametrize("fails", ["raises", "waits", "wrong"])
def test_a_function_that_fails_or_takes_too_long_is_a_reason_to_try_again(fails: str) -> None:
    simulation = Simulation(1)

    async def find(key: str) -> Any:
        if fails == "waits":
            await simulation.sleep(60)
        if fails == "raises":
            raise OSError("no database")
        return ["not an address"]

    at = site(find, simulation=simulation)
    assert refusal(at, "ann@example.org")[:9] == "451 4.3.0"
    assert simulation.now() < 15


def test_slow_aliases_of_many_recipients_do_not_let_the_client_wait_for_long() -> None:
    simulation = Simulation(1)
    asked: list[str] = []

    async def find(key: str) -> list[str] | None:
        if key == "bob@example.org":
            return None
        asked.append(key)
        await simulation.sleep(9 if len(asked) > 15 else 0)
        return ["bob@example.org"]

    at = site(find, simulation=simulation)
    recipients = [f"list{number}@example.org" for number in range(15)]
    with pytest.raises(SendRefused) as caught:
        at.send(Envelope(EVE, recipients))
    assert str(caught.value.outcome.refused[recipients[0]])[:9] == "451 4.3.0"
    assert 120 < simulation.now() < 140
    assert at.queued() == []


@pytest.mark.parametrize("stays", [False, True])
def test_slow_aliases_are_asked_for_pipelined_recipients_one_at_a_time_and_not_for_ever(
    stays: bool,
) -> None:
    simulation = Simulation(1)
    calls, running, most = 0, 0, 0

    async def find(key: str) -> list[str] | None:
        nonlocal calls, running, most
        if key == "bob@example.org":
            return None
        calls, running = calls + 1, running + 1
        most = max(most, running)
        await simulation.sleep(9)
        running -= 1
        return ["bob@example.org"]

    site(find, simulation=simulation)
    transaction = b"MAIL FROM:<>\r\n" + b"RCPT TO:<info@example.org>\r\n" * 900 + b"RSET\r\n"

    async def client() -> bytes:
        stream = await simulation.dial("mx.example.org", 25, None)
        await stream.write(b"EHLO client.example\r\n" + transaction * 100, None)
        last = b""
        while stays and (octets := await stream.read(None)):
            last = octets
        await stream.close()
        return last

    [last] = simulation.run(client())
    assert (calls, most) == (3600 // 9 + 1, 1) and simulation.now() < 3700
    assert b"421 4.4.2" in last or not stays


def test_a_function_that_fails_at_the_end_of_the_message_has_accepted_nothing() -> None:
    known = [["bob@example.org"]]
    at = site(lambda key: known.pop())
    with pytest.raises(SendRefused) as caught:
        at.send(Envelope(EVE, "info@example.org"))
    assert str(caught.value.outcome.refused["info@example.org"])[:9] == "451 4.3.0"
    assert at.queued() == []


# -- what is forwarded ---------------------------------------------------------------------------


class Forwarding(Relay):
    """An MTA for example.org, whose other mail goes to the host ``hop``."""

    def __init__(self, aliases: Any = SOURCE, hop: Host | None = None, **options: Any) -> None:
        self.delivered: list[tuple[Message, Sequence[Delivery]]] = []
        local = Local(lambda message, its, _: self.delivered.append((message, its)), _is_known)
        options = {"srs": SECRETS, "aliases": aliases} | options
        super().__init__({"example.org": local}, hop=hop, **options)

    def serve(self, mail: RunningMTA) -> None:
        config = ServerConfig(hostname="mx.example.org", extensions=EXTENSIONS)
        self.simulation.listen(25, Receiver(mail.intake), config, OURS)


def _is_known(path: ForwardPath) -> bool:
    return path.local_part in ("ann", "bob")


def test_mail_that_leaves_by_an_alias_has_a_sender_of_ours_and_reports_go_back_once() -> None:
    at = Forwarding()
    at.pass_through(Envelope("Eve@Stranger.test", "away@example.org"), MESSAGE)
    [(envelope, content)] = at.hop.received
    sender = envelope.sender
    assert str(sender).startswith("SRS0=") and str(sender).endswith("=Eve@example.org")
    assert [*map(str, envelope.recipients)] == ["bob@example.net"]
    assert content.startswith(b"Delivered-To: away@example.org\r\nReceived: ")
    assert content.endswith(MESSAGE)
    assert sender.mailbox is not None
    back = Forwarding()
    back.pass_through(Envelope("", [ForwardPath(sender.mailbox)]), b"Subject: no\r\n\r\nno\r\n")
    [(envelope, _)] = back.hop.received
    assert (str(envelope.sender), [*map(str, envelope.recipients)]) == ("", ["Eve@stranger.test"])


def test_one_message_serves_mailboxes_here_and_addresses_elsewhere() -> None:
    at = Forwarding()
    at.pass_through(Envelope(EVE, ["team@example.org", "carol@example.net"]), MESSAGE)
    [(message, deliveries)] = at.delivered
    assert (str(message.sender), len(deliveries)) == (EVE, 2)
    by_recipient = {str(it.recipients[0]): (it, content) for it, content in at.hop.received}
    assert by_recipient.keys() == {"bob@example.net", "carol@example.net"}
    direct, content = by_recipient["carol@example.net"]
    assert str(direct.sender) == EVE and content.startswith(b"Received: ")
    forwarded, content = by_recipient["bob@example.net"]
    assert str(forwarded.sender).startswith("SRS0=")
    assert content.startswith(b"Delivered-To: team@example.org\r\n")


def test_senders_in_domains_for_which_this_server_only_relays_are_rewritten() -> None:
    at = Forwarding(relay_for=["gate.test"])
    at.pass_through(Envelope("ann@gate.test", "away@example.org"), MESSAGE)
    assert str(at.hop.received[0][0].sender).endswith("=gate.test=ann@example.org")


@pytest.mark.parametrize("sender", ["ann@example.org", "", "x@loop.test"])
def test_senders_of_ours_and_the_null_sender_remain(sender: str) -> None:
    at = Forwarding()
    at.pass_through(Envelope(sender, "away@example.org"), MESSAGE)
    assert [str(envelope.sender) for envelope, _ in at.hop.received] == [sender]


@pytest.mark.req("RFC5321-3.9-04")
def test_without_srs_an_alias_replaces_the_recipient_alone() -> None:
    at = Forwarding(srs=None)
    at.pass_through(Envelope(EVE, "away@example.org"), MESSAGE)
    assert [str(envelope.sender) for envelope, _ in at.hop.received] == [EVE]


def test_a_long_message_is_forwarded_with_its_size() -> None:
    at = Forwarding()
    content = MESSAGE + b"line\r\n" * 100_000
    at.pass_through(Envelope(EVE, "away@example.org"), content)
    [(_, received)] = at.hop.received
    assert received.endswith(content) and at.hop.mails[0].size in (None, len(received))


@pytest.mark.req("RFC3461-5.2.1-02")
@pytest.mark.parametrize("given", [None, OriginalRecipient("rfc822", "First@elsewhere.test")])
def test_the_next_host_learns_to_whom_the_client_has_sent_it(
    given: OriginalRecipient | None,
) -> None:
    at = Forwarding({"away@example.org": "info@example.org", "info@example.org": "bob@example.net"})
    parameters = RcptParameters(orcpt=given)
    envelope = Envelope(EVE, "away@example.org", MailParameters(), parameters)
    at.pass_through(envelope, MESSAGE)
    [(envelope, content)] = at.hop.received
    [path] = envelope.recipients
    expected = given or OriginalRecipient("rfc822", "away@example.org")
    assert envelope.parameters_of(path).orcpt == expected
    assert content.startswith(
        b"Delivered-To: away@example.org\r\nDelivered-To: info@example.org\r\n"
    )


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("SRS0=aaaa=JT=stranger.test=eve@example.org", "550 5.1.1 No such mailbox"),
        ("srs1=aaaa=b.test==aaaa=JT=stranger.test=eve@example.org", "550 5.1.1 No such mailbox"),
        ("SRS0=x@example.org", "550 5.1.1 No such mailbox"),
    ],
)
def test_forged_addresses_of_srs_are_refused(recipient: str, reply: str) -> None:
    assert refusal(site(facts={"srs": SECRETS}), recipient, "") == reply


def test_only_reports_may_go_to_an_address_of_srs() -> None:
    at = site(facts={"srs": SECRETS})
    path = SECRETS.forward(ReversePath.of(EVE), at.simulation.utc())
    assert refusal(at, str(path), "") == ""
    assert refusal(at, str(path), EVE)[:9] == "550 5.7.1"
    assert refusal(at, str(path), "ann@example.org")[:9] == "550 5.7.1"
    by_alias = str(path).replace("@example.org", "@old.test")
    assert refusal(at, by_alias, EVE)[:9] == "550 5.7.1"
    assert len(at.queued()) == 1


def test_the_addresses_of_one_message_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "_MOST_TARGETS", 8)
    at = site({"list@example.org": ["ann@example.org", "bob@example.org"]})
    recipients = [f"list+{number}@example.org" for number in range(5)]
    with pytest.raises(SendRefused) as caught:
        at.send(Envelope(EVE, recipients))
    assert str(caught.value.outcome.refused[recipients[0]])[:9] == "451 4.3.0"
    at.send(Envelope(EVE, recipients[:4]))
    assert [len(entry.deliveries) for entry, _ in at.queued()] == [8]


@pytest.mark.parametrize("trusted", [False, True])
def test_strangers_who_claim_a_sender_do_not_use_its_relay(trusted: bool) -> None:
    relays = {"example.org": SmartHost("192.0.2.77", 25, tls="none")}
    at = Forwarding(by_sender=relays, relay_from=["0.0.0.0/0"] if trusted else [])
    at.pass_through(Envelope("ann@example.org", "away@example.org"), MESSAGE)
    assert ("192.0.2.77" in at.simulation.dialled) == trusted


# -- reports -------------------------------------------------------------------------------------


def report_on(at: Forwarding) -> tuple[Envelope, bytes, Any]:
    [(envelope, content)] = [it for it in at.hop.received if it[0].sender.mailbox is None]
    report = read_report(content)
    assert report is not None
    return envelope, content, report.recipients


@pytest.mark.req("RFC3464-2.3.2-01", "RFC3461-6.3-04")
def test_a_failure_is_reported_to_the_sender_and_hides_where_the_alias_leads() -> None:
    said = Reply(550, "5.2.2", "<Bob@example.net> is over quota")
    at = Forwarding(hop=Host(refuse_rcpt={"bob": said}))
    at.pass_through(Envelope(EVE, "Away@example.org"), MESSAGE)
    envelope, content, [status] = report_on(at)
    assert [*map(str, envelope.recipients)] == [EVE]
    assert status.final_recipient.value == "Away@example.org" and status.original_recipient is None
    assert str(status.status) == "5.2.2" and b"<Away@example.org> is over quota" in content
    assert b"bob@example.net" not in content.lower()


@pytest.mark.parametrize("said", ["no bob here", "bob%example.net?", "mx.EXAMPLE.net knows no Bob"])
def test_a_report_names_no_part_of_the_forwarding_address_and_no_host(
    said: str,
) -> None:
    at = Forwarding(hop=Host(refuse_rcpt={"bob": Reply(550, "5.1.1", said)}))
    at.pass_through(Envelope(EVE, "away@example.org"), MESSAGE)
    _, content, [status] = report_on(at)
    assert status.remote_mta is None and str(status.status) == "5.1.1"
    assert b"bob" not in content.lower() and b"example.net" not in content.lower()


def test_the_mailbox_of_a_list_that_fails_is_told_of_by_the_name_of_the_list() -> None:
    at = Forwarding(hop=Host(refuse_rcpt={"bob": Reply(550, "5.1.1", "Unknown")}))
    at.pass_through(Envelope(EVE, "team@example.org"), MESSAGE)
    _, content, [status] = report_on(at)
    assert status.final_recipient.value == "team@example.org"
    assert b"bob@example.net" not in content and len(at.delivered[0][1]) == 2


def test_a_list_reports_that_it_was_expanded_and_its_members_no_success() -> None:
    at = Forwarding()
    parameters = RcptParameters(notify={Notify.SUCCESS, Notify.FAILURE})
    envelope = Envelope(EVE, "team@example.org", MailParameters(envid="QQ"), parameters)
    at.pass_through(envelope, MESSAGE)
    envelope, content, [status] = report_on(at)
    assert (status.action.value, status.final_recipient.value) == ("expanded", "team@example.org")
    assert b"Original-Envelope-Id: QQ\r\n" in content
    [forwarded] = [it for it, _ in at.hop.received if it.sender.mailbox is not None]
    [path] = forwarded.recipients
    assert forwarded.parameters_of(path).notify == frozenset({Notify.FAILURE})
    assert forwarded.parameters.envid == "QQ"


# -- loops over several hosts --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipients", "field"),
    [(["away@example.org"], "away"), (["ann@example.org"], "ann"), (["info@example.org"], "bob")],
)
def test_a_message_that_was_at_its_only_address_before_is_refused(
    recipients: list[str], field: str
) -> None:
    at = site()
    looped = f"Delivered-To: {field}@example.org\r\n".encode() + MESSAGE
    with pytest.raises(SendRefused) as caught:
        at.send(Envelope(EVE, recipients), looped)
    assert str(caught.value.outcome.refused[recipients[0]])[:9] == "554 5.4.6"
    assert at.queued() == []


def test_of_several_addresses_the_one_where_the_message_was_before_is_reported() -> None:
    at = Forwarding()
    looped = b"Delivered-To: away@example.org\r\n" + MESSAGE
    at.pass_through(Envelope(EVE, ["away@example.org", "ann@example.org"]), looped)
    envelope, _, [status] = report_on(at)
    assert status.final_recipient.value == "away@example.org" and str(status.status) == "5.4.6"
    assert [*map(str, envelope.recipients)] == [EVE] and len(at.delivered) == 1
    assert len(at.hop.received) == 1


# -- what the program sends ----------------------------------------------------------------------


def test_the_program_may_send_to_aliases_and_learns_by_a_report_what_nobody_knows() -> None:
    at = Forwarding()

    async def scenario(mail: RunningMTA) -> str | None:
        to = ["info@example.org", "away@example.org", "nobody@example.org", "a@loop.test"]
        to += ["typo@loop.test", "typo@example.org"]
        name = await mail.send(b"Subject: x\r\n\r\nx\r\n", Envelope(EVE, to))
        await at.simulation.sleep(30)
        return await mail.explain(name)

    story = at.run(scenario)
    assert "info@example.org -> bob@example.org was delivered" in story
    assert "away@example.org -> bob@example.net was accepted" in story
    _, _, statuses = report_on(at)
    assert {it.final_recipient.value: str(it.status) for it in statuses} == {
        "nobody@example.org": "5.1.1", "a@loop.test": "5.4.6",
        "typo@loop.test": "5.1.1", "typo@example.org": "5.1.1",
    }  # fmt: skip


def test_the_program_learns_that_aliases_cannot_be_looked_up() -> None:
    def find(key: str) -> list[str]:
        raise OSError("no database")

    at = Forwarding(find)

    async def scenario(mail: RunningMTA) -> None:
        with pytest.raises(QueueFailed, match=r"the aliases of ann@example\.org"):
            await mail.send(b"Subject: x\r\n\r\nx\r\n", Envelope(EVE, "ann@example.org"))

    at.run(scenario)


def test_mail_to_a_relay_of_a_domain_of_ours_keeps_its_sender() -> None:
    at = Forwarding({"info@gate.test": "bob@gate.test"}, relay_for=["gate.test"])
    at.pass_through(Envelope(EVE, "info@gate.test"), MESSAGE)
    assert [str(envelope.sender) for envelope, _ in at.hop.received] == [EVE]


# -- any aliases -----------------------------------------------------------------------------------

DOMAINS = ("example.org", "loop.test", "elsewhere.test")
ADDRESSES = st.builds("{}{}@{}".format, st.sampled_from("ab"), st.sampled_from(["", "+x"]),
                      st.sampled_from(DOMAINS))  # fmt: skip
ANY_DOMAIN = st.sampled_from(DOMAINS).map("@{}".format)
ALIASES = st.dictionaries(
    ADDRESSES | ANY_DOMAIN, st.lists(ADDRESSES | ANY_DOMAIN, max_size=3), max_size=8
)


@given(ALIASES, ADDRESSES)
def test_any_aliases_details_and_catch_all_addresses_come_to_an_end(
    source: dict[str, list[str]], recipient: str
) -> None:
    recipients = site(source).intake.recipients
    [expansion] = Simulation(1).run(recipients.expand(ForwardPath.of(recipient)))
    found = [str(it.path) for it in expansion.targets]
    assert len(found) == len({*found}) and bool(found) == (expansion.refusal is None)
    for target in expansion.targets:
        [again] = Simulation(1).run(recipients._find(target.path))
        assert again is None or target.path in again  # it is a mailbox, or elsewhere
        assert len({*target.via, target.path}) == len(target.via) + 1
