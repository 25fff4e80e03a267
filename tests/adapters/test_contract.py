"""The contract of the adapters: each scenario with every client and server, in clear and in TLS.

The ordinary tests pair each client and each server with asyncio's; IN_FULL lists the scenarios that
they run with every pair. The other pairs are soak tests.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from email.message import EmailMessage

import pytest

from smtpproto import (
    Client,
    Envelope,
    ForwardPath,
    Limits,
    LocalProtocolError,
    Login,
    NotOffered,
    SendRefused,
    TLSMode,
)
from smtpproto.client import ClientOptions
from smtpproto.server import ServerOptions
from tests.adapters.harness import ADAPTERS, Adapter, Asyncio, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.accounts import Accounts
from tests.support.envelopes import TO_BOB

Scenario = Callable[[Client, Inbox], Awaitable[None]]
SCENARIOS: list[Scenario] = []

DOTS = b".\r\n..\r\n.x\r\n\r\n..\r\n."


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@scenario
async def octets_arrive_as_they_are(client: Client, inbox: Inbox) -> None:
    outcome = await client.send(DOTS, TO_BOB)
    ((session, envelope, body),) = inbox.messages
    assert body == DOTS + b"\r\n"  # the client ends the last line with CRLF
    assert envelope.recipients == (ForwardPath.of("bob@example.org"),)
    assert (session.tls is None) == (client.tls is None)
    assert outcome.reply is not None and outcome.reply.text == "queued as 1"


@scenario
async def an_email_object_needs_no_envelope(client: Client, inbox: Inbox) -> None:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Bob <bob@example.org>"
    message["Bcc"] = "carol@example.org"
    message["Subject"] = "Grüße"
    message.set_content(".\nGrüße\n", cte="8bit")
    outcome = await client.send(message)
    assert list(map(str, outcome.accepted)) == ["bob@example.org", "carol@example.org"]
    _, envelope, body = inbox.messages[0]
    assert len(envelope.recipients) == 2
    assert b"carol" not in body and "\r\n.\r\nGrüße\r\n".encode() in body


@scenario
async def recipients_have_their_own_replies(client: Client, inbox: Inbox) -> None:
    people = ["bob@example.org", "x@elsewhere.test", "carol@example.org", "trouble@example.org"]
    outcome = await client.send(b"hello\r\n", Envelope("ann@example.org", people))
    assert {str(path): reply.code for path, reply in outcome.accepted.items()} == {
        "bob@example.org": 250,
        "carol@example.org": 250,
    }
    assert {str(path): reply.code for path, reply in outcome.refused.items()} == {
        "x@elsewhere.test": 550,
        "trouble@example.org": 451,
    }
    assert all("secret" not in str(reply) for reply in outcome.refused.values())
    assert len(inbox.messages[0][1].recipients) == 2


@scenario
async def a_message_without_accepted_recipients_raises_send_refused(
    client: Client, inbox: Inbox
) -> None:
    with pytest.raises(SendRefused) as caught:
        await client.send(b"hello\r\n", Envelope("", ["x@elsewhere.test", "y@elsewhere.test"]))
    assert caught.value.reply.code == 550
    assert len(caught.value.outcome.refused) == 2
    assert not inbox.messages
    await client.send(b"hello\r\n", TO_BOB)
    assert len(inbox.messages) == 1


@scenario
async def a_handler_that_raises_gives_451_without_its_error_text(
    client: Client, inbox: Inbox
) -> None:
    with pytest.raises(SendRefused) as caught:
        await client.send(b"raise\r\n", TO_BOB)
    assert caught.value.reply.code == 451 and "disk" not in str(caught.value.reply)
    await client.send(b"hello\r\n", TO_BOB)
    assert [body for _, _, body in inbox.messages] == [b"hello\r\n"]


@scenario
async def a_message_in_pieces_arrives_whole(client: Client, inbox: Inbox) -> None:
    piece = b".line of text\n" * 1000
    await client.send((piece for _ in range(50)), TO_BOB)
    assert inbox.messages[0][2] == piece.replace(b"\n", b"\r\n") * 50


@scenario
async def smtputf8_is_used_only_for_internationalised_addresses(
    client: Client, inbox: Inbox
) -> None:
    await client.send(b"hello\r\n", Envelope("änn@bücher.example", "bob@example.org"))
    _, envelope, _ = inbox.messages[0]
    assert str(envelope.sender) == "änn@bücher.example"
    assert envelope.parameters.smtputf8
    await client.send(b"hello\r\n", TO_BOB)
    assert not inbox.messages[1][1].parameters.smtputf8


@scenario
async def too_many_recipients_are_split_into_transactions(client: Client, inbox: Inbox) -> None:
    people = [f"r{number}@example.org" for number in range(1010)]
    outcome = await client.send(b"hello\r\n", Envelope("ann@example.org", people))
    assert len(outcome.accepted) == 1010
    assert [len(envelope.recipients) for _, envelope, _ in inbox.messages] == [1000, 10]


LINE = b"x" * 998 + b"\r\n"


@scenario
async def a_message_over_the_size_limit_raises_not_offered(client: Client, inbox: Inbox) -> None:
    with pytest.raises(NotOffered):
        await client.send(LINE * 1100, TO_BOB)
    with pytest.raises(NotOffered, match="1000000"):  # its size is unknown before
        await client.send(iter([LINE * 600] * 2), TO_BOB)
    await client.send(b"hello\r\n", TO_BOB)
    assert len(inbox.messages) == 1


@scenario
async def noop_vrfy_help_and_rset_get_their_replies(client: Client, inbox: Inbox) -> None:
    assert (await client.noop()).code == 250
    assert (await client.vrfy("bob")).code == 252
    assert (await client.help()).code == 214
    assert (await client.rset()).code == 250
    assert inbox.resets == 0  # there was no transaction


@scenario
async def logging_in(client: Client, inbox: Inbox) -> None:
    if client.tls is None:
        assert "AUTH" not in client.extensions
        with pytest.raises(LocalProtocolError):
            await client.login(Login("ann", "secret"))
        return
    with pytest.raises(Exception, match="535") as caught:
        await client.login(Login("ann", "wrong horse"))
    assert "wrong horse" not in str(caught.value)
    await client.login(Login("ann", "secret"))
    await client.send(b"hello\r\n", TO_BOB)
    assert inbox.messages[0][0].user == "ann"


@scenario
async def a_source_that_raises_sends_no_part_of_its_message(client: Client, inbox: Inbox) -> None:
    def source() -> Iterator[bytes]:
        yield b"x" * 100
        raise OSError("cannot read on")

    with pytest.raises(OSError, match="read on"):
        await client.send(source(), TO_BOB)
    assert client.usable, "RSET makes the server drop the chunks"
    await client.send(b"hello\r\n", TO_BOB)
    assert len(inbox.messages) == 1


# The requirements and the scenarios that prove them: RFC 4954 4-30 logging_in; RFC 8314 all with
# TLS; RFC 5321 4.1.1.8-01 noop_vrfy_help_and_rset_get_their_replies,
# 4.1.1.3-08 recipients_have_their_own_replies, 4.2-13 octets_arrive_as_they_are.
MODES = [TLSMode.NONE, TLSMode.REQUIRED, TLSMode.IMPLICIT]
IN_FULL = [octets_arrive_as_they_are, logging_in]
MATRIX = [
    pytest.param(
        *case,
        id=f"{case[0].__name__}-{case[1].name}-client-{case[2].name}-server-{case[3].value}",
        marks=[] if Asyncio in case or case[0] in IN_FULL else pytest.mark.soak,
    )
    for case in itertools.product(SCENARIOS, ADAPTERS, ADAPTERS, MODES)
]


@pytest.mark.req(
    "RFC4954-4-30/client",
    "RFC4954-4-30/server",
    "RFC8314-3.3-01",
    "RFC8314-3.3-04/client",
    "RFC8314-3.3-04/server",
    "RFC5321-4.1.1.8-01",
    "RFC5321-4.1.1.3-08",
    "RFC5321-4.2-13",
)
@pytest.mark.parametrize(("scenario", "client", "server", "mode"), MATRIX)
def test_the_scenario_passes_with_this_client_server_and_tls_mode(
    scenario: Scenario,
    client: type[Adapter],
    server: type[Adapter],
    mode: TLSMode,
    certificates: Certificates,
    inbox: Inbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "smtpproto")
    client_options: ClientOptions = {"tls": mode, "context": certificates.client}
    server_options: ServerOptions = {
        "authenticator": Accounts(),
        "context": certificates.server,
        "implicit_tls": mode is TLSMode.IMPLICIT,
        "limits": Limits(message_size=1_000_000, failed_login_delay=0),
    }
    with running_server(server, inbox, **server_options) as running:
        client.client(running.port, lambda opened: scenario(opened, inbox), **client_options)
        assert inbox.closed.wait(30)
    assert "horse" not in caplog.text
    assert all("\r" not in record.getMessage() for record in caplog.records)
