"""Our mail agent between other programs: it takes mail and finds the next host."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from smtpproto import Envelope, Reply, TLSMode
from smtpproto.mta.report import read_report
from smtpproto.mta.route import Direct, Route, SmartHost
from smtpproto.mta.settlement import Fate
from smtpproto.mta.status import Action
from tests.interop.contents import ALICE, DATED, LARGE, PLAIN, TO_ALICE
from tests.interop.exim import Exim
from tests.interop.mail_agent import MailAgent, mail_agent
from tests.interop.mailboxes import assert_delivered
from tests.interop.opensmtpd import OpenSMTPD
from tests.interop.our_client import send
from tests.interop.our_server import LOGIN, Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, Send, free_port

pytest.importorskip("dns")

from smtpproto.adapters.dnspython import DNSResolver

pytestmark = pytest.mark.peer("nsd")

MailHost = Postfix | Exim | OpenSMTPD


class Start(Protocol):
    """Runs our MTA while the block runs, on the adapter of the test. It asks the zone."""

    def __call__(
        self, routes: dict[str, Route], **options: Any
    ) -> AbstractContextManager[MailAgent]: ...


@pytest.fixture
def start(adapter: str, tmp_path: Path, zone: int) -> Start:
    resolver = DNSResolver(["127.0.0.1"], port=zone, lifetime=5)

    def runs(routes: dict[str, Route], **options: Any) -> AbstractContextManager[MailAgent]:
        return mail_agent(adapter, tmp_path, routes, **{"resolver": resolver, **options})

    return runs


@pytest.fixture
def host(adapter: str, inbox: Inbox) -> Iterator[int]:
    """The port of a host that takes all mail, into *inbox*."""
    with serving(adapter, inbox) as port:
        yield port


def fates(mail: MailAgent, name: str) -> list[Fate]:
    return [ended.fate for ended in mail.end(name).ended]


# -- the next host -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [PLAIN, LARGE], ids=["small", "large"])
def test_a_message_reaches_a_mailbox_although_the_first_host_is_dead(
    start: Start, mail_host: MailHost, content: bytes
) -> None:
    content = DATED + content
    with start({"*": Direct(port=mail_host.port)}) as mail:
        name = mail.send(content, TO_ALICE)
        assert fates(mail, name) == [Fate.RELAYED]
        story = mail.explain(name)
    assert_delivered(mail_host.mailboxes.next("alice"), content)
    assert "dead.box.test [127.0.0.9]" in story
    assert "mx.box.test [127.0.0.1] accepted it: 250" in story


@pytest.mark.parametrize("domain", ["one.box.test", "alias.box.test", "implicit.box.test"])
def test_a_domain_with_an_mx_an_alias_or_only_an_address(
    start: Start, host: int, inbox: Inbox, domain: str
) -> None:
    with start({"*": Direct(port=host)}) as mail:
        assert fates(mail, mail.send(PLAIN, Envelope("ann@a.test", f"bob@{domain}")))
    assert inbox.next().recipients == [f"bob@{domain}"]


def test_a_message_waits_while_no_name_server_answers(
    start: Start, host: int, inbox: Inbox
) -> None:
    silent = DNSResolver(["127.0.0.1"], port=free_port(), timeout=0.2, lifetime=0.3)
    with start({"*": Direct(port=host)}, resolver=silent) as mail:
        name = mail.send(PLAIN, Envelope("ann@a.test", "bob@one.box.test"))
        mail.after_attempts(name, 2)
        assert "no host was found: 451 4.4.3" in mail.explain(name)
    with start({"*": Direct(port=host)}) as mail:
        assert fates(mail, name) == [Fate.RELAYED]
    assert not inbox.empty


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("bob@gone.box.test", "550 5.1.2"),
        ("bob@null.box.test", "556 5.1.10"),
        ("bob@no-host.box.test", "550 5.4.4"),
    ],
)
def test_the_sender_is_told_of_a_domain_that_takes_no_mail(
    start: Start, postfix: Postfix, recipient: str, reply: str
) -> None:
    with start({"*": Direct(port=postfix.port)}) as mail:
        name = mail.send(PLAIN, Envelope(ALICE, recipient))
        assert fates(mail, name) == [Fate.FAILED]
        assert f"no host was found: {reply}" in mail.explain(name)
        assert_reports(postfix.mailboxes.next("alice"), recipient, reply.partition(" ")[2])


def test_the_sender_is_told_of_a_mailbox_that_does_not_exist(
    start: Start, mail_host: MailHost
) -> None:
    with start({"*": Direct(port=mail_host.port)}) as mail:
        name = mail.send(PLAIN, Envelope(ALICE, "no@box.test"))
        assert fates(mail, name) == [Fate.FAILED]
        report = mail_host.mailboxes.next("alice")
    assert_reports(report, "no@box.test", "5.1.1|5.2.4|5.0.0")
    assert b"Subject: dots and all" in report


def assert_reports(report: bytes, recipient: str, status: str) -> None:
    """Check that *report* says that *recipient* failed."""
    assert re.match(rb"(?i)return-path: <>\r\n", report) or b"(OpenSMTPD)" in report  # has none
    read = read_report(report)
    assert read is not None
    [about] = read.recipients
    assert about.action is Action.FAILED
    assert about.final_recipient.value == recipient
    assert re.fullmatch(status, str(about.status))


def test_a_host_that_greylists_gets_the_message_later(
    start: Start, host: int, inbox: Inbox
) -> None:
    inbox.replies_once["RCPT"] = Reply(451, "4.7.1", "Greylisted, try again in 5 minutes")
    with start({"*": Direct(port=host)}) as mail:
        name = mail.send(PLAIN, Envelope("ann@a.test", "bob@one.box.test"))
        assert fates(mail, name) == [Fate.RELAYED]
        story = mail.explain(name)
    assert_delivered(inbox.next().body, PLAIN)
    assert inbox.empty
    assert "refused it for now: 451 4.7.1 Greylisted" in story
    assert story.index("refused it for now") < story.index("accepted it: 250")


def test_a_message_is_kept_over_a_restart(start: Start, adapter: str, inbox: Inbox) -> None:
    port = free_port()
    with start({"*": Direct(port=port)}) as mail:
        name = mail.send(PLAIN, Envelope("ann@a.test", "bob@one.box.test"))
        mail.after_attempts(name)
        assert "could not be reached" in mail.explain(name)
    with serving(adapter, inbox, port=port), start({"*": Direct(port=port)}) as mail:
        assert fates(mail, name) == [Fate.RELAYED]
    assert_delivered(inbox.next().body, PLAIN)


# -- a smart host --------------------------------------------------------------------------------


@pytest.mark.peer("postfix")
@pytest.mark.usefixtures("submission")
def test_a_smart_host_takes_mail_after_a_login_over_tls(
    start: Start, postfix: Postfix, certificate: Certificate
) -> None:
    route = functools.partial(
        SmartHost,
        "localhost",
        postfix.submission,
        tls=TLSMode.REQUIRED,
        context=certificate.client,
    )
    with start({"*": route(login=LOGIN)}) as mail:
        assert fates(mail, mail.send(PLAIN, TO_ALICE)) == [Fate.RELAYED]
    delivered = postfix.mailboxes.next("alice")
    assert_delivered(delivered, PLAIN)
    assert b"(Authenticated sender: ann)" in delivered
    with start({"*": route(login=(LOGIN[0], "wrong"))}) as mail:
        name = mail.send(PLAIN, TO_ALICE)
        mail.after_attempts(name)
        assert "535 5.7.8" in mail.explain(name)
        assert "wrong" not in mail.explain(name)


# -- other programs as senders -------------------------------------------------------------------


def test_another_program_hands_mail_over_for_the_next_host(
    start: Start, adapter: str, mail_host: MailHost, host: int, inbox: Inbox
) -> None:
    port = mail_host.next_hop if isinstance(mail_host, OpenSMTPD) else free_port()
    domain = f"{port}.smtp.test"
    with start({"*": SmartHost("127.0.0.1", host)}, relay_for=[domain], serve={"port": port}):
        send(adapter, mail_host.port, DATED + PLAIN, Envelope("ann@a.test", f"bob@{domain}"))
        arrival = inbox.next()
    assert_delivered(arrival.body, DATED + PLAIN)
    assert arrival.recipients == [f"bob@{domain}"]
    trace = re.findall(rb"(?m)^Received: from (\S+)", arrival.body)
    assert len(trace) == 2
    assert re.search(rb"(?s)by mta\.ours\.test\s.*\sid [0-9a-z]{26}\s", arrival.body)


def test_a_stranger_is_told_that_relaying_is_denied(start: Start, swaks: Send) -> None:
    with start({"*": SmartHost("127.0.0.1", 9)}) as mail:
        output = swaks(mail.port, PLAIN, check=False)
    assert "550 5.7.1 Relaying denied" in output


@pytest.mark.peer("postfix")
def test_swaks_sends_to_a_mailbox_of_postfix(start: Start, swaks: Send, postfix: Postfix) -> None:
    routes: dict[str, Route] = {"*": Direct(port=postfix.port)}
    with start(routes, relay_from=["127.0.0.1"]) as mail:
        output = swaks(mail.port, PLAIN, "--to", ALICE)
        assert (found := re.search(r"250 2\.0\.0 Queued as (\w{26})", output)) is not None
        assert fates(mail, found[1]) == [Fate.RELAYED]
    assert_delivered(postfix.mailboxes.next("alice"), PLAIN)
