"""Slips that a newcomer made, and what each is told now."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from smtpproto import (
    BadCredentials,
    BearerToken,
    Client,
    ClientConfig,
    Envelope,
    GrammarError,
    Handler,
    LocalProtocolError,
    Login,
    NotOffered,
    Refusal,
    ScramKeys,
    ServerConfig,
    StoredKeys,
    TransportError,
)
from smtpproto.client.link import _CHECK_IMPLICIT_TLS
from smtpproto.client.target import make_target
from tests.support.dialogue import MAIL, hello, play
from tests.support.envelopes import TO_BOB
from tests.support.logins import NO_DELAY, base64
from tests.support.scripted_client import Accounts, serve
from tests.support.scripted_client import octets as lines


async def nothing(_: Client) -> None: ...


BYE = "C: QUIT\nS: 221 bye\n"
AUTH = "C: AUTH PLAIN AGFubgBzZWNyZXQ=\n"


# -- what is given -------------------------------------------------------------------------------


def test_a_login_may_be_two_words_everywhere() -> None:
    async def talk(client: Client) -> None:
        await client.login(("ann", "secret"))

    play(f"{hello('AUTH PLAIN')}{AUTH}S: 235 ok\n{BYE}", talk, login_in_clear=True)


def test_a_file_that_was_opened_for_text(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("hi\n")

    async def talk(client: Client) -> None:
        with open(tmp_path / "mail") as file, pytest.raises(GrammarError, match='with "rb"'):
            await client.send(file, TO_BOB)  # type: ignore[arg-type]

    play(f"{hello()}{BYE}", talk)


def test_a_tuple_is_no_envelope() -> None:
    envelope: Any = ("ann@example.org", ["bob@example.org"])

    async def talk(client: Client) -> None:
        with pytest.raises(GrammarError, match="not an Envelope: tuple") as caught:
            await client.send(b"hi\n", envelope)
        assert caught.value.phase == "plan" and "phase: plan" in str(caught.value)

    play(f"{hello()}{BYE}", talk)


@pytest.mark.parametrize("option", ["timeouts", "limits", "leniencies"])
@pytest.mark.parametrize("config", [ClientConfig, ServerConfig])
def test_a_number_where_there_are_many(option: str, config: Any) -> None:
    with pytest.raises(TypeError, match=option):
        config(**{option: 30})


@pytest.mark.parametrize("host", ["", "localhost:2525", "[::1]", "[::1]:25", "::1:x", "mx:smtp"])
def test_a_host_is_no_more_than_a_host(host: str) -> None:
    with pytest.raises(GrammarError, match="without port and brackets"):
        make_target(host)


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "192.0.2.1", "mx_1.example", "localhost"])
def test_hosts(host: str) -> None:
    assert make_target(host).host == host


# -- what is told --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "S: <reset>\n", "S: <silence>\n"])
def test_a_port_that_waits_for_tls_says_nothing(words: str) -> None:
    """As does a server of ours with implicit TLS, until its patience ends before a client's."""
    with pytest.raises(TransportError) as caught:
        play(words, nothing)
    assert caught.value.check == _CHECK_IMPLICIT_TLS


@pytest.mark.parametrize("code", [500, 502])
def test_another_language(code: int) -> None:
    smtp = f"C: EHLO [127.0.0.1]\nS: {code} what\nC: HELO [127.0.0.1]\nS: {code} what\n"
    for script, lmtp in ((smtp, False), (f"C: LHLO [127.0.0.1]\nS: {code} what\n", True)):
        with pytest.raises(Refusal) as caught:
            play(f"S: 220 mx\n{script}{BYE}", nothing, lmtp=lmtp)
        assert "lmtp" in caught.value.check


def test_which_mechanisms_there_might_have_been() -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(NotOffered) as caught:
            play(f"{hello('AUTH CRAM-MD5 XOAUTH2')}{BYE}", nothing, login_in_clear=True, **options)
        return caught.value.message

    login = Login("ann", "secret", authzid="bob")
    assert "could use SCRAM-SHA-256 SCRAM-SHA-1 PLAIN" in refused(login=login)
    assert "could use LOGIN" in refused(login=("ann", "secret"), mechanisms=["LOGIN"])
    assert "could use none" in refused(login=BearerToken("ann", "token"))


def test_whether_there_was_no_tls_or_nobody_was_verified() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        play(f"{hello('AUTH PLAIN')}{BYE}", nothing, login=("ann", "secret"))
    assert caught.value.check.startswith("tls: ")


def test_a_source_of_tokens_that_gives_none() -> None:
    source: Any = lambda: None  # noqa: E731
    with pytest.raises(TypeError, match="the token function returned NoneType"):
        BearerToken("ann", source).fetched().send(None)


def test_whose_login_failed_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smtpproto.server")
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    serve(Handler(), lines("EHLO a.example", "AUTH PLAIN AGFubgBndWVzcw=="), config=config)
    assert "login of 192.0.2.1, 4711, by PLAIN failed: wrong user name" in caplog.text


def test_users_of_whom_none_could_use_scram(caplog: pytest.LogCaptureFixture) -> None:
    keys = {name: ScramKeys.derive("x", salt=b"x", hash_name=name) for name in ("SHA-1", "SHA-256")}
    StoredKeys({"ann": keys["SHA-1"], "bob": keys["SHA-256"]})
    assert "no SCRAM" in caplog.text
    caplog.clear()
    StoredKeys({"ann": list(keys.values()), "bob": keys["SHA-256"]})
    StoredKeys({})
    assert not caplog.text


# -- content that was given up -------------------------------------------------------------------


def test_behind_half_a_message_the_connection_is_over() -> None:
    """There is no way to say that the other half will not come."""

    async def half() -> Any:
        yield b"hi\r\n"
        raise LookupError

    async def talk(client: Client) -> None:
        with pytest.raises(LookupError):
            await client.send(half(), TO_BOB)
        assert not client.usable
        with pytest.raises(LocalProtocolError, match="this connection is over"):
            await client.send(b"hi\r\n", Envelope("a@b.example", "c@d.example"))

    play(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: hi\n", talk)


def test_a_refused_token_is_told_by_its_name() -> None:
    no = base64('{"status":"invalid_token","scope":"mail"}')
    first = base64("user=ann\1auth=Bearer t0ken\1\1")
    script = f"{hello('AUTH XOAUTH2')}C: AUTH XOAUTH2 {first}\nS: 334 {no}\nC: \nS: 535 no\n{BYE}"

    async def talk(client: Client) -> None:
        client._trusted = True
        with pytest.raises(BadCredentials, match="status invalid_token, scope mail") as caught:
            await client.login(BearerToken("ann", "t0ken"))
        assert caught.value.check.startswith("the token")

    play(script, talk)


def test_a_password_in_a_url_is_not_in_the_traceback() -> None:
    """The error below it has the octets, for who shows locals or formats it with more."""
    with pytest.raises(GrammarError, match="UTF-8") as caught:
        make_target("smtp://ann:hunter2%ff@mx.example")
    assert caught.value.__suppress_context__
