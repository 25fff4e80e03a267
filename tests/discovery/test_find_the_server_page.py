"""The snippets and the table in docs/howto/find-the-server.md are right."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from smtpproto import PlainPasswords, TLSMode
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.discovery import PROVIDERS, Provider
from smtpproto.dns import SRV, Answer, Kind
from smtpproto.testing.zone import Zone
from tests.adapters.harness import Blocking, running_server
from tests.adapters.inboxes import Inbox
from tests.support.certificates import CA, server_context
from tests.support.snippets import dialling_to
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/find-the-server.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ADDRESS, PASSWORD = "ann@example.org", "s3cret"


def srv(port: int) -> SRV:
    return SRV(priority=0, weight=0, port=port, target="mail.example.org")


def test_the_snippets_run_and_print_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    zone = Zone(
        {
            "_submissions._tcp.example.org": {Kind.SRV: [srv(465)]},
            "_submission._tcp.example.org": {Kind.SRV: [srv(587)]},
        }
    )

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        return await zone.lookup(name, kind)

    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", _loopback)
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    inbox, context = Inbox(), server_context(CA.issue_cert("mail.example.org"))
    users = PlainPasswords({ADDRESS: PASSWORD})
    names: dict[str, Any] = {}
    with running_server(
        Blocking, inbox, context=context, implicit_tls=True, authenticator=users
    ) as server:
        monkeypatch.setattr(socket, "getaddrinfo", dialling_to(server.port))
        for snippet in SNIPPETS:
            check_imports(snippet)
            exec(snippet, names)
    assert len(inbox.messages) == 2
    printed = capsys.readouterr().out
    assert f"```\n{printed.partition('TLSv')[0]}```" in PAGE
    assert "TLSv1.3 CRAM-MD5 " in printed


def _loopback(resolver: Any, path: str) -> None:
    resolver.nameservers = ["127.0.0.1"]


def row(provider: Provider) -> str:
    """Return the row of *provider* in the table of the page."""
    named = provider.domains[:3]
    more = ", ..." if len(provider.domains) > len(named) else ""
    servers = "; ".join(
        f"{host} {port}{'' if tls is TLSMode.IMPLICIT else ' STARTTLS'}"
        for host, port, tls in provider.servers
    )
    logins = ", ".join(it.value for it in provider.logins)
    return f"| {provider.name} | {', '.join(named)}{more} | {servers} | {logins} |"


def test_the_page_has_a_row_for_each_provider() -> None:
    rows = [it for it in PAGE.splitlines() if it in {row(provider) for provider in PROVIDERS}]
    assert rows == [row(provider) for provider in PROVIDERS]
    assert {it.read for it in PROVIDERS} == {"2026-12-01"} and "2026-12-01" in PAGE
