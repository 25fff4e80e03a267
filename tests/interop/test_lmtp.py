"""LMTP (RFC 2033), with one reply for each recipient: our clients to Dovecot; Postfix, Exim and
swaks to our servers."""

from __future__ import annotations

import re

import pytest

from smtpproto import Client, Envelope, ForwardPath, Outcome, SendRefused
from tests.interop.dovecot import Dovecot
from tests.interop.exim import Exim
from tests.interop.mailboxes import trace_above
from tests.interop.peers import CONTENTS, DOTS, LARGE, PLAIN, Inbox, converse, send, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Send

ALICE, BOB, FULL, NOBODY = (
    ForwardPath.of(f"{user}@box.test") for user in ("alice", "bob", "full", "nobody")
)


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("content", [DOTS, LARGE], ids=["DATA", "BDAT"])
def test_recipients_fare_differently(flavour: str, content: bytes, dovecot: Dovecot) -> None:
    said: list[str] = []
    outcome = send(
        flavour,
        dovecot.port,
        content,
        Envelope("ann@a.test", [FULL, ALICE, NOBODY, BOB]),
        lmtp=True,
        trace=lambda who, line: said.append(who + line[:4]),
    )
    assert ("CBDAT" in said) is (content == LARGE)
    assert list(outcome.accepted) == [ALICE, BOB]
    assert {path: reply.code for path, reply in outcome.refused.items()} == {FULL: 552, NOBODY: 550}
    assert [str(outcome.refused[path].enhanced) for path in (FULL, NOBODY)] == ["5.2.2", "5.1.1"]
    for path in (ALICE, BOB):
        assert outcome.accepted[path].text.startswith(f"<{path}> ")  # each has its own
        assert outcome.accepted[path].text.endswith(" Saved")
        trace_above(dovecot.mailboxes.next(path.local_part), content)


@pytest.mark.peer("dovecot")
def test_refused_by_all_in_the_end(flavour: str, dovecot: Dovecot) -> None:
    async def talk(client: Client) -> Outcome:
        with pytest.raises(SendRefused, match=r"552 5\.2\.2") as caught:
            await client.send(PLAIN, Envelope("ann@a.test", [FULL, NOBODY]))
        assert set(caught.value.outcome.refused) == {FULL, NOBODY}
        return await client.send(PLAIN, Envelope("ann@a.test", ALICE))

    assert list(converse(flavour, dovecot.port, talk, lmtp=True).accepted) == [ALICE]
    trace_above(dovecot.mailboxes.next("alice"), PLAIN)


def test_from_mail_server(flavour: str, mail_server: Postfix | Exim, inbox: Inbox) -> None:
    """Only for those whom we refused the sender gets a report."""
    with serving(flavour, inbox, lmtp=True) as port:
        recipients = [f"{user}@{port}.lmtp.test" for user in ("bob", "refused", "full", "cy")]
        send(flavour, mail_server.port, DOTS, Envelope(str(ALICE), recipients))
        arrival, report = inbox.next(), mail_server.mailboxes.next("alice")
    trace_above(arrival.body, DOTS)
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
def test_from_swaks(flavour: str, name: str, inbox: Inbox, swaks: Send) -> None:
    """A recipient who is named twice gets two replies."""
    to = "--to=bob@b.test,full@b.test,refused@b.test,cy@b.test,bob@b.test"
    with serving(flavour, inbox, lmtp=True) as port:
        said = swaks(port, CONTENTS[name], "--protocol=LMTP", to, check=False)
        arrival = inbox.next()
    assert arrival.body == CONTENTS[name]
    assert arrival.recipients == ["bob@b.test", "full@b.test", "cy@b.test", "bob@b.test"]
    assert arrival.session.lmtp
    after = said.partition(" -> .\n")[2].partition(" -> QUIT\n")[0]
    assert [reply[4:] for reply in after.splitlines()] == [
        "250 2.6.0 Kept",
        "552 5.2.2 Mailbox full",
        "250 2.6.0 Kept",
        "250 2.6.0 Kept",
    ]
