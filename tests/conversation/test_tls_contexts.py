"""A server's context for each handshake, and contexts that cannot be made."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    LocalProtocolError,
    Refusal,
    Reply,
    ServerConfig,
    TLSFailed,
    TLSMode,
)
from smtpproto.testing.simulation import Simulation
from tests.support.certificates import CA, LEAF, NAME, der, expired, server_context
from tests.support.tls_sessions import (
    SERVER_CONTEXT,
    TRUST,
    EventRecorder,
    converse,
    do_nothing,
    each_mode,
    serving,
)


@each_mode
def test_the_context_function_is_called_for_each_handshake(mode: TLSMode) -> None:
    leaves = [expired(CA), LEAF, CA.issue_cert(NAME)]
    contexts = [server_context(leaf) for leaf in leaves]
    config = serving(mode, context=lambda: contexts.pop(0))
    seen: list[bytes | None] = []

    def look(client: Client) -> None:
        assert client.tls is not None
        seen.append(client.tls.peer_certificate)

    client_config = ClientConfig(tls=mode, verify=TRUST)
    with pytest.raises(TLSFailed, match="expired"):
        converse(config, client_config, look)
    for leaf in leaves[1:]:
        converse(config, client_config, look)
        assert seen.pop() == der(leaf)
    assert not contexts


def no_context() -> ssl.SSLContext:
    raise FileNotFoundError("no certificate today: /secret/path")


@pytest.mark.req("RFC3207-4-02")
@pytest.mark.parametrize(
    "source", [no_context, lambda: None, lambda: "context"], ids=["raises", "None", "str"]
)
def test_without_a_context_starttls_is_answered_with_454(
    source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The session goes on in clear."""
    lines: list[str] = []
    config = ServerConfig(
        context=source, trace=lambda who, line: lines.append(f"{who}: {line}"), require_tls=True
    )
    handler = EventRecorder()

    def look(client: Client) -> None:
        assert client.tls is None
        assert client.tls_refused == Reply(
            454, "4.7.0", "TLS not available due to temporary reason"
        )

    converse(config, ClientConfig(tls="opportunistic"), look, handler=handler)
    start = lines.index("C: STARTTLS")
    assert lines[start + 1].startswith("S: 454 4.7.0 ")
    assert lines[start + 2 :] == ["C: NOOP", "S: 250 2.0.0 OK", "C: QUIT", lines[-1]]
    assert not any("secret" in line for line in lines)
    assert "the context for TLS failed" in caplog.text
    assert handler.events == ["connect", "hello", "close"]


def test_a_function_that_has_no_context_now_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    def not_now() -> ssl.SSLContext:
        raise TLSFailed("the certificate is being renewed", phase="TLS")

    with pytest.raises(Refusal, match="454"):
        converse(ServerConfig(context=not_now), ClientConfig(tls="required"), do_nothing)
    assert not [it for it in caplog.records if it.levelname == "ERROR"]


def test_without_a_context_implicit_tls_closes_without_an_octet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulation, handler = Simulation(1), EventRecorder()
    simulation.listen(465, handler, ServerConfig(context=no_context, implicit_tls=True))

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        assert await stream.read(None) == b""

    simulation.run(main())
    assert "the context for TLS failed" in caplog.text
    assert handler.events == ["close"]


def test_starttls_with_a_context_for_clients_is_answered_with_454() -> None:
    wrong = ssl.create_default_context()
    with pytest.raises(Refusal, match="454"):
        converse(ServerConfig(context=wrong), ClientConfig(tls="required"), do_nothing)


def test_a_context_that_the_client_cannot_make_is_a_local_protocol_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ClientConfig(tls="required")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys"))
    with pytest.raises(LocalProtocolError, match="No such file") as caught:
        converse(ServerConfig(context=SERVER_CONTEXT), config, do_nothing)
    assert caught.value.phase == "TLS"
