"""Opening a connection: the greeting, the client's name in EHLO, and STARTTLS that fails."""

from __future__ import annotations

import logging

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    GrammarError,
    NotOffered,
    Refusal,
    RemoteProtocolError,
    Reply,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.commands import XClient
from smtpproto.grammar.command import Ehlo
from smtpproto.grammar.domain import to_host
from smtpproto.grammar.xclient import XClientAttributes
from tests.support.dialogue import GOODBYE, hello, play

HELLO = hello()
STARTTLS_REFUSED = f"{hello('STARTTLS')}C: STARTTLS\nS: 454 4.7.0 not now\n{GOODBYE}"


# -- greeting and QUIT ---------------------------------------------------------------------------


@pytest.mark.req(
    "RFC5321-2.2.1-02",
    "RFC5321-4.1.1.10-03",
    "RFC5321-4.1.1.10-04",
    "RFC5321-4.1.4-18",
    "RFC5321-4.1.1.1-02",
    "RFC5321-4.1.1.1-04",
    "RFC5321-4.1.4-09",
    "RFC5321-F.3-01",
)
def test_a_session_begins_with_ehlo_and_ends_with_quit() -> None:
    play(HELLO + GOODBYE)


@pytest.mark.req("RFC5321-2.2.1-03/client", "RFC5321-3.2-02")
@pytest.mark.parametrize("code", [500, 502, 504])
def test_helo_follows_an_ehlo_that_the_server_does_not_know(code: int) -> None:
    play(f"""
        S: 220 mx.example.org
        C: EHLO [127.0.0.1]
        S: {code} what?
        C: HELO [127.0.0.1]
        S: 250 mx.example.org
        {GOODBYE}
    """)


@pytest.mark.req("RFC5321-4.2-12", "RFC5321-4.2-11")
def test_every_line_of_the_greeting_is_kept_and_the_first_names_the_host() -> None:
    async def look(client: Client) -> None:
        assert client.greeting == Reply(220, None, ["mx.example.org ESMTP", "No spam", "please"])
        assert client.greeting.text.split()[0] == "mx.example.org"

    greeting = "S: 220-mx.example.org ESMTP\nS: 220-No spam\nS: 220 please\n"
    play(f"{greeting}{HELLO.partition(chr(10))[2]}{GOODBYE}", look)


@pytest.mark.req("RFC5321-4.1.4-19", "RFC5321-4.1.1.10-03", "RFC5321-4.1.4-18")
def test_a_554_greeting_is_answered_with_quit() -> None:
    with pytest.raises(Refusal) as caught:
        play(f"S: 554 no service for you\n{GOODBYE}")
    assert caught.value.reply.code == 554
    assert caught.value.phase == "greeting"


@pytest.mark.req("RFC7504-3-04")
def test_a_521_greeting_is_a_permanent_refusal() -> None:
    with pytest.raises(Refusal) as caught:
        play(f"S: 521 mx.example.org takes no mail\n{GOODBYE}")
    assert caught.value.reply.permanent
    assert caught.value.phase == "greeting"


@pytest.mark.req("RFC5321-3.8-06")
def test_a_421_greeting_is_a_refusal() -> None:
    with pytest.raises(Refusal) as caught:
        play("S: 421 mx closing")
    assert caught.value.reply.code == 421


def test_the_error_for_a_silent_server_suggests_implicit_tls() -> None:
    with pytest.raises(TimedOut, match="TLS from the first octet") as caught:
        play("S: <silence>")
    assert caught.value.phase == "greeting"


def test_any_first_octets_of_the_server_raise_only_smtperror() -> None:
    for line in ("", "x", "220", "199 a", "600 b", "220-a", "2200 b", "\xff", "354 c", "220 \x1b"):
        try:
            play(f"S: {line}\n")
        except SMTPError:
            continue
        except AssertionError as error:
            assert "EHLO" in str(error)  # the client went on, past the end of the script


