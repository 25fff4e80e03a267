"""Verbs that an application adds to a server and to a client."""

from __future__ import annotations

from typing import Self

import pytest
from attrs import frozen

from smtpproto import (
    ClientConfig,
    Handler,
    LocalProtocolError,
    NotOffered,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.command import Command, Ehlo, TextCommand
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb
from smtpproto.server.handler import Verdict
from smtpproto.server.setup import check_server
from smtpproto.testing.simulation import Simulation
from tests.support.scripted_client import octets, replies, serve


@frozen
class XEcho(TextCommand):
    """``XECHO text``."""

    verb = "XECHO"


@frozen
class XCount(Command):
    """``XCOUNT number``."""

    verb = "XCOUNT"
    number: int = 0

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        return cls(int(argument))

    def argument(self) -> str:
        return str(self.number)


@frozen
class XTaken(Command):
    """An own verb with the name of a standard one."""

    verb = "MAIL"


class EchoHandler(Handler):
    async def command(self, session: Session, command: Command) -> Verdict:
        match command:
            case XEcho("default"):
                return None
            case XEcho("fail"):
                raise RuntimeError("no echo")
            case XEcho(text):
                return Reply(250, "2.0.0", text)
            case XCount(number):
                return Reply(299, "2.0.0", str(number + 1))
        raise AssertionError(command)


OWN_VERBS = (
    Verb.own(XEcho),
    Verb.own(
        XCount,
        default_reply=Reply(299),
        accepted_codes={299},
        phases={Phase.READY},
        keyword="XNUMBERS",
    ),
)


def test_the_command_hook_answers_own_verbs() -> None:
    simulation = Simulation(1)
    simulation.listen(25, EchoHandler(), ServerConfig(verbs=OWN_VERBS))
    simulation.listen(26, EchoHandler(), ServerConfig())

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig(verbs=OWN_VERBS)) as client:
            assert {"XECHO", "XNUMBERS"} <= set(client.extensions)
            assert await client.command(XEcho("hello")) == Reply(250, "2.0.0", "hello")
            assert (await client.command(XEcho("default"))).code == 502
            assert (await client.command(XEcho("fail"))).code == 451
            assert (await client.command(XCount(41))).text == "42"
        async with await open_client(simulation, "mx", 26, ClientConfig(verbs=OWN_VERBS)) as client:
            with pytest.raises(NotOffered, match="XECHO"):
                await client.command(XEcho("hello"))
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            with pytest.raises(LocalProtocolError, match="not a verb"):
                await client.command(XEcho("hello"))
            with pytest.raises(LocalProtocolError, match="connect, send and login"):
                await client.command(Ehlo("again.example"))

    simulation.run(talk())


def test_own_verbs_are_accepted_only_in_their_phases() -> None:
    config = ServerConfig(verbs=OWN_VERBS)
    client = serve(
        EchoHandler(), octets("XECHO early", "HELO client.example", "XECHO x"), config=config
    )
    # HELO negotiates no extensions, and so no own verbs.
    assert [line[:3] for line in client.lines[1:]] == ["503", "250", "503"]
    answers = replies(
        EchoHandler(), "MAIL FROM:<>", "XECHO in", "XCOUNT 1", "RCPT TO:<a@b>", config=config
    )
    assert [line[:3] for line in answers] == ["250", "250", "503", "250"]


def test_an_own_verb_is_refused_by_a_server_that_does_not_define_it() -> None:
    assert replies(EchoHandler(), "XECHO hi")[0].startswith("500")


def test_an_own_verb_must_not_replace_a_standard_one() -> None:
    with pytest.raises(ValueError, match="MAIL is taken"):
        check_server(Handler, ServerConfig(verbs=(Verb.own(XTaken, keyword="XMAIL"),)), 25)
