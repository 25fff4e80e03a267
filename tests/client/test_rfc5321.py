"""RFC 5321 and its neighbours in a client's conversation, requirement by requirement."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    Envelope,
    ForwardPath,
    GrammarError,
    LocalProtocolError,
    NotOffered,
    Outcome,
    RcptParameters,
    Refusal,
    Reply,
    ReversePath,
    SendRefused,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from smtpproto.events import BodyChunk, asks
from smtpproto.grammar.command import Command, Mail, Rcpt
from smtpproto.grammar.dsn import Notify
from smtpproto.protocol.server import ServerProtocol
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB

HELLO = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250 mx.example.org
"""
GOODBYE = """
    C: QUIT
    S: 221 bye
"""
BOB = "bob@example.org"


def offering(*keywords: str) -> str:
    lines = ["mx.example.org", *keywords]
    said = "".join(f"S: 250-{line}\n" for line in lines[:-1]) + f"S: 250 {lines[-1]}\n"
    return f"S: 220 mx.example.org ESMTP\nC: EHLO [127.0.0.1]\n{said}"


def mail(parameters: str = "", reply: str = "250 ok") -> str:
    return f"C: MAIL FROM:<ann@example.org>{parameters}\nS: {reply}\n"


def rcpt(recipient: str = BOB, reply: str = "250 ok") -> str:
    return f"C: RCPT TO:<{recipient}>\nS: {reply}\n"


def data(*lines: str, reply: str = "250 ok") -> str:
    said = "".join(f"C: {line}\n" for line in lines)
    return f"C: DATA\nS: 354 go\n{said}C: .\nS: {reply}\n"


RESET = "C: RSET\nS: 250 ok\n"


def play(
    script: str,
    talk: Callable[[Client], Awaitable[None]] | None = None,
    sockname: tuple[str, int] = ScriptedStream.sockname,
    **options: Unpack[ClientOptions],
) -> None:
    """Open a client against *script*, let *talk* give a coroutine of what it does, and quit."""
    stream = ScriptedStream(script)
    stream.sockname = sockname
    options.setdefault("tls", TLSMode.NONE)
    config = ClientConfig(**options)

    async def main() -> None:
        client = await start_client(
            Runtime(), stream, "mx.example.org", config, config.tls_mode(25)
        )
        async with client:
            if talk is not None:
                await talk(client)

    try:
        run(main())
    finally:
        assert stream.closed
        stream.finish()


def send(
    script: str,
    envelope: Envelope = TO_BOB,
    body: bytes = b"hello\r\n",
    **options: Unpack[ClientOptions],
) -> Outcome:
    """Send one message in the middle of *script*."""
    outcomes: list[Outcome] = []

    async def talk(client: Client) -> None:
        outcomes.append(await client.send(body, envelope))

    play(script, talk, **options)
    return outcomes[0]


# -- its name ------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.1-01", "RFC5321-4.1.4-09")
@pytest.mark.parametrize(
    ("address", "literal"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
    ],
)
def test_who_has_no_name_says_its_address(address: str, literal: str) -> None:
    script = HELLO.replace("[127.0.0.1]", literal)
    play(f"{script}{GOODBYE}", sockname=(address, 49152))


@pytest.mark.req("RFC5321-2.3.4-01", "RFC5321-4.1.4-08")
def test_who_has_a_name_says_it_and_never_its_address() -> None:
    named = HELLO.replace("[127.0.0.1]", "client.example.org")
    play(f"{named}{GOODBYE}", hello="client.example.org")
    old = named.replace("250 mx", "502 what?\nC: HELO client.example.org\nS: 250 mx")
    play(f"{old}{GOODBYE}", hello="client.example.org")


