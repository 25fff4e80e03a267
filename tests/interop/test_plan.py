"""A plan predicts the commands that Exim receives and then shows in the message."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from smtpproto import (
    Client,
    Envelope,
    MailParameters,
    Notify,
    OriginalRecipient,
    Outcome,
    Plan,
    RcptParameters,
    Ret,
)
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.extension_command import Bdat
from smtpproto.mail.preparation import Source
from tests.interop.contents import ALICE, BOB, EIGHT_BIT, LARGE, PLAIN, TO_ALICE
from tests.interop.exim import Exim
from tests.interop.mailboxes import fields_above
from tests.interop.our_client import converse

pytestmark = pytest.mark.peer("exim")

HEADER = PLAIN.replace(b"Subject: dots", "Subject: Grüße".encode())
ENVELOPES = {
    "one": TO_ALICE,
    "bounce": Envelope("", ALICE),
    "twice": Envelope('"ann lee"@a.test', [BOB, ALICE, BOB, '"alice"@BOX.test']),
    "utf8": Envelope("żółw@bücher.test", ["jürgen@box.test", ALICE]),
    "dsn": Envelope(
        "ann@a.test",
        [ALICE, "jürgen@box.test"],
        MailParameters(ret=Ret.FULL, envid="Q=1+2 x"),
        {
            ALICE: RcptParameters(orcpt=OriginalRecipient("rfc822", "a+l@b.test")),
            "jürgen@box.test": RcptParameters(notify={Notify.NEVER}),
        },
    ),
}
CONTENTS = {"plain": PLAIN, "eight-bit": EIGHT_BIT, "header": HEADER, "large": LARGE}


def assert_planned(
    exim: Exim, content: bytes, envelope: Envelope, source: Callable[[], Source]
) -> Plan:
    """Send *content* from *source*, and check that Exim received what the plan says. Return the
    plan."""

    async def talk(client: Client) -> tuple[Plan, Outcome]:
        return client.plan(source(), envelope), await client.send(source(), envelope)

    plan, outcome = converse("asyncio", exim.port, talk)
    added = fields_above(exim.mailboxes.next("alice"), content)
    commands = [field[12:] for field in reversed(added) if field.startswith("X-Envelope: ")]
    assert commands == [
        str(command) for command in plan.commands() if isinstance(command, Mail | Rcpt)
    ]
    assert outcome.reply is not None
    chunk = re.search("([0-9]+) byte chunk, total ([0-9]+)", outcome.reply.text)
    assert plan.chunked is (chunk is not None)
    if chunk is not None and plan.content.size is not None:
        *_, last = plan.commands()
        assert last == Bdat(int(chunk[1]), last=True)
        assert plan.content.size == int(chunk[2])
    return plan


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=list(ENVELOPES))
@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_the_plan_for_a_whole_message_is_followed(
    envelope: Envelope, content: bytes, exim: Exim
) -> None:
    plan = assert_planned(exim, content, envelope, lambda: content)
    assert plan.content.size == len(content)
    assert plan.chunked is (content == LARGE)


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=list(ENVELOPES))
def test_the_plan_for_content_of_unknown_size_is_followed(envelope: Envelope, exim: Exim) -> None:
    plan = assert_planned(exim, EIGHT_BIT, envelope, lambda: iter([EIGHT_BIT[:99], EIGHT_BIT[99:]]))
    assert plan.content.size is None
    assert plan.chunked


@pytest.mark.req("RFC3461-4.2-02")
def test_orcpt_is_added_with_notify(exim: Exim) -> None:
    notify = RcptParameters(notify={Notify.SUCCESS, Notify.FAILURE})
    envelope = Envelope("", [ALICE, BOB], rcpt_parameters={ALICE: notify})
    plan = assert_planned(exim, PLAIN, envelope, lambda: PLAIN)
    assert [str(rcpt) for rcpt in plan.transactions[0].rcpts] == [
        f"RCPT TO:<{ALICE}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{ALICE}",
        f"RCPT TO:<{BOB}>",
    ]