# -- the client's name ---------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.1-01", "RFC5321-4.1.4-09", "RFC5321-2.3.5-03")
@pytest.mark.parametrize(
    ("address", "literal"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
    ],
)
def test_without_a_name_ehlo_has_the_local_address_as_a_literal(address: str, literal: str) -> None:
    script = HELLO.replace("[127.0.0.1]", literal)
    play(f"{script}{GOODBYE}", sockname=(address, 49152))


@pytest.mark.req("RFC5321-2.3.4-01/client", "RFC5321-4.1.4-08")
def test_a_name_replaces_the_literal_in_ehlo_and_helo() -> None:
    named = HELLO.replace("[127.0.0.1]", "client.example.org")
    play(f"{named}{GOODBYE}", hello="client.example.org")
    old = named.replace("250 mx", "502 what?\nC: HELO client.example.org\nS: 250 mx")
    play(f"{old}{GOODBYE}", hello="client.example.org")
    play(f"{named.replace('EHLO', 'LHLO')}{GOODBYE}", hello="client.example.org", lmtp=True)


@pytest.mark.req("RFC6531-3.7.1-01")
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048.jp", "xn--r8jz45g.jp"),
        ("mx.xn--bcher-kva.example", "mx.xn--bcher-kva.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
    ],
)
def test_the_name_in_ehlo_and_helo_is_sent_in_ascii(name: str, sent: str) -> None:
    for host in (name, to_host(name)):
        old = f"S: 220 mx\nC: EHLO {sent}\nS: 502 what?\nC: HELO {sent}\nS: 250 mx\n"
        play(f"{old}{GOODBYE}", hello=host)
    with pytest.raises(GrammarError):
        Ehlo(name if name != sent else "\u00e9.example")


@pytest.mark.req("RFC5321-4.1.4-08")
def test_the_name_is_sent_again_in_the_ehlo_of_a_new_session() -> None:
    async def talk(client: Client) -> None:
        await client.command(XClient(XClientAttributes(name="a.example")))

    first = hello("XCLIENT NAME").replace("[127.0.0.1]", "client.example.org")
    again = "C: XCLIENT NAME=a.example\nS: 220 mx\nC: EHLO client.example.org\nS: 250 mx\n"
    play(f"{first}{again}{GOODBYE}", talk, hello="client.example.org")


@pytest.mark.req("RFC5321-2.3.5-03")
@pytest.mark.parametrize(
    "name",
    ["client.example.org", "a-b.example", "[192.0.2.7]", "[IPv6:2001:db8::7]", "[x-tag:text]"],
)
def test_the_name_in_ehlo_may_be_a_domain_or_an_address_literal(name: str) -> None:
    play(f"{HELLO.replace('[127.0.0.1]', name)}{GOODBYE}", hello=name)


@pytest.mark.req("RFC5321-2.3.5-03")
@pytest.mark.parametrize(
    "name",
    ["ann.example\r\nQUIT", "ann example", "ann..example", "-ann.example", "ann/example", "a@b.c",
     "<ann.example>", "[192.0.2.256]", "[2001:db8::7]", "[192.0.2.7", "192.0.2.7]", "", "#7"],
)  # fmt: skip
def test_the_name_in_ehlo_may_be_nothing_else(name: str) -> None:
    with pytest.raises(GrammarError):
        ClientConfig(hello=name)


def test_the_error_for_a_refused_ehlo_suggests_another_name() -> None:
    with pytest.raises(Refusal, match="set hello"):
        play(f"S: 220 mx\nC: EHLO [127.0.0.1]\nS: 550 who?\n{GOODBYE}")


