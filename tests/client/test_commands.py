"""VRFY, EXPN and other commands of a client, and commands that it never sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from smtpproto import (
    Client,
    Envelope,
    ForwardPath,
    GrammarError,
    LocalProtocolError,
    Reply,
    ReversePath,
)
from smtpproto.grammar.command import Command, Mail, Rcpt
from tests.support.dialogue import GOODBYE, MAIL, data, hello, play
from tests.support.envelopes import TO_BOB

HELLO = hello()


@pytest.mark.req("RFC5321-3.5.2-07", "RFC5321-3.5.1-08", "RFC5321-3.5.1-13", "RFC5321-4.1.4-13")
def test_vrfy_and_expn_return_the_reply_as_the_server_sent_it() -> None:
    async def talk(client: Client) -> None:
        ambiguous = await client.vrfy("smith")
        assert ambiguous == Reply(
            553, "5.1.4", ["Ambiguous; Possibilities are", "<ann@x.example>", "Smith, Bob"]
        )
        assert (await client.expn("staff")).lines == ("Ann <ann@x.example>", "bob at home")

    play(
        f"""{HELLO}
        C: VRFY smith
        S: 553-5.1.4 Ambiguous; Possibilities are
        S: 553-<ann@x.example>
        S: 553 Smith, Bob
        C: EXPN staff
        S: 250-Ann <ann@x.example>
        S: 250 bob at home
        {GOODBYE}""",
        talk,
    )


@pytest.mark.req("SMUGGLING-06")
@pytest.mark.parametrize("text", ["x\r\nRCPT TO:<evil@x>", "x\ny", "x\0"])
def test_line_ends_and_nul_in_arguments_are_refused(text: str) -> None:
    async def talk(client: Client) -> None:
        for call in (client.vrfy, client.help):
            with pytest.raises(GrammarError):
                await call(text)
        with pytest.raises(GrammarError):
            Envelope(text, "a@b.example")
        with pytest.raises(GrammarError):
            Envelope("", text)

    play(HELLO + GOODBYE, talk)


@pytest.mark.req("RFC5321-C-03", "RFC5321-F.2-04", "RFC5321-3.6.1-02")
def test_source_routes_are_never_sent() -> None:
    route = "@a.example:bob@example.org"
    for make in (ReversePath.of, ForwardPath.of, lambda text: Envelope(text, "bob@example.org")):
        with pytest.raises(GrammarError):
            make(route)
        with pytest.raises(GrammarError):
            make(f"<{route}>")
    assert bytes(Mail(ReversePath.parse(f"<{route}>"))) == b"MAIL FROM:<bob@example.org>"
    assert bytes(Rcpt(ForwardPath.parse(f"<{route}>"))) == b"RCPT TO:<bob@example.org>"


@pytest.mark.req("RFC5321-F.6-01")
@pytest.mark.parametrize("name", ["SEND", "SOML", "SAML", "TURN"])
def test_obsolete_commands_are_not_sent(name: str) -> None:
    old = type(name, (Command,), {"verb": name})

    async def talk(client: Client) -> None:
        with pytest.raises(LocalProtocolError, match="not a verb"):
            await client.command(old())

    play(f"{HELLO}{GOODBYE}", talk)
    assert not {"soml", "saml", "turn"} & set(dir(Client))


def test_a_second_conversation_at_the_same_time_is_refused() -> None:
    """Nothing of the second conversation is sent."""

    async def talk(client: Client) -> None:
        async def source() -> AsyncIterator[bytes]:
            with pytest.raises(LocalProtocolError, match="in use"):
                await client.noop()
            yield b"one\n.two"

        await client.send(source(), TO_BOB)

    play(f"{HELLO}{MAIL}{data('one', '..two')}{GOODBYE}", talk)
