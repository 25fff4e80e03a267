"""The length of AUTH commands and of challenges on a client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from smtpproto import BadCredentials, ClientConfig, Leniencies, Limits, Login, Secret, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.auth import _Attempt
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.logins import BEARER, OFFER, REFUSED, TOKEN, base64, log_in


@pytest.mark.req("RFC4954-4-10")
@pytest.mark.parametrize(("size", "fits"), [(511, True), (512, True), (513, False)])
def test_an_initial_response_is_sent_with_auth_if_the_line_has_at_most_512_octets(
    size: int, fits: bool
) -> None:
    """CRLF is part of the 512 octets (RFC 5321 4.5.3.1.4)."""
    name = "X" * (size - len("AUTH  \r\n") - 496)
    exchange = SimpleNamespace(initial=lambda: Secret(bytes(372)))
    mechanism = SimpleNamespace(name=name, binds=False, client=lambda *_: exchange)
    extensions = SimpleNamespace(line_limit=lambda verb: 512)
    link = SimpleNamespace(machine=SimpleNamespace(extensions=extensions))
    attempt = _Attempt(*cast(Any, (link, None, mechanism, None)))
    command = attempt._first()
    assert (len(bytes(command)) + 2 == size) == fits
    assert (command.initial is not None) == fits


@pytest.mark.req("RFC4954-4-10")
@pytest.mark.parametrize(("length", "fits"), [(367, True), (368, False)])
def test_a_password_too_long_for_the_line_is_sent_after_the_challenge(
    length: int, fits: bool
) -> None:
    password = "x" * length
    response = base64(f"\0ann\0{password}")
    assert len(f"AUTH PLAIN {response}\r\n") == (509 if fits else 513)
    first = f"C: AUTH PLAIN {response}\n" if fits else f"C: AUTH PLAIN\nS: 334 \nC: {response}\n"
    error = log_in(f"{OFFER.format('PLAIN')}{first}{REFUSED}", Login("ann", password))
    assert isinstance(error, BadCredentials)


@pytest.mark.req("RFC4954-4-16/client")
@pytest.mark.parametrize(
    "leniencies", [Leniencies(), Leniencies.strict()], ids=["default", "strict"]
)
def test_a_challenge_of_12288_octets_is_read(leniencies: Leniencies) -> None:
    """The refusal of a token may be that long. That needs no leniency."""
    refusal = base64(b'{"status":"invalid_token","more":"' + b"x" * 9180 + b'"}')
    assert len(refusal) == 12288
    offer = OFFER.format("OAUTHBEARER")
    script = f"{offer}C: AUTH OAUTHBEARER {BEARER}\nS: 334 {refusal}\nC: AQ==\n{REFUSED}"

    async def talk() -> Exception | None:
        stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
        config = ClientConfig(tls="none", leniencies=leniencies)
        client = await start_client(Runtime(), stream, "mx.example.org", config, TLSMode.NONE)
        client._trusted = True
        try:
            await client.login(TOKEN)
        except BadCredentials as error:
            return error
        return None

    error = run(talk())
    assert isinstance(error, BadCredentials)
    assert not error.details  # explanations above 8192 octets are ignored


def test_a_reply_line_has_room_for_the_longest_challenge() -> None:
    assert Limits().reply_line >= 12288 + len("334 ")
