"""LMTP (RFC 2033), with one reply for each recipient: from our clients to Dovecot, and from
Postfix, Exim and swaks to our servers."""

from __future__ import annotations

import re

import pytest

from smtpproto import Client, Envelope, ForwardPath, Outcome, SendRefused
from tests.interop.contents import CONTENTS, DOTS, LARGE, PLAIN, TO_ALICE
from tests.interop.dovecot import Dovecot
from tests.interop.exim import Exim
from tests.interop.mailboxes import assert_delivered
from tests.interop.our_client import converse, send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Send

ALICE, BOB, FULL, NOBODY = (
    ForwardPath.of(f"{user}@box.test") for user in ("alice", "bob", "full", "nobody")
)


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("content", [DOTS, LARGE], ids=["DATA", "BDAT"])
def test_each_recipient_has_its_own_result(adapter: str, content: bytes, dovecot: Dovecot) -> None:
    dialogue: list[str] = []
    outcome = send(
        adapter,
        dovecot.port,
        content,
        Envelope("ann@a.test", [FULL, ALICE, NOBODY, BOB]),
        lmtp=True,
        trace=lambda side, line: dialogue.append(side + line[:4]),
    )
    assert ("CBDAT" in dialogue) is (content == LARGE)
    assert list(outcome.accepted) == [ALICE, BOB]
    assert {path: reply.code for path, reply in outcome.refused.items()} == {FULL: 552, NOBODY: 550}
    assert [str(outcome.refused[path].enhanced) for path in (FULL, NOBODY)] == ["5.2.2", "5.1.1"]
    for path in (ALICE, BOB):
        assert outcome.accepted[path].text.startswith(f"<{path}> ")  # its own reply
        assert outcome.accepted[path].text.endswith(" Saved")
        assert_delivered(dovecot.mailboxes.next(path.local_part), content)


@pytest.mark.peer("dovecot")
def test_refusals_of_all_recipients_raise_send_refused(adapter: str, dovecot: Dovecot) -> None:
    async def talk(client: Client) -> Outcome:
        with pytest.raises(SendRefused, match=r"552 5\.2\.2") as caught:
            await client.send(PLAIN, Envelope("ann@a.test", [FULL, NOBODY]))
        assert set(caught.value.outcome.refused) == {FULL, NOBODY}
        return await client.send(PLAIN, TO_ALICE)

    assert list(converse(adapter, dovecot.port, talk, lmtp=True).accepted) == [ALICE]
    assert_delivered(dovecot.mailboxes.next("alice"), PLAIN)


def test_a_relay_reports_the_recipients_that_our_server_refused(
    adapter: str, mail_server: Postfix | Exim, inbox: Inbox
) -> None:
    """The report names no other recipient."""
    with serving(adapter, inbox, lmtp=True) as port:
        recipients = [f"{user}@{port}.lmtp.test" for user in ("bob", "refused", "full", "cy")]
        send(adapter, mail_server.port, DOTS, Envelope(str(ALICE), recipients))
        arrival, report = inbox.next(), mail_server.mailboxes.next("alice")
    assert_delivered(arrival.body, DOTS)
    assert arrival.session.lmtp
    assert sorted(arrival.recipients) == sorted({*recipients} - {recipients[1]})
    assert report.count(b"\r\nAction: failed\r\n") == report.count(b"\r\nAction: ") == 2
    assert sorted(re.findall("\nFinal-Recipient: rfc822; ?(.+)\r", report.decode())) == sorted(
        recipients[1:3]
    )
    assert b"550 5.1.1 No such mailbox" in report
    assert b"552 5.2.2 Mailbox full" in report
    assert inbox.empty


@pytest.mark.peer("swaks")
@pytest.mark.req("RFC2033-4.2-02", "RFC2033-5-09")
@pytest.mark.parametrize("name", ["dots", "eight-bit"])
def test_our_server_replies_to_swaks_for_each_recipient(
    adapter: str, name: str, inbox: Inbox, swaks: Send
) -> None:
    """A recipient that is given twice gets two replies."""
    to = "--to=bob@b.test,full@b.test,refused@b.test,cy@b.test,bob@b.test"
    with serving(adapter, inbox, lmtp=True) as port:
        output = swaks(port, CONTENTS[name], "--protocol=LMTP", to, check=False)
        arrival = inbox.next()
    assert arrival.body == CONTENTS[name]
    assert arrival.recipients == ["bob@b.test", "full@b.test", "cy@b.test", "bob@b.test"]
    assert arrival.session.lmtp
    after = output.partition(" -> .\n")[2].partition(" -> QUIT\n")[0]
    assert [reply[4:] for reply in after.splitlines()] == [
        "250 2.6.0 Kept",
        "552 5.2.2 Mailbox full",
        "250 2.6.0 Kept",
        "250 2.6.0 Kept",
    ]
