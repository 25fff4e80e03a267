"""LMTP, the PROXY header and an extension that is not offered, over real sockets."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    ConnectFailed,
    Envelope,
    Handler,
    NotOffered,
    ProxyHeader,
    Reply,
    Session,
    Timeouts,
    TLSMode,
    TransportError,
)
from tests.adapters.connections import must_not_connect
from tests.adapters.harness import Adapter, Blocking, each_client, each_server, running_server


class PeersAndMail(Handler):
    """Records the address of each client; accepts mail by LMTP for the local-part b only."""

    def __init__(self) -> None:
        self.peers: list[tuple[str, int]] = []

    def connect(self, session: Session) -> None:
        self.peers.append(session.peer)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> list[Reply | None]:
        assert session.lmtp
        full = Reply(452, "4.2.2", "Mailbox full")
        return [None if path.local_part == "b" else full for path in envelope.recipients]


@each_server
@each_client
def test_lmtp_has_one_reply_for_each_recipient(
    client: type[Adapter], server: type[Adapter]
) -> None:
    async def talk(client: Client) -> None:
        outcome = await client.send(
            b"hello\r\n", Envelope("a@x.example", ["b@x.example", "c@x.example"])
        )
        assert [str(path) for path in outcome.accepted] == ["b@x.example"]
        assert [str(reply) for reply in outcome.refused.values()] == ["452 4.2.2 Mailbox full"]

    with running_server(server, PeersAndMail(), lmtp=True) as running:
        client.client(running.port, talk, tls=TLSMode.NONE, lmtp=True)


@each_client
@pytest.mark.req("RFC2033-4-01/client")
def test_a_client_refuses_lmtp_on_port_25(client: type[Adapter]) -> None:
    with pytest.raises(ConnectFailed, match="RFC 2033 4"):
        client.client(25, must_not_connect, lmtp=True)


@each_server
@each_client
def test_the_session_has_the_client_address_of_the_proxy_header(
    client: type[Adapter], server: type[Adapter]
) -> None:
    async def talk(client: Client) -> None:
        assert "LIMITS" in client.extensions

    header = ProxyHeader(("192.0.2.7", 4711), ("192.0.2.1", 25))
    handler = PeersAndMail()
    with running_server(server, handler, proxied_by=["127.0.0.0/8", "::1"]) as running:
        client.client(running.port, talk, tls=TLSMode.NONE, proxy_header=header)
    assert handler.peers == [("192.0.2.7", 4711)]


@each_server
def test_a_connection_without_the_proxy_header_is_closed_without_a_greeting(
    server: type[Adapter],
) -> None:
    handler, soon = PeersAndMail(), Timeouts(proxy=0.1)
    local = ["127.0.0.0/8", "::1"]
    with (
        running_server(server, handler, proxied_by=local, timeouts=soon) as running,
        pytest.raises(TransportError),
    ):
        Blocking.client(running.port, must_not_connect, tls=TLSMode.NONE)
    assert not handler.peers


@each_client
def test_a_message_that_needs_smtputf8_raises_not_offered_without_it(
    client: type[Adapter],
) -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(NotOffered, match="SMTPUTF8"):
            await client.send(b"hello\r\n", Envelope("a@x.example", "b\u00f6b@x.example"))

    with running_server(Blocking, PeersAndMail(), extensions={"SMTPUTF8": None}) as running:
        client.client(running.port, talk, tls=TLSMode.NONE)
