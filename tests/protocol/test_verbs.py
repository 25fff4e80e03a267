"""VRFY, EXPN, HELP, NOOP and ETRN, and the verbs that every server implements."""

from __future__ import annotations

from functools import partial

import pytest

from smtpproto.errors import NotOffered
from smtpproto.grammar.command import Command, Expn, Help, Noop, Vrfy
from smtpproto.grammar.extension_command import Etrn
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase

from .machines import (
    MAIL,
    MAIL_LINE,
    RCPT_LINE,
    ServerDriver,
    assert_refused,
    greeted_server,
    ready_client,
    ready_server,
    reply_to,
)


@pytest.mark.req("RFC5321-4.5.1-01", "RFC5321-4.3.2-06")
@pytest.mark.parametrize("line", [b"EHLO a.example", b"HELO a.example", b"MAIL FROM:<>",
    b"RCPT TO:<a@b.example>", b"DATA", b"RSET", b"NOOP", b"QUIT", b"VRFY bob"])  # fmt: skip
def test_the_required_commands_are_implemented(line: bytes) -> None:
    verb = line.split()[0]
    for server in (greeted_server(), ready_server()):
        for form in (verb, verb.lower(), verb + b" \0", verb + b" x", line):
            assert server.codes(form + b"\r\n")[0] not in (500, 502), form
            if verb == b"QUIT" and server.machine.phase is Phase.CLOSED:
                break
            if server.machine.phase.in_message:
                server.feed(b".\r\n")


@pytest.mark.req("RFC5321-4.1.1.9-02")
@pytest.mark.parametrize("argument", [b"", b" foo", b" RCPT TO:<a@b.example>", b' "x y" z'])
def test_noop_accepts_any_argument_before_and_after_ehlo(argument: bytes) -> None:
    for server in (greeted_server(), ready_server()):
        assert server.lines(b"NOOP" + argument + b"\r\n") == ["250 2.0.0 OK"]
        assert server.events == [Noop(argument[1:].decode())]
        assert server.lines(b"NOOP\r\nNOOP foo bar\r\n") == ["250 2.0.0 OK"] * 2
        assert server.events[1:] == [Noop(), Noop("foo bar")]


@pytest.mark.parametrize(
    ("line", "node"),
    [
        (b"ETRN example.org", "example.org"),
        (b"etrn @example.org", "@example.org"),
        (b"ETRN #queue", "#queue"),
    ],
)
def test_a_server_asks_the_application_about_etrn(line: bytes, node: str) -> None:
    server = ready_server(extensions={"ETRN": ""})
    assert server.codes(line + b"\r\n") == [251]
    assert server.events == [Etrn(node)]
    for code in (250, 252, 253, 458, 459):
        server.application = reply_to(Etrn, Reply(code, None, "So"))
        assert server.codes(line + b"\r\n") == [code]
    assert server.machine.phase is Phase.READY
    assert server.codes(b"ETRN\r\n", b"ETRN a b\r\n", MAIL_LINE, line + b"\r\n") == [
        501,
        501,
        250,
        503,
    ]
    assert ready_server().codes(line + b"\r\n") == [502]


def test_a_client_sends_etrn_only_if_offered() -> None:
    client = ready_client("ETRN", "PIPELINING")
    client.send(Etrn("example.org"))
    assert client.data_to_send() == b"ETRN example.org\r\n"
    assert_refused(client, lambda: client.send(MAIL), match="wait")
    assert_refused(ready_client(), partial(ready_client().send, Etrn("a.b")), NotOffered)


@pytest.mark.req("RFC5321-3.5.3-01")
def test_vrfy_is_252_and_expn_502_by_default() -> None:
    server = ready_server()
    assert server.codes(b"VRFY bob\r\n", b"VRFY <bob@example.org>\r\n") == [252, 252]
    assert server.codes(b"EXPN list\r\n") == [502]


@pytest.mark.req("RFC5321-3.5.1-01", "RFC5321-3.5.1-07", "RFC5321-3.5.2-09")
def test_the_application_may_answer_vrfy_and_expn() -> None:
    server = ready_server(
        application=reply_to(Command, Reply(250, None, "A <a@b.example>\n<c@b.example>"))
    )
    for verb, kind in ((b"VRFY", Vrfy), (b"EXPN", Expn)):
        assert server.lines(verb + b" bob@example.org\r\n") == [
            "250-2.0.0 A <a@b.example>",
            "250 2.0.0 <c@b.example>",
        ]
        assert server.events[-1] == kind("bob@example.org")


@pytest.mark.req("RFC5321-4.1.1.8-02")
def test_the_application_may_answer_help() -> None:
    server = ready_server(application=reply_to(Help, Reply(211, None, "Of MAIL")))
    assert server.lines(b"HELP\r\nHELP MAIL\r\n") == ["211 2.0.0 Of MAIL"] * 2
    assert server.events == [Help(), Help("MAIL")]
    assert ready_server().codes(b"HELP MAIL\r\n") == [214]


@pytest.mark.req("RFC5321-4.5.1-01")
def test_the_minimum_implementation_works_in_one_session() -> None:
    lines = [
        b"HELO a.example",
        b"EHLO a.example",
        MAIL_LINE[:-2],
        RCPT_LINE[:-2],
        b"DATA",
        b".",
        b"RSET",
    ]
    server = ServerDriver()
    replies = server.codes(*[line + b"\r\n" for line in [*lines, b"NOOP", b"VRFY a", b"QUIT"]])
    assert replies == [220, 250, 250, 250, 250, 354, 250, 250, 250, 252, 221]
