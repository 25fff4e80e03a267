"""The snippets in docs/howto/proxies.md are right."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from smtpproto import PlainPasswords
from tests.adapters.harness import Blocking, running_server
from tests.adapters.inboxes import Inbox
from tests.support.certificates import CA, server_context
from tests.support.proxy_peers import HTTPConnect, Socks5
from tests.support.snippets import dialling_to
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/proxies.md").read_text()
SENDING, FAILING = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_first_snippet_sends_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    inbox, context = Inbox(), server_context(CA.issue_cert("mail.example.org"))
    users = PlainPasswords({"ann@example.org": "s3cret"})
    with (
        running_server(Blocking, inbox, context=context, authenticator=users) as server,
        Socks5(server.port, ("joe", "hunter2")) as proxy,
    ):
        monkeypatch.setattr(socket, "getaddrinfo", dialling_to(proxy.port))
        check_imports(SENDING)
        exec(SENDING, {})
    assert len(inbox.messages) == 1
    assert proxy.asked == [("mail.example.org", 587)]


def test_the_second_snippet_prints_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with HTTPConnect(says=b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        monkeypatch.setattr(socket, "getaddrinfo", dialling_to(proxy.port))
        check_imports(FAILING)
        exec(FAILING, {})
    assert f"```\n{capsys.readouterr().out}```" in PAGE
