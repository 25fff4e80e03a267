"""LMTP, submission, PROXY and TLS that is not enough, over real sockets on each adapter."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    ConnectFailed,
    Envelope,
    Handler,
    NotOffered,
    ProxyHeader,
    Refusal,
    Reply,
    Session,
    Timeouts,
    TLSMode,
    TransportError,
)

from .flavours import FLAVOURS, Blocking, Flavour, served
from .inboxes import Certificates

each_server = pytest.mark.parametrize("server", FLAVOURS, ids=lambda flavour: flavour.name)
each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)


class Picky(Handler):
    """Finds every TLS too weak."""

    def tls(self, session: Session) -> Reply:
        assert session.tls is not None
        return Reply(554, "5.7.0", f"Not with {session.tls.version}")


@pytest.mark.req("RFC3207-4.1-01", "RFC3207-4.1-02")
@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT], ids=lambda mode: mode.value)
@each_server
def test_tls_that_is_not_enough(
    server: type[Flavour], mode: TLSMode, certificates: Certificates
) -> None:
    async def nothing(client: Client) -> None:
        raise AssertionError("this must not be reached")

    implicit = mode is TLSMode.IMPLICIT
    with served(server, Picky(), context=certificates.server, implicit_tls=implicit) as running:
        with pytest.raises(Refusal, match="Not with TLS") as caught:
            Blocking.client(running.port, nothing, tls=mode, context=certificates.client)
        assert caught.value.reply.code == 554


class Shared(Handler):
    """Keeps what it is told; takes mail for b, not for c."""

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
def test_lmtp(client: type[Flavour], server: type[Flavour]) -> None:
    async def talk(client: Client) -> None:
        outcome = await client.send(
            b"hello\r\n", Envelope("a@x.example", ["b@x.example", "c@x.example"])
        )
        assert [str(path) for path in outcome.accepted] == ["b@x.example"]
        assert [str(reply) for reply in outcome.refused.values()] == ["452 4.2.2 Mailbox full"]

    with served(server, Shared(), lmtp=True) as running:
        client.client(running.port, talk, tls=TLSMode.NONE, lmtp=True)


@each_client
@pytest.mark.req("RFC2033-4-01")
def test_lmtp_is_not_spoken_on_port_25(client: type[Flavour]) -> None:
    async def nothing(client: Client) -> None: ...

    with pytest.raises(ConnectFailed, match="25"):
        client.client(25, nothing, lmtp=True)


@each_server
@each_client
def test_a_proxy_s_word_for_the_client(client: type[Flavour], server: type[Flavour]) -> None:
    async def talk(client: Client) -> None:
        assert "LIMITS" in client.extensions

    header = ProxyHeader(("192.0.2.7", 4711), ("192.0.2.1", 25))
    handler = Shared()
    with served(server, handler, proxied_by=["127.0.0.0/8", "::1"]) as running:
        client.client(running.port, talk, tls=TLSMode.NONE, proxy=header)
    assert handler.peers == [("192.0.2.7", 4711)]


@each_server
def test_without_a_proxy_s_header_nobody_is_greeted(server: type[Flavour]) -> None:
    async def nothing(client: Client) -> None: ...

    handler, soon = Shared(), Timeouts(proxy=0.1)
    local = ["127.0.0.0/8", "::1"]
    with (
        served(server, handler, proxied_by=local, timeouts=soon) as running,
        pytest.raises(TransportError),
    ):
        Blocking.client(running.port, nothing, tls=TLSMode.NONE)
    assert not handler.peers


@each_client
def test_what_cannot_be_sent_is_known_before(client: type[Flavour]) -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(NotOffered, match="SMTPUTF8"):
            await client.send(b"hello\r\n", Envelope("a@x.example", "b\u00f6b@x.example"))

    with served(Blocking, Shared(), extensions={"SMTPUTF8": None}) as running:
        client.client(running.port, talk, tls=TLSMode.NONE)
