"""The form of a server's replies, and the answers to its questions."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import pytest

import smtpproto
from smtpproto.errors import LocalProtocolError
from smtpproto.grammar.command import (
    Mail,
    Noop,
)
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol import server_replies
from smtpproto.protocol.verbs import vocabulary

from .machines import (
    EHLO_LINE,
    MAIL_LINE,
    TO_DATA,
    challenge_auth,
    greeted_server,
    lines_of,
    ready_server,
    reply_to,
)

# Commands that elicit all replies of the machine, in one session.
EVERYTHING = [
    EHLO_LINE,
    b"EHLO\r\nHELO a\tb\r\n",
    b"FOO\r\nTURN\r\nNOOP\r\nRSET\r\nHELP\r\nVRFY a\r\nEXPN a\r\n" + b"x" * 600 + b"\r\n",
    b"AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!\r\nAUTH X\r\nAUTH PLAIN\r\n\r\nAUTH PLAIN\r\n",
    b"AUTH PLAIN =\r\n",
    b"RCPT TO:<a@b.example>\r\nDATA\r\nMAIL FROM:x\r\nMAIL FROM:<> FOO\r\n",
    b"MAIL FROM:<> SIZE=99999\r\n",
    b"MAIL FROM:<\xc3\xa9@b.example>\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n",
    b"RCPT TO:<\xc3\xa9@b.example>\r\n",
    b"RCPT TO:<a>\r\nDATA\r\n" + b"RCPT TO:<a@b.example>\r\n" * 101 + b"DATA\r\n",
    b"x\r\n.\r\n" + TO_DATA + b"x\n\r\n.\r\n" + TO_DATA + b"x" * 70000 + b"\r\n.\r\n",
    b"STARTTLS\r\nNOOP\r\n",
]


def everything(**options: Any) -> list[tuple[str, bytes]]:
    """Return each reply line, with the item of EVERYTHING that it answers."""
    limits = Limits(message_size=65536, recipients=100)
    server = ready_server(
        limits=limits,
        starttls=True,
        mechanisms=("PLAIN",),
        auth_in_clear=True,
        application=challenge_auth,
        **options,
    )
    return [(line, data) for data in EVERYTHING for line in server.lines(data)]


def test_a_server_that_does_not_offer_enhanced_codes_sends_none() -> None:
    """RFC 2034 2: without the keyword, the text of a reply is free."""
    replies = everything(extensions={"ENHANCEDSTATUSCODES": None})
    assert len(replies) == len(everything()) - 1  # without the keyword
    for line, _ in replies:
        assert not re.match(r"... ?-?[0-9]\.[0-9]", line), line


WRONG = {
    EHLO_LINE: [220, 251, 354, 334, 221, 399],
    b"MAIL FROM:<>\r\n": [220, 251, 252, 354, 299],
    b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n": [252, 354, 220],
    TO_DATA: [250, 334, 355, 220],
    TO_DATA + b".\r\n": [354, 251, 220, 235],
    b"VRFY a\r\n": [334, 354, 214],
    b"EXPN a\r\n": [251, 354],
    b"HELP\r\n": [250, 354],
    b"STARTTLS\r\n": [250, 354, 334],
    b"AUTH PLAIN\r\n": [250, 220, 354],
    b"AUTH PLAIN\r\nAAAA\r\n": [250, 220, 354],
}


@pytest.mark.req("RFC2034-3-02", "RFC2034-4-01")
def test_all_replies_but_3yz_and_those_to_hellos_have_enhanced_codes() -> None:
    for line, data in everything():
        if data in EVERYTHING[:2] or line.startswith("3"):
            assert not re.match(r"... ?-?[0-9]\.[0-9]", line), line
        else:
            assert re.match(r"([245])[0-9]{2}[ -]\1\.[0-9]{1,3}\.[0-9]{1,3} \S", line), line


@pytest.mark.req("RFC5321-4.2-05", "RFC5321-4.2.1-06", "RFC5321-4.2-08", "RFC5321-4.3.2-02")
def test_all_replies_have_text_and_a_code_of_rfc_5321() -> None:
    seen = set()
    for line, _ in everything():
        if line != "334 ":  # the text of a challenge may be empty
            assert re.match(r"[2345][0-5][0-9][ -]\S", line)
            seen.add(int(line[:3]))
    assert seen == {
        214, 235, 250, 252, 354, 421, 452, 500, 501, 502, 503, 504, 550, 552, 553, 554, 555
    }  # fmt: skip


@pytest.mark.req("RFC2034-3-02", "RFC2034-4-03", "RFC2034-4-05", "RFC2033-5-09")
@pytest.mark.parametrize("hello", [b"", EHLO_LINE, b"HELO a.example\r\n"])
@pytest.mark.parametrize("code", [250, 421, 450, 451, 452, 454, 500, 501, 521, 550, 554, 599])
def test_a_reply_without_enhanced_code_gets_one_of_its_class(hello: bytes, code: int) -> None:
    """Also before EHLO, and after HELO; on each line."""
    server = greeted_server()
    server.feed(hello)
    assert server.lines(b"RCPT TO:<a@b.example>\r\n")[0].startswith("503 5.5.1 ")
    server.ask(b"VRFY a\r\n" if hello == b"" or code != 250 else b"MAIL FROM:<>\r\n")
    server.machine.answer(Reply(code, None, "a\nb"))
    first, last = lines_of(server.machine.data_to_send())
    assert first.startswith(f"{code}-{code // 100}.0.0 ")
    assert last == f"{code} {code // 100}.0.0 b"


def replies_in_the_code() -> dict[str, Reply]:
    """Return every reply that is a constant of the library or the default reply of a verb."""
    found = {
        f"{module.name}.{name}": value
        for module in pkgutil.walk_packages(smtpproto.__path__, "smtpproto.")
        if "__main__" not in module.name and "adapters" not in module.name
        for name, value in vars(importlib.import_module(module.name)).items()
        if isinstance(value, Reply)
    }
    verbs = {name: verb.default_reply for name, verb in vocabulary().verbs.items()}
    steps = {kind.__name__: reply for kind, (reply, _) in server_replies.STEPS.items()}
    return found | verbs | steps


@pytest.mark.req("RFC5321-4.2-05", "RFC5321-4.2.1-06")
def test_every_reply_of_the_library_has_text_besides_its_codes() -> None:
    replies = replies_in_the_code()
    assert len(replies) > 60
    for name, reply in replies.items():
        for line in reply.lines:
            assert line.strip(), name
        assert re.match(rb"[2-5][0-5][0-9] \S", bytes(reply)), name


@pytest.mark.req("RFC5321-4.2.1-03", "RFC5321-4.2.1-05", "RFC5321-4.2-08", "RFC5321-4.3.2-02")
@pytest.mark.parametrize(
    "lines", [["a"], ["a", "b"], ["a", "", "c"], ["", "", ""], ["-", " ", "250 x"]], ids=repr
)
def test_every_line_has_the_code_of_the_reply_and_all_but_the_last_a_hyphen(
    lines: list[str],
) -> None:
    server = ready_server(limits=Limits(errors=1000, junk_commands=1000))
    for code in (250, 251, 252, *range(400, 421), *range(422, 600)):
        server.ask(b"VRFY a\r\n")
        server.machine.answer(Reply(code, None, lines))
        sent = lines_of(server.machine.data_to_send())
        assert [line[:4] for line in sent] == [f"{code}-"] * (len(lines) - 1) + [f"{code} "]


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(250), b"250 2.0.0 \r\n"),
        (Reply(250, "2.1.0", "a\nb"), b"250-2.1.0 a\r\n250 2.1.0 b\r\n"),
        (Reply(250, None, "a\nb\nc"), b"250-2.0.0 a\r\n250-2.0.0 b\r\n250 2.0.0 c\r\n"),
        (Reply(450, None, "later"), b"450 4.0.0 later\r\n"),
        (Reply(450, "4.2.1", ["a", "", "b"]), b"450-4.2.1 a\r\n450-4.2.1 \r\n450 4.2.1 b\r\n"),
        (Reply(550, "5.1.1", "a\nb\nc"), b"550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n"),
        (Reply(550, None, "caf\u00e9 \u2028"), b"550 5.0.0 caf\\xe9 \r\n"),
        (Reply(421, None, "bye"), b"421 4.0.0 mx.example.org bye\r\n"),
    ],
)
@pytest.mark.req("RFC2034-4-04")
def test_answers_get_enhanced_codes_and_the_host_name(reply: Reply, wire: bytes) -> None:
    server = ready_server()
    server.ask(b"MAIL FROM:<>\r\n")
    server.machine.answer(reply)
    assert server.machine.data_to_send() == wire


@pytest.mark.req("RFC5321-4.5.3.1.5-01/server")
def test_long_reply_texts_are_folded_to_512_octets() -> None:
    server = ready_server()
    server.ask(b"VRFY a\r\n")
    server.machine.answer(Reply(421, "4.0.0", "word " * 300))
    lines = server.machine.data_to_send().split(b"\r\n")
    assert max(map(len, lines)) <= 510
    assert all(line.startswith(b"421") for line in lines[:-1])


@pytest.mark.req("RFC5321-4.3.1-06")
@pytest.mark.parametrize("data", WRONG)
def test_a_code_that_does_not_answer_the_question_raises_and_sends_nothing(data: bytes) -> None:
    server = ready_server(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    *before, last = data.splitlines(keepends=True)
    for line in before:
        server.ask(line)
        server.machine.answer(Reply(334, None, "") if line.startswith(b"AUTH") else None)
    question = server.ask(last)
    server.machine.data_to_send()
    phase = server.machine.phase
    for code in WRONG[data]:
        with pytest.raises(LocalProtocolError):
            server.machine.answer(Reply(code))
        assert server.machine.data_to_send() == b""
        assert (server.machine.question, server.machine.phase) == (question, phase)
    server.machine.answer()
    assert server.machine.data_to_send()


def test_the_machine_requires_one_answer_for_each_question() -> None:
    server = greeted_server()
    with pytest.raises(LocalProtocolError):
        server.machine.answer()
    with pytest.raises(LocalProtocolError):
        server.machine.answer(Reply(550))
    with pytest.raises(LocalProtocolError):
        server.machine.challenge(b"")
    with pytest.raises(LocalProtocolError):
        server.machine.tls_started()
    server.ask(EHLO_LINE + b"NOOP\r\n")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="answer Ehlo first"):
            server.machine.next_event()
    assert server.machine.data_to_send() == b""
    server.machine.answer()
    assert isinstance(server.machine.next_event(), Noop)
    with pytest.raises(LocalProtocolError):
        server.machine.answer()
    assert isinstance(server.ask(b"MAIL FROM:<>\r\n"), Mail)
    with pytest.raises(LocalProtocolError):
        server.machine.challenge(b"x")
    server.machine.answer()


@pytest.mark.parametrize("falsy", [False, "", 0, []])
def test_an_answer_that_is_neither_reply_nor_none_raises(falsy: Any) -> None:
    machine = ready_server().machine
    machine.receive(b"MAIL FROM:<>\r\n")
    machine.next_event()
    with pytest.raises(TypeError, match="reply cannot be"):
        machine.answer(falsy)
    assert machine.question is not None


@pytest.mark.req("RFC5248-2-01/server")
def test_an_application_may_use_an_enhanced_code_that_nobody_registered() -> None:
    server = ready_server(application=reply_to(Mail, Reply(550, "5.9.99", "x")))
    assert server.lines(MAIL_LINE) == ["550 5.9.99 x"]
