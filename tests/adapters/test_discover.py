"""``discover`` of each adapter, and connecting to what it found."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from smtpproto import TLSFailed, TLSVerify
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.discovery import Discovery, Trust
from smtpproto.dns import Answer, Kind
from tests.adapters.connections import connect_and, must_not_connect, send_hello
from tests.adapters.harness import Adapter, Asyncio, Blocking, Trio, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.support.certificates import CA, server_context
from tests.support.service_zones import zone_for
from tests.support.tls_libraries import PEM
from tests.tls.test_identity import FOR_SERVICE

pytest.importorskip("dns")

from smtpproto.adapters.dnspython import DNSResolver


def discover_with(client: type[Adapter], *where: Any, **options: Any) -> Discovery:
    """Call ``discover`` of an adapter."""
    if issubclass(client, Asyncio):
        return client.run(on_asyncio.discover(*where, **options))
    if client is Trio:
        return trio.run(lambda: on_trio.discover(*where, **options))
    return on_sockets.discover(*where, **options)


@each_client
def test_a_server_elsewhere_is_used_only_with_a_certificate_of_the_domain(
    client: type[Adapter], inbox: Inbox
) -> None:
    def options_for(found: Discovery, *, confirmed: bool = False) -> dict[str, Any]:
        server = found.best.confirmed() if confirmed else found.best
        return {**server.options, "verify": TLSVerify(ca=PEM, names=server.names)}

    with running_server(Blocking, inbox, context=server_context(FOR_SERVICE)) as server:
        found = discover_with(client, "ann@example.org", resolver=zone_for(server.port))
        assert found.best.trust is Trust.UNCONFIRMED
        connect_and(send_hello, client, **options_for(found))
    with running_server(
        Blocking, inbox, context=server_context(CA.issue_cert("localhost"))
    ) as server:
        found = discover_with(client, "ann@example.org", resolver=zone_for(server.port))
        with pytest.raises(TLSFailed, match=r"is for localhost: not valid for example\.org or _s"):
            connect_and(must_not_connect, client, **options_for(found))
        connect_and(send_hello, client, **options_for(found, confirmed=True))
    assert len(inbox.messages) == 2


@each_client
def test_the_name_servers_of_the_system_are_asked_by_default(
    client: type[Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = zone_for(587)

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        return await zone.lookup(name, kind)

    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    monkeypatch.setattr(DNSResolver, "__init__", lambda self: None)
    found = discover_with(client, "example.org")
    assert found.best.host == "localhost"
