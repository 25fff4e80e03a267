"""A server's hooks for names, and verbs of one's own."""

from __future__ import annotations

from typing import Any, Self

import pytest
from attrs import define, field, frozen

from smtpproto import (
    ClientConfig,
    ForwardPath,
    Handler,
    LocalProtocolError,
    Mailbox,
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
from smtpproto.server.handler import LookupResult, Verdict
from smtpproto.server.setup import check_server
from smtpproto.testing.simulation import Simulation

from ..support.scripted_client import keywords, octets, replies, serve

# -- names -----------------------------------------------------------------------------------------

BOB, ANN = Mailbox("bob", "example.org"), Mailbox("ann smith", "example.org")
UTF8 = Mailbox("bøb", "bücher.example")


@define(eq=False)
class Directory(Handler):
    """Gives what *names* have; an exception is raised."""

    names: dict[str, Any]
    asked: list[str] = field(factory=list)
    users: list[str | None] = field(factory=list)

    def vrfy(self, session: Session, name: str) -> LookupResult:
        return self._find(session, name)

    async def expn(self, session: Session, name: str) -> LookupResult:
        return self._find(session, name)

    def _find(self, session: Session, name: str) -> LookupResult:
        self.asked.append(name)
        self.users.append(session.user)
        found: LookupResult = self.names.get(name, Reply(550, "5.1.1", "No such name"))
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.req(
    "RFC5321-3.5.1-01", "RFC5321-3.5.1-02", "RFC5321-3.5.1-04", "RFC5321-3.5.2-02",
    "RFC5321-3.5.2-03", "RFC5321-3.5.2-09",
)  # fmt: skip
@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_mailboxes_are_told_one_a_line_in_brackets(verb: str) -> None:
    handler = Directory({"bob": BOB, "staff": (BOB, ANN), "all": iter([BOB])})
    said = replies(handler, f"{verb} bob", f"{verb} staff", f"{verb} all", f"{verb} carl")
    assert said == [
        "250 2.1.5 <bob@example.org>",
        "250-2.1.5 <bob@example.org>",
        '250 2.1.5 <"ann smith"@example.org>',
        "250 2.1.5 <bob@example.org>",
        "550 5.1.1 No such name",
    ]
    for line in said[:-1]:
        assert Mailbox.parse(line.partition("<")[2].rstrip(">")) in (BOB, ANN)


@pytest.mark.req("RFC5321-3.5.1-06", "RFC5321-3.5.1-07")
def test_a_name_comes_as_it_was_said() -> None:
    handler = Directory({})
    replies(handler, "VRFY bob", "VRFY bob@example.org", 'VRFY "Bob Smith" <bob@x>', "EXPN staff")
    assert handler.asked == ["bob", "bob@example.org", '"Bob Smith" <bob@x>', "staff"]


@pytest.mark.req("RFC5321-3.5.2-01", "RFC5321-3.5.2-04", "RFC5321-3.5.2-10")
@pytest.mark.parametrize(
    "found",
    [
        "bob@example.org",
        [],
        [BOB, "carl"],
        ["|/bin/delivery"],
        ["@a.example:bob@example.org"],
        [ForwardPath(None)],
        7,
        LookupError("x"),
    ],
    ids=str,
)
def test_nothing_but_mailboxes_is_told(found: object) -> None:
    for verb in ("VRFY", "EXPN"):
        said = replies(Directory({"bob": found}), f"{verb} bob", "NOOP")
        assert said == ["451 4.3.0 Local error in processing", "250 2.0.0 OK"]


@pytest.mark.req("RFC5321-3.5.3-01", "RFC5321-3.5.3-02", "RFC5321-7.3-01", "RFC5321-7.3-02")
def test_without_hooks_nothing_is_told() -> None:
    verify = "252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery"
    said = replies(Handler(), "VRFY bob", "VRFY nobody@example.org", "EXPN staff")
    assert said == [verify, verify, "502 5.5.1 Command not implemented"]

    class Silent(Directory):
        def _find(self, session: Session, name: str) -> LookupResult:
            return None

    assert replies(Silent({}), "VRFY bob", "VRFY carl") == [verify, verify]


@pytest.mark.req("RFC5321-3.5.2-06", "RFC5321-7.3-04")
def test_expn_and_etrn_are_offered_where_they_are_defined() -> None:
    class Queues(Handler):
        def etrn(self, session: Session, node: str) -> Reply:
            return Reply(250, "2.0.0", f"Queue for {node} started")

    assert "EXPN" in keywords(Directory({})) and "EXPN" not in keywords(Handler())
    assert "ETRN" in keywords(Queues()) and "ETRN" not in keywords(Directory({}))
    assert replies(Queues(), "ETRN example.org", "ETRN #night") == [
        "250 2.0.0 Queue for example.org started",
        "250 2.0.0 Queue for #night started",
    ]
    assert replies(Handler(), "ETRN example.org") == ["502 5.5.1 Command not implemented"]
    refused = replies(Queues(), "ETRN example.org", hello="HELO")
    assert refused == ["503 5.5.1 Send EHLO first"]


@pytest.mark.req("RFC6531-3.7.4.2-02", "RFC6531-3.7.4.2-07")
@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_names_that_are_not_ascii_are_told_to_who_asks_for_utf8(verb: str) -> None:
    handler = Directory({"bob": UTF8, "moved": Reply(551, "5.1.6", "Try <bøb@b.example>")})
    said = replies(handler, f"{verb} bob SMTPUTF8", f"{verb} bob", f"{verb} moved")
    assert said == [
        "250 2.1.5 <bøb@bücher.example>",
        "252 2.6.8 The name needs SMTPUTF8 to be shown",
        "550 5.6.8 The reply needs SMTPUTF8 to be shown",
    ]
    assert handler.asked == ["bob", "bob", "moved"]


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_questions_leave_the_transaction_as_it_is() -> None:
    for line in ("VRFY bob", "EXPN bob", "HELP", "HELP MAIL", "NOOP"):
        said = replies(
            Directory({"bob": BOB}), "MAIL FROM:<>", line, "RCPT TO:<bob@example.org>", line, "DATA"
        )
        assert [code[:3] for code in said] == ["250", said[1][:3], "250", said[1][:3], "354"]


def test_help() -> None:
    class Helpful(Handler):
        async def help(self, session: Session, topic: str) -> Reply:
            if topic == "trouble":
                raise LookupError("no book")
            return Reply(214, "2.0.0", f"About {topic or 'everything'}")

    assert replies(Helpful(), "HELP", "help  MAIL", "HELP trouble") == [
        "214 2.0.0 About everything",
        "214 2.0.0 About MAIL",
        "451 4.3.0 Local error in processing",
    ]
    assert replies(Handler(), "HELP MAIL")[0].startswith("214 2.0.0 Commands: EHLO")


@pytest.mark.req("RFC6531-3.7.4.2-03", "RFC6531-3.7.4.2-04")
def test_a_client_asks_for_names() -> None:
    simulation = Simulation(1)
    simulation.listen(25, Directory({"bob": UTF8, "staff": [BOB, UTF8]}), ServerConfig())
    plain = ServerConfig(extensions={"SMTPUTF8": None})
    simulation.listen(26, Directory({"bob": BOB}), plain)

    async def client() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as one:
            assert (await one.vrfy("bob", smtputf8=True)).text == "<bøb@bücher.example>"
            assert (await one.vrfy("bob")).code == 252
            lines = (await one.expn("staff", smtputf8=True)).lines
            assert lines == ("<bob@example.org>", "<bøb@bücher.example>")
            assert (await one.expn("nobody")).code == 550
            assert (await one.help()).code == 214
            with pytest.raises(NotOffered, match="ETRN"):
                await one.etrn("example.org")
        async with await open_client(simulation, "mx", 26, ClientConfig()) as other:
            with pytest.raises(NotOffered, match="SMTPUTF8"):
                await other.vrfy("bob", smtputf8=True)
            assert (await other.vrfy("bob")).text == "<bob@example.org>"

    simulation.run(client())


# -- verbs of one's own ----------------------------------------------------------------------------


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


class Echo(Handler):
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


OWN = (
    Verb.own(XEcho),
    Verb.own(
        XCount,
        default_reply=Reply(299),
        accepted_codes={299},
        phases={Phase.READY},
        keyword="XNUMBERS",
    ),
)


def test_verbs_of_ones_own_end_to_end() -> None:
    simulation = Simulation(1)
    simulation.listen(25, Echo(), ServerConfig(verbs=OWN))
    simulation.listen(26, Echo(), ServerConfig())

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig(verbs=OWN)) as client:
            assert {"XECHO", "XNUMBERS"} <= set(client.extensions)
            assert await client.command(XEcho("hello")) == Reply(250, "2.0.0", "hello")
            assert (await client.command(XEcho("default"))).code == 502
            assert (await client.command(XEcho("fail"))).code == 451
            assert (await client.command(XCount(41))).text == "42"
        async with await open_client(simulation, "mx", 26, ClientConfig(verbs=OWN)) as client:
            with pytest.raises(NotOffered, match="XECHO"):
                await client.command(XEcho("hello"))
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            with pytest.raises(LocalProtocolError, match="not a verb"):
                await client.command(XEcho("hello"))
            with pytest.raises(LocalProtocolError, match="connect, send and login"):
                await client.command(Ehlo("again.example"))

    simulation.run(talk())


def test_verbs_of_ones_own_have_their_place() -> None:
    config = ServerConfig(verbs=OWN)
    feed = serve(Echo(), octets("XECHO early", "HELO client.example", "XECHO x"), config=config)
    assert [line[:3] for line in feed.said[1:]] == ["503", "250", "503"]  # HELO negotiates nothing
    said = replies(Echo(), "MAIL FROM:<>", "XECHO in", "XCOUNT 1", "RCPT TO:<a@b>", config=config)
    assert [line[:3] for line in said] == ["250", "250", "503", "250"]
    assert replies(Echo(), "XECHO hi")[0].startswith("500")
    with pytest.raises(ValueError, match="MAIL is taken"):
        check_server(Handler, ServerConfig(verbs=(Verb.own(XTaken, keyword="XMAIL"),)), 25)


@frozen
class XTaken(Command):
    verb = "MAIL"
