"""Postfix, both ways: our clients send to its mailboxes, and it relays to our servers."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from attrs import frozen

from interop.peers import (
    DOTS,
    FLAVOURS,
    PLAIN,
    Certificate,
    Inbox,
    free_port,
    running,
    send,
    serving,
    until,
)
from smtpproto import Envelope, ForwardPath, Reply, SendRefused, TLSMode

pytestmark = pytest.mark.peer("postfix")

SCRIPT = Path(__file__).with_name("postfix.sh")
TRACE = {b"Return-Path", b"X-Original-To", b"Delivered-To", b"Received"}  # what Postfix prepends


@frozen
class Postfix:
    """A Postfix that runs. Mail for ``<flavour>.test`` it relays to our server of that flavour,
    whose inbox is in *relayed*."""

    port: int
    mail: Path
    relayed: Mapping[str, Inbox]

    def delivered(self, user: str) -> bytes:
        """The next message for *user*, taken out of the mailbox, with the line ends it was sent
        with."""
        new = self.mail / user / "new"
        file = until(f"mail for {user}", lambda: next(iter(new.glob("*")), None))
        octets = file.read_bytes()
        file.unlink()
        assert b"\r" not in octets
        return octets.replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def postfix(program: Callable[[str], str], certificate: Certificate) -> Iterator[Postfix]:
    program("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix is started by root only")
    inboxes = {flavour: Inbox() for flavour in FLAVOURS}
    with contextlib.ExitStack() as stack:
        routes = [
            f"{flavour}.test={stack.enter_context(_next_hop(flavour, inbox, certificate))}"
            for flavour, inbox in inboxes.items()
        ]
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smtpproto-")))
        directory.chmod(0o755)  # the user postfix has to come in
        port = free_port()
        files = (certificate.chain, certificate.ca)
        command: list[str | Path] = ["bash", SCRIPT, directory, str(port), *files, *routes]
        pid_file, log = directory / "queue/pid/master.pid", directory / "log"
        stack.enter_context(running("Postfix", command, port, pid_file, log))
        yield Postfix(port, directory / "mail", inboxes)


def _next_hop(
    flavour: str, inbox: Inbox, certificate: Certificate
) -> contextlib.AbstractContextManager[int]:
    return serving(flavour, inbox, context=certificate.server, require_tls=True)


def below_trace(octets: bytes, content: bytes) -> None:
    """Nothing but Postfix's trace fields stands above *content*."""
    assert octets.endswith(content)
    fields = octets.removesuffix(content).replace(b"\r\n\t", b" ").splitlines()
    assert {field.partition(b":")[0] for field in fields} <= TRACE


@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["plain", "STARTTLS"])
def test_delivered_octet_for_octet(
    flavour: str, mode: TLSMode, content: bytes, postfix: Postfix, certificate: Certificate
) -> None:
    envelope = Envelope("ann@a.test", "alice@box.test")
    outcome = send(flavour, postfix.port, content, envelope, tls=mode, context=certificate.client)
    delivered = postfix.delivered("alice")
    below_trace(delivered, content)
    assert (b" with ESMTPS id " in delivered) is (mode is TLSMode.REQUIRED)
    assert outcome.reply is not None
    assert "queued as" in outcome.reply.text


def test_recipients_in_one_group_one_refused(flavour: str, postfix: Postfix) -> None:
    alice, nobody, bob = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no", "bob"))
    said: list[str] = []
    outcome = send(
        flavour,
        postfix.port,
        PLAIN,
        Envelope("ann@a.test", [alice, nobody, bob]),
        trace=lambda who, line: said.append(who + line[:4]),
    )
    group = [
        "CMAIL",
        "CRCPT",
        "CRCPT",
        "CRCPT",
        "CDATA",
        "S250 ",
        "S250 ",
        "S550 ",
        "S250 ",
        "S354 ",
    ]
    start = said.index("CMAIL")
    assert said[start : start + len(group)] == group
    assert set(outcome.accepted) == {alice, bob}
    assert set(outcome.refused) == {nobody}
    assert str(outcome.refused[nobody].enhanced) == "5.1.1"
    below_trace(postfix.delivered("alice"), PLAIN)
    below_trace(postfix.delivered("bob"), PLAIN)


def test_every_recipient_refused(flavour: str, postfix: Postfix) -> None:
    """DATA has left with the group, and Postfix answers it 554."""
    nobody = ForwardPath.of("no@box.test")
    with pytest.raises(SendRefused) as caught:
        send(flavour, postfix.port, PLAIN, Envelope("ann@a.test", nobody))
    assert caught.value.reply.code == 550
    assert set(caught.value.outcome.refused) == {nobody}


def test_delivered_to_address_in_utf8(flavour: str, postfix: Postfix) -> None:
    send(flavour, postfix.port, DOTS, Envelope("żółw@a.test", "jürgen@box.test"))
    delivered = postfix.delivered("jürgen")
    below_trace(delivered, DOTS)
    assert delivered.startswith("Return-Path: <żółw@a.test>\r\n".encode())


def test_relayed_octet_for_octet(flavour: str, content: bytes, postfix: Postfix) -> None:
    recipient = f"bob@{flavour}.test"
    send(flavour, postfix.port, content, Envelope("ann@a.test", recipient))
    arrival = postfix.relayed[flavour].next()
    below_trace(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", [recipient])
    assert str(arrival.session.hello) == "mx.postfix.test"
    assert arrival.session.tls is not None


def test_relayed_with_addresses_in_utf8(flavour: str, postfix: Postfix) -> None:
    recipient = f"jürgen@{flavour}.test"
    send(flavour, postfix.port, DOTS, Envelope("żółw@a.test", recipient))
    arrival = postfix.relayed[flavour].next()
    below_trace(arrival.body, DOTS)
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", [recipient])
    assert arrival.envelope.parameters.smtputf8


def test_more_recipients_than_the_window_holds(flavour: str, postfix: Postfix) -> None:
    recipients = [f"somebody-with-number-{n}@{flavour}.test" for n in range(500)]
    outcome = send(flavour, postfix.port, PLAIN, Envelope("ann@a.test", recipients))
    assert [str(path) for path in outcome.accepted] == recipients
    relayed: list[str] = []
    while len(relayed) < len(recipients):  # Postfix relays to 50 at a time
        arrival = postfix.relayed[flavour].next()
        below_trace(arrival.body, PLAIN)
        relayed += arrival.recipients
    assert sorted(relayed) == sorted(recipients)


def test_bounce_of_refused_recipient(flavour: str, postfix: Postfix) -> None:
    """What our server refuses for good, Postfix reports to the sender with our words."""
    send(flavour, postfix.port, PLAIN, Envelope("alice@box.test", f"refused@{flavour}.test"))
    report = postfix.delivered("alice")
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"\r\nStatus: 5.1.1\r\n" in report
    assert b"\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n" in report


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
def test_refused_for_now_comes_again(flavour: str, moment: str, postfix: Postfix) -> None:
    inbox = postfix.relayed[flavour]
    inbox.once[moment] = Reply(450, "4.2.0", "Come back later")
    send(flavour, postfix.port, DOTS, Envelope("ann@a.test", f"bob@{flavour}.test"))
    below_trace(inbox.next().body, DOTS)
    assert not inbox.once
    assert inbox.empty
