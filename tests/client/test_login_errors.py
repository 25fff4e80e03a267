"""Errors of logins: their type and text, and what the client sends after them."""

from __future__ import annotations

import hmac
import pickle
from typing import Any

import pytest

from smtpproto import (
    Anonymous,
    BadCredentials,
    BearerToken,
    Client,
    ClientConfig,
    ConnectionLost,
    External,
    Login,
    LoginRefused,
    NotOffered,
    RemoteProtocolError,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.sasl import Credential
from smtpproto.testing.script import ScriptedStream
from tests.support.certificates import NAME
from tests.support.dialogue import GOODBYE, hello, play
from tests.support.logins import ANN, BEARER, OFFER, TOKEN, XOAUTH2, base64


def open_with_login(script: str, **options: Any) -> Client:
    """Open a client that logs in to the server of *script*."""
    stream = ScriptedStream(script)
    config = ClientConfig(hello="c.example", login=ANN, login_in_clear=True, **options)
    try:
        return run(start_client(Runtime(), stream, "mx.example.org", config, TLSMode.NONE))
    finally:
        stream.finish()


PLAIN_SCRIPT = """\
S: 220 mx.example.org
C: EHLO c.example
S: 250-mx.example.org
S: 250 AUTH PLAIN
C: AUTH PLAIN AGFubgBzZWNyZXQ=
"""


def test_a_login_error_can_be_pickled() -> None:
    script = PLAIN_SCRIPT + "S: 535 5.7.8 No\nC: QUIT\nS: 221 2.0.0 Bye\n"
    with pytest.raises(BadCredentials) as caught:
        open_with_login(script)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.details) == (str(caught.value), {})


@pytest.mark.parametrize("end", ["", "S: <silence>\n", "S: <reset>\n", "S: what?\n"])
def test_the_reason_for_cancelling_is_raised_even_if_the_connection_then_fails(end: str) -> None:
    script = PLAIN_SCRIPT + "S: 334 QUFB\nC: *\n" + end
    with pytest.raises(RemoteProtocolError, match="a challenge in PLAIN") as caught:
        open_with_login(script)
    assert caught.value.command == "AUTH PLAIN"


@pytest.mark.parametrize(
    ("script", "phase", "command"),
    [
        ("S: what?\n", "greeting", ""),
        (PLAIN_SCRIPT + "S: what?\n", "login", "AUTH PLAIN ***"),
        (PLAIN_SCRIPT + "S: 2356 what?\n", "login", "AUTH PLAIN ***"),
    ],
)
def test_a_malformed_reply_is_reported_with_phase_and_command(
    script: str, phase: str, command: str
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        open_with_login(script)
    assert (caught.value.phase, caught.value.command) == (phase, command)


def test_the_error_without_a_common_mechanism_names_those_of_the_login() -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(NotOffered) as caught:
            play(f"{hello('AUTH CRAM-MD5 XOAUTH2')}{GOODBYE}", login_in_clear=True, **options)
        return caught.value.message

    login = Login("ann", "secret", authzid="bob")
    assert "could use SCRAM-SHA-256 SCRAM-SHA-1 PLAIN" in refused(login=login)
    assert "could use LOGIN" in refused(login=("ann", "secret"), mechanisms=["LOGIN"])
    assert "could use none" in refused(login=BearerToken("ann", "token"))


def test_the_error_for_a_refused_token_shows_the_status_of_the_server() -> None:
    refusal = base64('{"status":"invalid_token","scope":"mail"}')
    first = base64("user=ann\1auth=Bearer t0ken\1\1")
    script = (
        f"{hello('AUTH XOAUTH2')}C: AUTH XOAUTH2 {first}\nS: 334 {refusal}\nC: \n"
        f"S: 535 no\n{GOODBYE}"
    )

    async def talk(client: Client) -> None:
        client._trusted = True
        with pytest.raises(BadCredentials, match="status invalid_token, scope mail") as caught:
            await client.login(BearerToken("ann", "t0ken"))
        assert caught.value.check.startswith("the token")

    play(script, talk)


def test_a_login_may_be_a_pair_of_user_name_and_password() -> None:
    async def talk(client: Client) -> None:
        await client.login(("ann", "secret"))

    play(
        f"{hello('AUTH PLAIN')}C: AUTH PLAIN {PLAIN}\nS: 235 ok\n{GOODBYE}",
        talk,
        login_in_clear=True,
    )


# -- each mechanism and each failure -------------------------------------------------------------


PLAIN = base64("\0ann\0secret")
CRAM = b"<1.2@mx>"
ANSWER = base64("ann " + hmac.digest(b"secret", CRAM, "md5").hex())
SCRIPTS: dict[str, tuple[Credential, str]] = {
    "PLAIN": (ANN, f"C: AUTH PLAIN {PLAIN}\n"),
    "LOGIN": (ANN, "C: AUTH LOGIN\nS: 334 \nC: YW5u\n"),  # 535 comes before the password is sent
    "CRAM-MD5": (ANN, f"C: AUTH CRAM-MD5\nS: 334 {base64(CRAM)}\nC: {ANSWER}\n"),
    "OAUTHBEARER": (TOKEN, f"C: AUTH OAUTHBEARER {BEARER}\n"),
    "XOAUTH2": (TOKEN, f"C: AUTH XOAUTH2 {XOAUTH2}\n"),
    "EXTERNAL": (External(), "C: AUTH EXTERNAL =\n"),
    "ANONYMOUS": (Anonymous("ann"), f"C: AUTH ANONYMOUS {base64('ann')}\n"),
}


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("S: 535 5.7.8 No\n", BadCredentials),
        ("S: 454 4.7.0 Later\n", LoginRefused),
        ("S: 421 4.3.0 Bye\n", LoginRefused),
        ("S: what\n", RemoteProtocolError),
        ("S: <silence>\n", TimedOut),
        ("S: <reset>\n", ConnectionLost),
        ("", ConnectionLost),
    ],
)
@pytest.mark.parametrize("mechanism", SCRIPTS)
def test_a_failed_login_raises_its_error_and_sends_only_quit_if_anything(
    mechanism: str, end: str, kind: type[SMTPError]
) -> None:
    """After a refusal the client sends neither a password nor mail, and QUIT only if the connection
    still works."""
    credential, begun = SCRIPTS[mechanism]
    goodbye = "C: QUIT\nS: 221 bye\n" if end.startswith(("S: 535", "S: 454")) else ""
    script = OFFER.format(mechanism).replace("192.0.2.2", "127.0.0.1") + begun + end + goodbye
    stream = ScriptedStream(script)

    async def main() -> None:
        config = ClientConfig(tls="none", login_in_clear=True)
        client = await start_client(Runtime(), stream, NAME, config, TLSMode.NONE)
        client._trusted = True
        with pytest.raises(kind) as caught:
            await client.login(credential)
        assert type(caught.value) is kind and caught.value.phase == "login"
        assert mechanism in caught.value.command or caught.value.command == "AUTH response"
        assert "secret" not in str(caught.value) and "t0ken" not in str(caught.value)
        await client.quit()

    run(main())
    stream.finish()
