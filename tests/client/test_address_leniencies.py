"""Addresses that a client sends only if its leniencies allow them: checked before it sends."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    Domain,
    Envelope,
    Leniencies,
    LocalProtocolError,
    Mailbox,
    Outcome,
    Tolerance,
)
from tests.support.dialogue import GOODBYE, hello, play

LOCAL = Mailbox("root", None)
LONG = Mailbox("x" * 65, "b.test", long=True)
LOOSE = Mailbox("a", Domain("b_c.test", loose=True))


@pytest.mark.parametrize("mailbox", [LOCAL, LONG, LOOSE], ids=["local", "long", "loose"])
def test_without_the_leniency_nothing_of_the_message_is_sent(mailbox: Mailbox) -> None:
    (name,) = mailbox.leniencies
    for envelope in (Envelope(mailbox, ["bob@b.test"]), Envelope("", ["bob@b.test", mailbox])):

        async def talk(client: Client, envelope: Envelope = envelope) -> None:
            with pytest.raises(LocalProtocolError, match=rf"Leniencies\({name}=") as caught:
                await client.send(b"hi\r\n", envelope)
            assert caught.value.phase == "plan"

        play(f"{hello()}{GOODBYE}", talk, leniencies=Leniencies.strict())


def test_a_client_with_missing_domain_sends_to_local_mailboxes() -> None:
    async def talk(client: Client) -> Outcome:
        return await client.send(b"hi\r\n", Envelope(LOCAL, [LOCAL]))

    script = (
        "C: MAIL FROM:<root>\nS: 250 ok\nC: RCPT TO:<root>\nS: 250 ok\n"
        "C: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok\n"
    )
    play(
        f"{hello()}{script}{GOODBYE}", talk, leniencies=Leniencies(missing_domain=Tolerance.ACCEPT)
    )
