"""Extensions that a message needs, and extensions that the client uses."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    Envelope,
    NotOffered,
    RcptParameters,
)
from smtpproto.grammar.dsn import Notify
from tests.support.dialogue import GOODBYE, data, hello, mail, play, rcpt, send
from tests.support.envelopes import TO_BOB

HELLO = hello()
PIPELINING = hello(
    "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS RCPTMAX=1000", "SIZE 1000"
)


@pytest.mark.req(
    "RFC1870-7-01",
    "RFC5321-2.4-06",
    "RFC6152-3-05",
    "RFC6531-3.2-05",
    "RFC5321-2.3.1-01/client",
    "RFC6531-3.2-06",
)
@pytest.mark.parametrize(
    ("offer", "envelope", "body", "missing"),
    [
        (HELLO, TO_BOB, b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n", "8BITMIME"),
        (HELLO, Envelope("ann@example.org", "bøb@example.org"), b"hello", "SMTPUTF8"),
        (HELLO, TO_BOB, "Subject: ü\r\n\r\n".encode(), "SMTPUTF8"),
        (PIPELINING, TO_BOB, b"x\n" * 334, "at most 1000"),
    ],
)
def test_a_message_that_needs_more_than_is_offered_is_not_sent(
    offer: str, envelope: Envelope, body: bytes, missing: str
) -> None:
    with pytest.raises(NotOffered, match=missing):
        send(offer + GOODBYE, envelope, body)


@pytest.mark.req("RFC5321-4.1.1.3-06")
def test_rcpt_parameters_that_are_not_offered_are_not_sent() -> None:
    wanted = RcptParameters(notify=frozenset({Notify.NEVER}))
    envelope = Envelope("ann@example.org", "bob@example.org", rcpt_parameters=wanted)
    with pytest.raises(NotOffered, match="NOTIFY"):
        send(f"{HELLO}{GOODBYE}", envelope)


@pytest.mark.req("RFC6152-3-07", "RFC6531-3.4-01", "RFC6531-3.4-02", "RFC6531-3.6-01")
def test_mail_has_only_the_parameters_that_the_message_needs() -> None:
    script = PIPELINING + """
        C: MAIL FROM:<ann@example.org> {}
        C: RCPT TO:<bob@example.org>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: {}
        C: .
        S: 250 ok
    """ + GOODBYE  # fmt: skip
    send(script.format("SIZE=7", "hello"))
    send(script.format("SIZE=8 BODY=8BITMIME", "hellø"), body="hellø".encode())
    utf8 = "SIZE=12 BODY=8BITMIME SMTPUTF8"
    send(script.format(utf8, "To: hellø"), body="To: hellø\n".encode())


@pytest.mark.req("RFC6531-3.2-12/client")
def test_an_ascii_message_does_not_use_smtputf8() -> None:
    for keywords in (["8BITMIME"], ["8BITMIME", "SMTPUTF8"]):
        send(f"{hello(*keywords)}{mail()}{rcpt()}{data('hello')}{GOODBYE}")


@pytest.mark.req("RFC5321-2.2.2-02/client")
def test_private_extensions_are_not_used_by_default() -> None:
    offer = hello("XCLIENT NAME", "XFORWARD NAME ADDR", "X-FOO", "SIZE", "8BITMIME")
    send(f"{offer}{mail(' SIZE=7')}{rcpt()}{data('hello')}{GOODBYE}")


@pytest.mark.req("RFC2920-2-01", "RFC6531-3.1-02")
def test_unknown_parameters_of_ehlo_keywords_are_ignored() -> None:
    group = "C: MAIL FROM:<ann@example.org>{}\nC: RCPT TO:<{}>\nC: DATA\n" + "S: 250 ok\n" * 2
    end = "S: 354 go\nC: hello\nC: .\nS: 250 ok\n"
    offer = hello("PIPELINING now", "8BITMIME x", "SMTPUTF8 X y")
    send(f"{offer}{group.format('', 'bob@example.org')}{end}{GOODBYE}")
    path = "bøb@example.org"
    script = f"{offer}{group.format(' SMTPUTF8', path)}{end}{GOODBYE}"
    send(script, Envelope("ann@example.org", path))


def test_a_keyword_line_of_more_than_512_octets_is_one_keyword() -> None:
    """Some servers send such lines, and the client then uses what stands at their ends."""
    names = " ".join(f"X-MECHANISM-{number}" for number in range(40))
    script = hello(f"AUTH {names} PLAIN", "SIZE 1000")

    async def check(client: Client) -> None:
        assert list(client.extensions) == ["AUTH", "SIZE"]
        assert client.extensions.mechanisms[-1] == "PLAIN"

    play(script + GOODBYE, check)
