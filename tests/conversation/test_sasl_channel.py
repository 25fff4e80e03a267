"""What a SASL exchange learns about its connection: name, port and channel bindings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from smtpproto import Authenticator, Client, ClientConfig, ServerConfig, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import _server_name, start_client
from smtpproto.testing.script import ScriptedStream
from smtpproto.tls.binding import SERVER_END_POINT
from tests.support.certificates import LEAF, NAME, der
from tests.support.tls_sessions import (
    SERVER_CONTEXT,
    TRUST,
    converse,
    do_nothing,
    each_mode,
    serving,
)


@each_mode
def test_the_client_channel_has_name_and_port_and_whether_the_server_binds(mode: TLSMode) -> None:
    def look(offered: list[str], binds: bool) -> Callable[[Client], None]:
        def talk(client: Client) -> None:
            assert list(client.extensions.mechanisms) == offered
            channel = client._channel
            assert (channel.peer_binds, channel.host, channel.port) == (binds, NAME, 25)

        return talk

    for offered, binds in ((["SCRAM-SHA-256-PLUS"], True), (["SCRAM-SHA-256"], False)):
        server = serving(mode, context=SERVER_CONTEXT, authenticator=NoKeys(), mechanisms=offered)
        client_config = ClientConfig(tls=mode, verify=TRUST, server_name=NAME)
        converse(server, client_config, look(offered, binds))


class NoKeys(Authenticator):
    """Supports SCRAM, and knows no users."""

    def scram_keys(self, username: str, hash_name: str) -> None: ...


def test_the_channel_has_the_server_name_and_not_the_address() -> None:
    """A token is for the server that the user named (RFC 7628 3.1)."""

    async def main() -> None:
        stream = ScriptedStream("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n")
        config = ClientConfig(tls="none", server_name=NAME)
        client = await start_client(Runtime(), stream, "192.0.2.1", config, TLSMode.NONE)
        assert client._channel.host == NAME

    run(main())


def test_the_name_of_a_server_on_a_unix_socket_is_localhost() -> None:
    assert [_server_name(host) for host in ("/run/x", "mx")] == ["localhost", "mx"]


@each_mode
def test_both_sides_have_the_same_binding_under_tls_and_none_in_clear(mode: TLSMode) -> None:
    sides: list[dict[str, bytes]] = []
    dialogue = converse(
        serving(mode, context=SERVER_CONTEXT),
        ClientConfig(tls=mode, verify=TRUST),
        lambda client: sides.append(dict(client._channel.bindings)),
    )
    server_bindings = dialogue._channel.bindings
    assert sides == [server_bindings] == [{SERVER_END_POINT: hashlib.sha256(der(LEAF)).digest()}]
    clear = converse(ServerConfig(context=SERVER_CONTEXT), ClientConfig(tls="none"), do_nothing)
    assert not clear._channel.bindings
