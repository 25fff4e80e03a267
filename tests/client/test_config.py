"""The options of a client: TLS mode, LMTP and source address."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import ClientConfig, TLSMode

ANN: dict[str, Any] = {"login": ("ann", "secret")}


@pytest.mark.parametrize(
    ("port", "options", "mode"),
    [
        (465, {}, TLSMode.IMPLICIT),
        (587, {}, TLSMode.REQUIRED),
        (25, {}, TLSMode.OPPORTUNISTIC),
        (24, {}, TLSMode.OPPORTUNISTIC),
        (2525, {}, TLSMode.OPPORTUNISTIC),
        (0, {}, TLSMode.NONE),
        (465, ANN, TLSMode.IMPLICIT),
        (587, ANN, TLSMode.REQUIRED),
        (25, ANN, TLSMode.REQUIRED),
        (2525, ANN, TLSMode.REQUIRED),
        (0, ANN, TLSMode.NONE),
    ],
)
def test_the_default_tls_mode_follows_from_port_and_login(
    port: int, options: dict[str, Any], mode: TLSMode
) -> None:
    assert ClientConfig(**options).tls_mode(port) is mode
    for mode_given in TLSMode:
        assert ClientConfig(tls=mode_given, **options).tls_mode(port) is mode_given


@pytest.mark.parametrize(("port", "lmtp"), [(24, True), (25, False), (587, False), (0, False)])
def test_lmtp_is_the_default_on_port_24_only(port: int, lmtp: bool) -> None:
    assert ClientConfig().speaks_lmtp(port) is lmtp
    for given in (True, False):
        assert ClientConfig(lmtp=given).speaks_lmtp(port) is given


@pytest.mark.parametrize("source", ["mx.example", "", ("127.0.0.1", 65536), ("127.0.0.1", -1)])
def test_a_source_without_a_valid_address_and_port_is_refused(source: Any) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        ClientConfig(source=source)


def test_a_source_may_have_a_port() -> None:
    assert ClientConfig(source="127.0.0.1").source == ("127.0.0.1", 0)
    assert ClientConfig(source=("::1", 4000)).source == ("::1", 4000)