@pytest.mark.req("RFC5321-2.3.5-01")
@pytest.mark.parametrize(
    ("name", "warned"),
    [("client", True), ("localhost", True), ("client.example.org", False), ("[192.0.2.1]", False)],
)
def test_a_name_that_is_not_qualified_is_warned_of(
    name: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto"):
        ClientConfig(hello=name)
        ClientConfig()
    assert ("not fully qualified" in caplog.text) == warned


# -- what it says, and what not --------------------------------------------------------------------


@pytest.mark.req("RFC5321-2.2.2-02")
def test_private_extensions_are_not_used_unasked() -> None:
    offer = offering("XCLIENT NAME", "XFORWARD NAME ADDR", "X-FOO", "SIZE", "8BITMIME")
    send(f"{offer}{mail(' SIZE=7')}{rcpt()}{data('hello')}{GOODBYE}")


@pytest.mark.req("RFC2920-2-01", "RFC6531-3.1-02")
def test_parameters_that_a_keyword_does_not_have_are_ignored() -> None:
    group = "C: MAIL FROM:<ann@example.org>{}\nC: RCPT TO:<{}>\nC: DATA\n" + "S: 250 ok\n" * 2
    end = "S: 354 go\nC: hello\nC: .\nS: 250 ok\n"
    offer = offering("PIPELINING now", "8BITMIME x", "SMTPUTF8 X y")
    send(f"{offer}{group.format('', BOB)}{end}{GOODBYE}")
    path = "bøb@example.org"
    script = f"{offer}{group.format(' SMTPUTF8', path)}{end}{GOODBYE}"
    send(script, Envelope("ann@example.org", path))


@pytest.mark.req("RFC6531-3.2-12")
def test_who_needs_no_smtputf8_sees_no_difference() -> None:
    for keywords in (["8BITMIME"], ["8BITMIME", "SMTPUTF8"]):
        send(f"{offering(*keywords)}{mail()}{rcpt()}{data('hello')}{GOODBYE}")


@pytest.mark.req("RFC5321-2.3.1-01")
def test_the_envelope_is_not_the_header() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "eve@x.example", "all@x.example", "x"

    async def talk(client: Client) -> None:
        await client.send(message, TO_BOB)

    lines = ["From: eve@x.example", "To: all@x.example", "Subject: x", ""]
    play(f"{HELLO}{mail()}{rcpt()}{data(*lines)}{GOODBYE}", talk)


@pytest.mark.req("RFC5321-4.1.1.3-06")
def test_parameters_of_rcpt_need_their_offer() -> None:
    wanted = RcptParameters(notify=frozenset({Notify.NEVER}))
    envelope = Envelope("ann@example.org", BOB, rcpt_parameters=wanted)
    with pytest.raises(NotOffered, match="NOTIFY"):
        send(f"{HELLO}{GOODBYE}", envelope)


@pytest.mark.req("RFC5321-C-03", "RFC5321-F.2-04")
def test_no_route_is_ever_sent() -> None:
    route = "@a.example:bob@example.org"
    for make in (ReversePath.of, ForwardPath.of, lambda text: Envelope(text, BOB)):
        with pytest.raises(GrammarError):
            make(route)
        with pytest.raises(GrammarError):
            make(f"<{route}>")
    assert bytes(Mail(ReversePath.parse(f"<{route}>"))) == b"MAIL FROM:<bob@example.org>"
    assert bytes(Rcpt(ForwardPath.parse(f"<{route}>"))) == b"RCPT TO:<bob@example.org>"


@pytest.mark.req("RFC5321-F.6-01")
@pytest.mark.parametrize("name", ["SEND", "SOML", "SAML", "TURN"])
def test_commands_of_old_are_not_sent(name: str) -> None:
    old = type(name, (Command,), {"verb": name})

    async def talk(client: Client) -> None:
        with pytest.raises(LocalProtocolError, match="not a verb"):
            await client.command(old())

    play(f"{HELLO}{GOODBYE}", talk)
    assert not {"soml", "saml", "turn"} & set(dir(Client))


# -- VRFY, EXPN ------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.5.2-07", "RFC5321-3.5.1-08", "RFC5321-3.5.1-13", "RFC5321-4.1.4-13")
def test_what_servers_say_of_names_is_given_as_it_is() -> None:
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


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.5.1-13")
def test_a_refusal_keeps_all_its_lines() -> None:
    with pytest.raises(SendRefused) as caught:
        script = rcpt("smith@example.org", "553-Ambiguous\nS: 553-<ann@x.example>\nS: 553 or Bob")
        envelope = Envelope("ann@example.org", "smith@example.org")
        send(f"{HELLO}{mail()}{script}{RESET}{GOODBYE}", envelope)
    assert caught.value.reply.lines == ("Ambiguous", "<ann@x.example>", "or Bob")
    assert "<ann@x.example>" in str(caught.value)


@pytest.mark.req("RFC5321-4.2.1-02", "RFC7504-4-02", "RFC5321-4.5.3.1-03")
@pytest.mark.parametrize("code", [500, 501, 550, 552, 556])
def test_a_permanent_refusal_is_not_tried_again(code: int) -> None:
    people = ["long@example.org", BOB]
    outcome = send(
        f"{HELLO}{mail()}{rcpt(people[0], f'{code} no')}{rcpt()}{data('hello')}{GOODBYE}",
        Envelope("ann@example.org", people),
    )
    assert [str(path) for path in outcome.accepted] == [BOB]
    ((path, reply),) = outcome.refused.items()
    assert (str(path), reply.permanent) == (people[0], True)
    assert outcome.retry == (() if code != 552 else (path,))  # which once meant "too many"


@pytest.mark.req("RFC5321-4.5.3.1-03")
@pytest.mark.parametrize(
    "script",
    [
        mail(reply="552 too big"),
        mail(reply="501 too long"),
        f"{mail()}{rcpt(reply='501 too long')}{RESET}",
        f"{mail()}{rcpt()}{data('hello', reply='552 too big')}",
        f"{mail()}{rcpt()}{data('hello', reply='500 line too long')}",
    ],
)
def test_after_something_too_large_the_session_goes_on(script: str) -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as caught:
            await client.send(b"hello\r\n", TO_BOB)
        assert caught.value.reply.permanent and not caught.value.outcome.accepted
        assert client.usable
        assert (await client.send(b"small\r\n", TO_BOB)).accepted

    play(f"{HELLO}{script}{mail()}{rcpt()}{data('small')}{GOODBYE}", talk)


@pytest.mark.req("RFC5321-4.5.3.1.8-04", "RFC5321-4.5.3.1.10-02")
@pytest.mark.parametrize("code", [452, 552])
def test_recipients_that_were_too_many_can_be_tried_again(code: int) -> None:
    """In a transaction of their own, which the outcome says for whom."""
    people = [f"user{number}@example.org" for number in range(102)]
    first = "".join(map(rcpt, people[:100]))
    rest = "".join(rcpt(name, f"{code} too many recipients") for name in people[100:])

    async def talk(client: Client) -> None:
        outcome = await client.send(b"hello\r\n", Envelope("ann@example.org", people))
        assert len(outcome.accepted) == 100
        assert [str(path) for path in outcome.retry] == people[100:]
        again = await client.send(b"hello\r\n", Envelope("ann@example.org", outcome.retry))
        assert len(again.accepted) == 2

    play(
        f"{HELLO}{mail()}{first}{rest}{data('hello')}"
        f"{mail()}{''.join(map(rcpt, people[100:]))}{data('hello')}{GOODBYE}",
        talk,
    )


def test_552_to_the_only_recipient_is_no_word_for_too_many() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{HELLO}{mail()}{rcpt(reply='552 mailbox full')}{RESET}{GOODBYE}")
    assert caught.value.outcome.retry == ()


@pytest.mark.req("RFC5321-7.4-01")
def test_nobody_is_sent_elsewhere_because_a_server_says_so() -> None:
    people = ["moved@example.org", "gone@example.org"]
    outcome = send(
        f"""{HELLO}{mail()}
        {rcpt(people[0], "251 will forward to <moved@evil.example>")}
        {rcpt(people[1], "551 please try <gone@evil.example>")}
        {data("hello")}{GOODBYE}""",
        Envelope("ann@example.org", people),
    )
    assert [str(path) for path in outcome.accepted] == people[:1]
    assert [str(path) for path in outcome.refused] == people[1:]
    assert [reply.text for reply in outcome.rcpt.values()] == [
        "will forward to <moved@evil.example>",
        "please try <gone@evil.example>",
    ]


@pytest.mark.req("RFC7504-3-04")
def test_a_host_that_takes_no_mail() -> None:
    """QUIT, no EHLO, and nothing that would be tried again."""
    with pytest.raises(Refusal) as caught:
        play(f"S: 521 mx.example.org takes no mail\n{GOODBYE}")
    assert caught.value.reply.permanent
    assert caught.value.phase == "greeting"


@pytest.mark.req("SMUGGLING-11")
def test_what_a_server_says_does_no_harm_where_it_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    evil = "550 5.1.1 no\x1b[2J\rS: 250 ok\x00\x07\x7f\x9b"
    lines: list[str] = []
    with pytest.raises(SendRefused) as caught, caplog.at_level(logging.DEBUG, "smtpproto"):
        send(
            f"{HELLO}{mail()}{rcpt(reply=evil)}{RESET}{GOODBYE}",
            trace=lambda who, line: lines.append(f"{who}: {line}"),
        )
    shown = [*lines, str(caught.value), str(caught.value.reply), caplog.text.replace("\n", "")]
    for text in [*shown, *caught.value.reply.lines]:
        assert text.isprintable()
    assert r"no\x1b[2J\rS: 250 ok\x00\x07\x7f\x9b" in str(caught.value.reply)


# -- content ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC6152-3-03")
@pytest.mark.parametrize("fill", ["x", "\u00e9"])
def test_dots_are_stuffed_in_the_longest_lines_of_eight_bits(fill: str) -> None:
    octets = len(fill.encode())
    line = fill * (998 // octets)
    dotted = "." + fill * (997 // octets)
    body = f"{line}\r\n{dotted}\r\n".encode()
    parameters = "" if fill.isascii() else " BODY=8BITMIME"
    script = f"{offering('8BITMIME')}{mail(parameters)}{rcpt()}{data(line, '.' + dotted)}{GOODBYE}"
    send(script, body=body)


@pytest.mark.req("RFC5321-4.1.1.4-01")
def test_control_characters_are_sent_as_they_are() -> None:
    send(f"{HELLO}{mail()}{rcpt()}{data('a' + chr(1) + 'b' + chr(127))}{GOODBYE}", body=b"a\1b\x7f")


@pytest.mark.req("SMUGGLING-10")
def test_what_came_by_bdat_goes_out_by_data_in_lines() -> None:
    """Dots and ends that BDAT does not look at become stuffed dots and CRLF."""
    content = b"a\r\n.\r\nb\n.\nMAIL FROM:<evil@example.net>\r.\r..c"
    server = ServerProtocol(hostname="mx.example.org")
    taken = b""
    for octets in (
        b"",
        b"EHLO client.example\r\n",
        b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n",
        b"BDAT %d LAST\r\n" % len(content) + content,
    ):
        server.receive(octets) if octets else None
        while (event := server.next_event()) is not None:
            if isinstance(event, BodyChunk):
                taken += event.data
            if asks(event):
                server.answer()
    assert taken == content
    lines = ["a", "..", "b", "..", "MAIL FROM:<evil@example.net>", "..", "...c"]
    send(f"{HELLO}{mail()}{rcpt()}{data(*lines)}{GOODBYE}", body=taken)
