"""What the server of an MTA promises with 250, and what the next host then gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import (
    Client,
    ClientConfig,
    Envelope,
    MailParameters,
    OriginalRecipient,
    Outcome,
    RcptParameters,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.client import open_client
from smtpproto.errors import SendRefused
from smtpproto.mta import Delivery, Local, MemoryQueue, Message, Route, Selection, SmartHost
from smtpproto.mta.queue import State
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.settlement import Fate
from smtpproto.mta.store import Queued, QueueStore
from smtpproto.mta.trace import Tracer
from smtpproto.testing.simulation import SimulatedStream, Simulation
from smtpproto.transfer import Receiver
from smtpproto.transfer.assembly import RunningMTA
from smtpproto.transfer.receive import Check
from tests.support import receiving
from tests.support.crowd import Talker
from tests.support.hosts import Host
from tests.support.receiving import MESSAGE
from tests.transfer.test_assembly import ANN, BOB, CONTENT, OURS, THEIRS, Site

NOBODY, LATER = "nobody@example.org", "later@example.org"
NO_USER = Reply(550, "5.1.1", "No such user")
NEXT: Route = SmartHost(THEIRS, 25, tls="none")
YEAR_2300 = 10_413_792_000  # seconds since the epoch


class Mailboxes:
    """Keeps what is delivered to the mailboxes of this site."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def deliver(self, message: Message, deliveries: Sequence[Delivery], content: Any) -> None:
        self.contents.append(content if isinstance(content, bytes) else b"".join(content))


class Relay(Site):
    """An MTA with a server on port 25, from which all clients may send to all recipients."""

    def __init__(self, routes: dict[str, Route] | None = None, **options: Any) -> None:
        options = {"relay_from": ["0.0.0.0/0"]} | options
        super().__init__({"*": NEXT, **(routes or {})}, **options)
        self.receiver: type[Receiver] = Receiver

    def serve(self, mail: RunningMTA) -> None:
        """Listen on port 25."""
        config = ServerConfig(hostname="mx.example.org")
        self.simulation.listen(25, self.receiver(mail.intake), config, OURS)

    def pass_through(self, envelope: Envelope, content: bytes, wait: float = 30.0) -> Outcome:
        """Send a message to the server, and let the agent work for *wait* seconds. Return what the
        server answered."""

        async def scenario(mail: RunningMTA) -> Outcome:
            self.serve(mail)
            config = ClientConfig(tls="none")
            async with await open_client(self.simulation, OURS, 25, config) as client:
                outcome = await client.send(content, envelope)
            await self.simulation.sleep(wait)
            return outcome

        outcome: Outcome = self.run(scenario)
        return outcome


# -- responsibility --------------------------------------------------------------------------


@define(eq=False)
class SlowQueue(MemoryQueue):
    """Needs 20 seconds until a message is durable."""

    simulation: Simulation

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    async def put(self, messages: Sequence[Queued]) -> None:
        await self.simulation.sleep(20)
        await super().put(messages)


@pytest.mark.req("RFC5321-4.1.1.4-09")
def test_the_client_gets_250_only_when_the_message_is_in_the_queue() -> None:
    simulation = Simulation(1)
    site = receiving.Site(store=SlowQueue(simulation), simulation=simulation)

    async def scenario(client: Client) -> int:
        await client.send(MESSAGE, Envelope(ANN, BOB))
        assert simulation.now() >= 20
        return len(await site.store.find(Selection()))

    assert site.run(scenario) == 1


@pytest.mark.req("RFC5321-4.2.5-01", "RFC5321-4.4-15")
def test_each_accepted_recipient_is_relayed_or_waits_or_is_reported_to_the_sender() -> None:
    home = Mailboxes()
    refused = {
        "nobody": NO_USER, "later": Reply(451, "4.7.1", "Greylisted"),
    }  # fmt: skip
    site = Relay({"example.com": Local(home.deliver)}, hop=Host(refuse_rcpt=refused))

    async def scenario(mail: RunningMTA) -> Any:
        site.serve(mail)
        config = ClientConfig(tls="none")
        async with await open_client(site.simulation, OURS, 25, config) as client:
            outcome = await client.send(CONTENT, Envelope(ANN, [BOB, NOBODY, LATER]))
        await site.simulation.sleep(30)
        [name] = {reply.text.rpartition(" ")[2] for reply in outcome.accepted.values()}
        return outcome, await mail.status(name)

    outcome, entry = site.run(scenario)
    assert {reply.code for reply in outcome.accepted.values()} == {250}
    assert len(outcome.accepted) == 3
    assert {str(it.delivery.recipient): it.fate for it in entry.ended} == {
        BOB: Fate.RELAYED, NOBODY: Fate.FAILED,
    }  # fmt: skip
    assert [(str(it.recipient), it.state) for it in entry.deliveries] == [(LATER, State.WAITING)]
    assert site.hop.accepted == [BOB]
    [report] = home.contents
    assert re.findall(rb"Final-Recipient: rfc822; ?(\S+)", report) == [NOBODY.encode()]
    assert b"Action: failed" in report


@pytest.mark.req("RFC5321-4.2.5-02")
@pytest.mark.parametrize("reply", [Reply(451, "4.7.1", "Not now"), Reply(554, "5.7.1", "Spam")])
def test_no_attempt_is_made_to_deliver_a_message_that_was_refused(reply: Reply) -> None:
    class Refusing(Receiver):
        def check(self, session: Session, envelope: Envelope, header: bytes) -> Check:
            return reply

    site = Relay()
    site.receiver = Refusing

    async def scenario(mail: RunningMTA) -> int:
        site.serve(mail)
        config = ClientConfig(tls="none")
        async with await open_client(site.simulation, OURS, 25, config) as client:
            with pytest.raises(SendRefused):
                await client.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(86400)
        return (await mail.store.stats()).messages

    assert site.run(scenario) == 0
    assert site.hop.connections == 0


