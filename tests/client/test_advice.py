"""What errors advise the caller to check."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import (
    ClientConfig,
    LocalProtocolError,
    NotOffered,
    Refusal,
    TimedOut,
    TLSFailed,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.client.link import _CHECK_IMPLICIT_TLS
from tests.support.certificates import NAME
from tests.support.dialogue import GOODBYE, hello, play
from tests.support.tls_server import TLSServer
from tests.support.tls_sessions import SERVER_CONTEXT, TRUST


@pytest.mark.parametrize("ending", ["", "S: <reset>\n", "S: <silence>\n"])
def test_a_connection_without_a_greeting_may_need_implicit_tls(ending: str) -> None:
    """Our server with implicit TLS waits for the handshake and closes the connection before a
    client's timeout."""
    with pytest.raises(TransportError) as caught:
        play(ending)
    assert caught.value.check == _CHECK_IMPLICIT_TLS


@pytest.mark.parametrize("code", [500, 502])
def test_a_server_that_does_not_know_the_greeting_command_may_speak_lmtp_or_smtp(code: int) -> None:
    smtp = f"C: EHLO [127.0.0.1]\nS: {code} what\nC: HELO [127.0.0.1]\nS: {code} what\n"
    for script, lmtp in ((smtp, False), (f"C: LHLO [127.0.0.1]\nS: {code} what\n", True)):
        with pytest.raises(Refusal) as caught:
            play(f"S: 220 mx\n{script}{GOODBYE}", lmtp=lmtp)
        assert "lmtp" in caught.value.check


def test_a_login_in_clear_points_to_the_option_tls() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        play(f"{hello('AUTH PLAIN')}{GOODBYE}", login=("ann", "secret"))
    assert caught.value.check.startswith("tls: ")


def test_a_missing_greeting_under_tls_does_not_point_to_tls() -> None:
    class SilentServer(TLSServer):
        async def read(self, timeout: float | None) -> bytes:
            octets = await super().read(timeout)
            if not octets:
                raise TimedOut("the peer was silent for too long")
            return octets

        def _talk(self, tls: Any) -> None:
            self._handshake_done = self._handshake_done or tls.handshake()
            self._output += tls.data_to_send()

    async def main() -> None:
        server, config = SilentServer(SERVER_CONTEXT, implicit=True), ClientConfig(verify=TRUST)
        await start_client(Runtime(), server, NAME, config, TLSMode.IMPLICIT)

    with pytest.raises(TimedOut) as caught:
        run(main())
    assert caught.value.phase == "greeting"
    assert "TLS" not in caught.value.check


def test_a_closed_handshake_asks_whether_the_peer_speaks_tls() -> None:
    server = TLSServer(SERVER_CONTEXT, handshake=b"close", implicit=True)
    client_config = ClientConfig(verify=TRUST)
    with pytest.raises(TLSFailed) as caught:
        run(start_client(Runtime(), server, NAME, client_config, TLSMode.IMPLICIT))
    assert "whether the peer speaks TLS" in caught.value.check


@pytest.mark.parametrize("in_clear", [False, True])
def test_a_login_without_starttls_points_to_tls_none_only_if_it_may_be_in_clear(
    in_clear: bool,
) -> None:
    with pytest.raises(NotOffered, match="TLS is required") as caught:
        play(f"{hello()}{GOODBYE}", login=("ann", "secret"), login_in_clear=in_clear, tls=None)
    assert ('tls="none"' in caught.value.check) is in_clear
