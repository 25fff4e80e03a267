"""What a refused login tells the caller to do next (RFC 4954 6)."""

from __future__ import annotations

import pytest

from smtpproto import BadCredentials, EncryptionRequired, LoginRefused, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientConfig
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream

SCRIPT = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250-mx.example.org
    S: 250 AUTH PLAIN
    C: AUTH PLAIN AGFubgBzZWNyZXQ=
    S: {reply}
    C: QUIT
    S: 221 bye
"""


def refused(reply: str) -> LoginRefused:
    """Log in to a server that answers *reply*; the password must not be in the error."""
    stream = ScriptedStream(SCRIPT.format(reply=reply))
    config = ClientConfig(login=("ann", "secret"), login_in_clear=True, tls=TLSMode.NONE)
    with pytest.raises(LoginRefused) as caught:
        run(start_client(Runtime(), stream, "mx.example.org", config, TLSMode.NONE))
    stream.finish()
    assert caught.value.reply.code == int(reply[:3])
    assert caught.value.command == "AUTH PLAIN"
    assert "secret" not in str(caught.value)
    assert "AGFub" not in str(caught.value)
    return caught.value


@pytest.mark.req("RFC4954-6-08")
@pytest.mark.parametrize("code", [538, 523, 524])
def test_a_server_that_wants_encryption(code: int) -> None:
    assert type(refused(f"{code} 5.7.11 Encryption required")) is EncryptionRequired


@pytest.mark.req("RFC4954-6-05")
def test_bad_credentials() -> None:
    error = refused("535 5.7.8 Authentication credentials invalid")
    assert type(error) is BadCredentials
    assert "password" in error.check


@pytest.mark.req("RFC4954-6-03")
@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary failure", "500 5.5.6 Line too long"])
def test_what_is_not_the_password_s_fault(reply: str) -> None:
    error = refused(reply)
    assert type(error) is LoginRefused
    assert "password" not in error.check
    assert error.reply.transient == reply.startswith("4")
