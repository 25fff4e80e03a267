"""VRFY and EXPN."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    ForwardPath,
    Handler,
    Mailbox,
    NotOffered,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.client.connection import open_client
from smtpproto.commands import Mail, Rcpt
from smtpproto.server.handler import LookupResult
from smtpproto.testing.simulation import Simulation
from tests.support.scripted_client import keywords, replies
from tests.support.server_dialogue import HELLO, HELLO_WITH_EXPN, LOCAL_ERROR, QUIT, play

BOB, ANN = Mailbox("bob", "example.org"), Mailbox("ann smith", "example.org")
UTF8 = Mailbox("bøb", "bücher.example")


@define(eq=False)
class Directory(Handler):
    """Answers with the value of *names*; raises it if it is an exception."""

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
def test_mailboxes_are_listed_one_a_line_in_angle_brackets(verb: str) -> None:
    handler = Directory({"bob": BOB, "staff": (BOB, ANN), "all": iter([BOB])})
    answers = replies(handler, f"{verb} bob", f"{verb} staff", f"{verb} all", f"{verb} carl")
    assert answers == [
        "250 2.1.5 <bob@example.org>",
        "250-2.1.5 <bob@example.org>",
        '250 2.1.5 <"ann smith"@example.org>',
        "250 2.1.5 <bob@example.org>",
        "550 5.1.1 No such name",
    ]
    for line in answers[:-1]:
        assert Mailbox.parse(line.partition("<")[2].rstrip(">")) in (BOB, ANN)


@pytest.mark.req(
    "RFC5321-3.5.1-01",
    "RFC5321-3.5.1-02",
    "RFC5321-3.5.1-04",
    "RFC5321-3.5.1-06",
    "RFC5321-3.5.1-07",
    "RFC5321-3.5.2-02",
    "RFC5321-3.5.2-03",
    "RFC5321-3.5.2-06",
    "RFC5321-3.5.2-09",
)
def test_users_and_lists_are_looked_up() -> None:
    known = {"bob": BOB, "bob@example.org": BOB, "staff": (ANN, BOB), "a b": ANN}
    directory = Directory(known)
    play(
        f"""{HELLO_WITH_EXPN}
        C: VRFY bob
        S: 250 2.1.5 <bob@example.org>
        C: VRFY bob@example.org
        S: 250 2.1.5 <bob@example.org>
        C: vrfy a b
        S: 250 2.1.5 <"ann smith"@example.org>
        C: VRFY eve
        S: 550 5.1.1 No such name
        C: EXPN staff
        S: 250-2.1.5 <"ann smith"@example.org>
        S: 250 2.1.5 <bob@example.org>
        C: EXPN others
        S: 550 5.1.1 No such name
        {QUIT}""",
        directory,
    )
    assert directory.asked == ["bob", "bob@example.org", "a b", "eve", "staff", "others"]
    for mailbox in (ANN, BOB):
        assert ForwardPath.parse(f"<{mailbox}>").mailbox == mailbox


@pytest.mark.req("RFC5321-3.5.1-06", "RFC5321-3.5.1-07")
def test_the_hook_receives_the_name_as_the_client_sent_it() -> None:
    handler = Directory({})
    names = [
        "bob",
        "Bob",
        "bob@example.org",
        '"Bob Smith" <bob@x>',
        "Staff.List",
        "ALL@Example.org",
    ]
    for verb in ("VRFY", "EXPN"):
        handler.asked.clear()
        replies(handler, *(f"{verb} {name}" for name in names))
        assert handler.asked == names


@pytest.mark.req("RFC5321-3.5.2-01", "RFC5321-3.5.2-04", "RFC5321-3.5.2-10")
@pytest.mark.parametrize(
    "found",
    [
        "bob",
        "bob@example.org",
        "@a.example:bob@example.org",
        "|program",
        [],
        [BOB, "carl"],
        ["|/bin/delivery"],
        ["/dir/file"],
        ["@a.example:bob@example.org"],
        [ForwardPath(None)],
        7,
        LookupError("x"),
    ],
    ids=[
        "name", "text", "route", "program", "empty list", "list with text", "list with program",
        "list with file", "list with route", "list with null path", "number", "exception",
    ],
)  # fmt: skip
def test_a_lookup_that_finds_anything_but_mailboxes_is_answered_with_451(found: object) -> None:
    for verb in ("VRFY", "EXPN"):
        lines = replies(Directory({"bob": found}), f"{verb} bob", "NOOP")
        assert lines == [LOCAL_ERROR, "250 2.0.0 OK"]


@pytest.mark.req("RFC5321-3.5.1-05")
@pytest.mark.parametrize("line", ["252 2.5.0 A list; send and see", "550 5.1.1 A list: use EXPN"])
def test_vrfy_of_a_mailing_list_may_be_answered_with_252_or_550(line: str) -> None:
    answer = Reply.parse(f"{line}\r\n".encode())
    play(f"{HELLO_WITH_EXPN}C: VRFY staff\nS: {line}{QUIT}", Directory({"staff": answer}))


REPLIES_TO_VRFY = [
    "251 2.1.5 User not local; will forward to <bob@example.net>",
    "551 5.1.6 User not local; please try <bob@example.net>",
    "250 2.1.5 Bob Lee <bob@example.org>",
    "250 2.1.5 <staff@example.org>",
    "250 2.1.5 anybody",
    "553 5.1.4 User ambiguous",
    "553-5.1.4 Possibilities are\nS: 553-5.1.4 <bob@example.org>\nS: 553 5.1.4 <ann@x.example>",
]


@pytest.mark.req("RFC5321-3.5.1-03", "RFC5321-3.5.1-10", "RFC5321-3.5.3-05")
@pytest.mark.parametrize("lines", REPLIES_TO_VRFY)
def test_the_client_receives_the_reply_of_the_vrfy_hook(lines: str) -> None:
    answer = Reply.parse(lines.replace("\nS: ", "\r\n").encode() + b"\r\n")
    play(f"{HELLO_WITH_EXPN}C: VRFY it\nS: {lines}{QUIT}", Directory({"it": answer}))


@pytest.mark.req("RFC5321-3.5.3-01", "RFC5321-3.5.3-02", "RFC5321-3.5.3-03", "RFC5321-7.3-01",
                 "RFC5321-7.3-02", "RFC5321-7.3-04")  # fmt: skip
def test_by_default_vrfy_is_answered_with_252_and_expn_with_502_for_any_name() -> None:
    cannot = "S: 252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery\n"
    unknown = "S: 502 5.5.1 Command not implemented\n"
    names = ["bob", "nobody", "bob@example.org", "nobody@example.org", "staff"]
    script = "".join(f"C: VRFY {name}\n{cannot}C: EXPN {name}\n{unknown}" for name in names)
    play(f"{HELLO}{script}{QUIT}", Handler())


@pytest.mark.req("RFC5321-3.5.3-01", "RFC5321-3.5.3-02", "RFC5321-7.3-01", "RFC5321-7.3-02")
def test_a_vrfy_hook_that_returns_none_is_answered_with_252() -> None:
    cannot = "252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery"
    directory = Directory({"bob": None, "carl": None})
    assert replies(directory, "VRFY bob", "VRFY carl") == [cannot, cannot]


@pytest.mark.req("RFC5321-3.5.3-04")
def test_vrfy_may_look_longer_than_rcpt_and_know_more() -> None:
    """The hooks are separate: this VRFY takes a minute and knows that Bob is gone."""
    simulation = Simulation(1)

    class Registry(Handler):
        async def vrfy(self, session: Session, name: str) -> Reply:
            await simulation.sleep(60)
            return Reply(550, "5.1.1", "Gone")

    simulation.listen(25, Registry(), ServerConfig())

    async def client() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as one:
            for command in (Mail(ReversePath()), Rcpt(ForwardPath.of("bob@example.org"))):
                assert (await one._link.request(command)).code == 250
            assert simulation.now() == 0
            assert (await one.vrfy("bob")).code == 550
            assert simulation.now() == 60

    simulation.run(client())


@pytest.mark.req("RFC5321-3.5.2-06", "RFC5321-7.3-04")
def test_expn_is_offered_only_by_a_handler_that_defines_it() -> None:
    assert "EXPN" in keywords(Directory({}))
    assert "EXPN" not in keywords(Handler())


@pytest.mark.req("RFC6531-3.7.4.2-02", "RFC6531-3.7.4.2-07")
@pytest.mark.parametrize("verb", ["VRFY", "EXPN"])
def test_non_ascii_names_are_sent_only_with_the_smtputf8_parameter(verb: str) -> None:
    handler = Directory({"bob": UTF8, "moved": Reply(551, "5.1.6", "Try <bøb@b.example>")})
    answers = replies(handler, f"{verb} bob SMTPUTF8", f"{verb} bob", f"{verb} moved")
    assert answers == [
        "250 2.1.5 <bøb@bücher.example>",
        "252 2.6.8 The name needs SMTPUTF8 to be shown",
        "550 5.6.8 The reply needs SMTPUTF8 to be shown",
    ]
    assert handler.asked == ["bob", "bob", "moved"]


@pytest.mark.req("RFC5321-4.1.1.6-01", "RFC5321-4.1.1.7-01", "RFC5321-4.1.1.8-03")
def test_lookups_help_and_noop_do_not_change_the_transaction() -> None:
    for line in ("VRFY bob", "EXPN bob", "HELP", "HELP MAIL", "NOOP"):
        answers = replies(
            Directory({"bob": BOB}), "MAIL FROM:<>", line, "RCPT TO:<bob@example.org>", line, "DATA"
        )
        assert [code[:3] for code in answers] == [
            "250",
            answers[1][:3],
            "250",
            answers[1][:3],
            "354",
        ]


@pytest.mark.req("RFC6531-3.7.4.2-03", "RFC6531-3.7.4.2-04")
def test_a_client_receives_names_by_vrfy_and_expn() -> None:
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
        async with await open_client(simulation, "mx", 26, ClientConfig()) as other:
            with pytest.raises(NotOffered, match="SMTPUTF8"):
                await other.vrfy("bob", smtputf8=True)
            assert (await other.vrfy("bob")).text == "<bob@example.org>"

    simulation.run(client())