# -- what is sent on -------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.3-04", "RFC5321-C-01", "RFC5321-F.2-02")
@pytest.mark.req("RFC5321-3.6.1-03")
def test_source_routes_are_neither_followed_nor_sent_on(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Relay({"example.org": NEXT, "*": SmartHost("192.0.2.9", 25, tls="none")})
    written, write = list[bytes](), SimulatedStream.write

    async def record(stream: SimulatedStream, data: bytes, *more: Any) -> None:
        written.append(bytes(data))
        await write(stream, data, *more)

    async def scenario(mail: RunningMTA) -> None:
        site.serve(mail)
        client = Talker(await site.simulation.dial(OURS, 25, None))
        await client.reply()
        commands = (
            "EHLO client.example", "MAIL FROM:<@one.example,@two.example:ann@example.com>",
            "RCPT TO:<@mx.example.org,@far.example:bob@example.org>", "DATA",
        )  # fmt: skip
        assert (await client.ask(*commands)).startswith("354")
        monkeypatch.setattr(SimulatedStream, "write", record)
        await client.send(CONTENT + b".\r\n")
        assert (await client.reply()).startswith("250")
        await site.simulation.sleep(30)

    site.run(scenario)
    sent = b"".join(written)
    assert b"MAIL FROM:<ann@example.com>" in sent
    assert b"RCPT TO:<bob@example.org>" in sent
    assert not re.search(rb"(one|two|far)\.example", sent)
    assert site.simulation.dialled == [OURS, THEIRS]


@pytest.mark.req("RFC5321-6.4-02")
@pytest.mark.parametrize("content", [b"\r\nhello\r\n", b"From: Ann\r\nDate: soon\r\n\r\nhello\r\n"])
def test_a_relay_does_not_mend_a_message(content: bytes) -> None:
    site = Relay()
    site.pass_through(Envelope(ANN, BOB), content)
    [(_, body)] = site.hop.received
    received = body.removesuffix(content)
    assert received + content == body
    assert re.fullmatch(rb"Received: [^\r\n]*\r\n(\t[^\r\n]*\r\n)*", received)


@pytest.mark.req("RFC6409-8.8-01")
@pytest.mark.parametrize("local_part", ["Bob", "bob+Tag", '"bob  cat"', "b=o/b%c!d", '"a@b"'])
def test_local_parts_reach_the_next_host_as_they_were_given(local_part: str) -> None:
    site = Relay()
    site.pass_through(Envelope(ANN, f"{local_part}@example.org"), CONTENT)
    assert site.hop.accepted == [f"{local_part}@example.org"]


@pytest.mark.req("RFC6531-3.2-08")
def test_a_failure_of_a_recipient_with_a_utf_8_orcpt_is_reported_as_rfc_6533_says() -> None:
    home = Mailboxes()
    site = Relay({"example.com": Local(home.deliver)}, hop=Host(refuse_rcpt={"bob": NO_USER}))
    envelope = Envelope(
        ANN,
        BOB,
        MailParameters(smtputf8=True),
        RcptParameters(orcpt=OriginalRecipient("utf-8", "jö@example.net")),
    )

    async def scenario(mail: RunningMTA) -> None:
        outcome = await site.submit(mail, envelope, extensions={"DSN": "", "SMTPUTF8": ""})
        assert outcome.accepted
        await site.simulation.sleep(30)

    site.run(scenario)
    [report] = home.contents
    assert rb"Original-Recipient: utf-8; j\x{F6}@example.net" in report  # RFC 6533 3


@pytest.mark.req("RFC5321-4.5.2-05")
@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("size", [0, 100, 10_000, 60_000])  # in a row, a segment, an own file
def test_a_mailbox_gets_the_octets_that_the_client_sent(
    durable: bool, size: int, tmp_path: Path
) -> None:
    home = Mailboxes()
    site = Relay({"example.org": Local(home.deliver)})
    store: QueueStore = site.store
    if durable:
        limits = QueueLimits(reserve=0, row=1000, spool=20_000)
        store = SQLiteQueue(tmp_path / "queue.db", limits)
    site.store = store  # type: ignore[assignment]
    octets = site.simulation.random(size).translate(None, b"\r\n")
    lines = [b"From x", b".", b"", *(octets[at : at + 900] for at in range(0, size, 900))]
    content = b"Subject: octets\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    site.pass_through(Envelope(ANN, BOB), content)
    [delivered] = home.contents
    assert delivered.endswith(b"\r\n" + content)
    assert delivered.startswith(b"Received: ")


# -- dates -----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-F.5-01/server", "RFC5322-3.3-01")
@given(st.integers(0, YEAR_2300))
def test_the_date_of_a_received_field_has_a_year_of_four_digits(now: int) -> None:
    tracer, session = Tracer(hostname="mx.example.org"), Session(peer=("192.0.2.7", 4711))
    field = tracer.received(session, Envelope(ANN, BOB), now=now, queue_id="m1")
    assert re.search(rb";\r\n\t\w{3}, \d\d \w{3} [12]\d{3} \d\d:\d\d:\d\d [+-]\d{4}\r\n$", field)


@pytest.mark.req("RFC5321-F.5-01/client")
def test_the_date_that_is_added_to_a_message_has_a_year_of_four_digits() -> None:
    site = Relay()

    async def scenario(mail: RunningMTA) -> None:
        await mail.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(30)

    site.run(scenario)
    [(_, body)] = site.hop.received
    assert re.search(rb"(?m)^Date: \w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d [+-]\d{4}\r$", body)