@pytest.mark.req("RFC5321-2.3.5-01")
@pytest.mark.parametrize(
    ("name", "warned"),
    [("client", True), ("localhost", True), ("client.example.org", False), ("[192.0.2.1]", False)],
)
def test_a_name_that_is_not_fully_qualified_is_logged_as_a_warning(
    name: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto"):
        ClientConfig(hello=name)
        ClientConfig()
    assert ("not fully qualified" in caplog.text) == warned


# -- EHLO keywords -------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.1-12", "RFC5321-4.1.1.1-09", "RFC5321-2.4-01/client")
@pytest.mark.parametrize(
    ("lines", "keywords"),
    [
        (["mx.example.org Hello, pleased to meet you"], {}),
        ([""], {}),
        (["", "SIZE 1000"], {"SIZE": "1000"}),
        (["SIZE 5 is the name of this host", "8BITMIME"], {"8BITMIME": ""}),
        (["mx", "sTaRtTlS", "chunking", "Size 1000", "AUTH PLAIN x"],
         {"STARTTLS": "", "CHUNKING": "", "SIZE": "1000", "AUTH": "PLAIN x"}),
        (["mx", "SIZE 1", "SIZE 2"], {"SIZE": "2"}),
        (["mx", "AUTH=PLAIN LOGIN"], {"AUTH": "PLAIN LOGIN"}),
        (["mx", "auth=PLAIN LOGIN", "AUTH PLAIN"], {"AUTH": "LOGIN PLAIN"}),
        (["mx", "AUTH  PLAIN   LOGIN ", "HELP "], {"AUTH": "PLAIN LOGIN", "HELP": ""}),
        (["mx", "X-MINE a b=c", "FOO", "no_keyword", "", "- -"], {"X-MINE": "a b=c", "FOO": ""}),
    ],
)  # fmt: skip
def test_keywords_are_read_from_all_lines_of_the_reply_to_ehlo_but_the_first(
    lines: list[str], keywords: dict[str, str]
) -> None:
    async def look(client: Client) -> None:
        assert dict(client.extensions.keywords) == keywords
        for keyword in keywords:
            assert keyword.lower() in client.extensions and keyword.title() in client.extensions

    reply = "".join(f"S: 250-{line}\n" for line in lines[:-1]) + f"S: 250 {lines[-1]}\n"
    play(f"S: 220 mx\nC: EHLO [127.0.0.1]\n{reply}{GOODBYE}", look)


@pytest.mark.req("RFC4865-3-01")
@pytest.mark.parametrize(
    ("keyword", "malformed"),
    [("FUTURERELEASE 86400 2030-01-01T00:00:00Z", False), ("FUTURERELEASE 86400", True)],
)
def test_a_malformed_ehlo_keyword_is_logged_and_ignored(
    keyword: str, malformed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def look(client: Client) -> None:
        assert (client.extensions.future_release is None) == malformed

    with caplog.at_level(logging.WARNING, "smtpproto"):
        play(hello(keyword) + GOODBYE, look)
    assert ("FUTURERELEASE" in caplog.text) == malformed


# -- STARTTLS ------------------------------------------------------------------------------------


@pytest.mark.req("RFC3207-6-06", "RFC3207-6-01/client")
def test_required_tls_that_is_not_offered_ends_the_session() -> None:
    with pytest.raises(NotOffered, match="STARTTLS"):
        play(HELLO + GOODBYE, tls=TLSMode.REQUIRED)


@pytest.mark.req("RFC3207-6-06")
def test_required_tls_that_is_refused_ends_the_session() -> None:
    with pytest.raises(Refusal, match="454"):
        play(STARTTLS_REFUSED, tls=TLSMode.REQUIRED)


@pytest.mark.req("RFC3207-6-02/client", "RFC3207-4-03")
def test_opportunistic_tls_goes_on_in_clear_if_starttls_is_missing_or_refused() -> None:
    play(HELLO + GOODBYE, tls=TLSMode.OPPORTUNISTIC)
    play(STARTTLS_REFUSED, tls=TLSMode.OPPORTUNISTIC)


@pytest.mark.req("RFC3207-6-05")
def test_octets_after_the_reply_to_starttls_end_the_session() -> None:
    with pytest.raises(RemoteProtocolError, match="injecting"):
        script = f"{hello('STARTTLS')}C: STARTTLS\nS: 220 go\nS: 250-evil\n"
        play(script, tls=TLSMode.REQUIRED)
