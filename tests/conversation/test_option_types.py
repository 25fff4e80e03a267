"""Options of clients and servers that have the wrong type."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import (
    ClientCertificate,
    ClientConfig,
    GrammarError,
    Handler,
    HashedPasswords,
    Leniencies,
    RcptParameters,
    Reply,
    Secret,
    ServerConfig,
    TLSVerify,
)
from smtpproto.adapters.blocking import Server
from smtpproto.client import make_target

PASSWORD = "hunter2"


@pytest.mark.parametrize("option", ["timeouts", "limits", "leniencies"])
@pytest.mark.parametrize("config", [ClientConfig, ServerConfig])
def test_a_number_instead_of_timeouts_limits_or_leniencies_is_a_type_error(
    option: str, config: Any
) -> None:
    kind = option.capitalize()
    with pytest.raises(TypeError, match=rf"^{option} cannot be of the type int; pass {kind}\("):
        config(**{option: 30})
    with pytest.raises(TypeError, match=rf"^{option} cannot be None; pass {kind}\("):
        config(**{option: None})


@pytest.mark.parametrize(
    "options",
    [
        {"login": ["ann", PASSWORD]},
        {"login": f"ann:{PASSWORD}"},
        {"login": {"ann": PASSWORD}},
        {"login": ("ann", PASSWORD, "")},
        {"certificate": ("cert.pem", "key.pem", PASSWORD)},
        {"verify": True},
        {"verify": False},
    ],
    ids=str,
)
def test_client_options_of_a_wrong_type_are_refused_and_not_shown(options: dict[str, Any]) -> None:
    """The error must not show them, because they may hold a password."""
    with pytest.raises(TypeError, match=next(iter(options)) + r" cannot be .*; pass ") as caught:
        ClientConfig(**options)
    assert PASSWORD not in repr(caught.value)


def test_a_class_instead_of_an_authenticator_is_a_type_error() -> None:
    """Otherwise no mechanism would be offered, without an explanation."""
    with pytest.raises(TypeError, match="authenticator"):
        ServerConfig(authenticator=HashedPasswords)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "context", ["cert.pem", b"", 7, ("cert.pem", "key.pem")], ids=lambda it: type(it).__name__
)
def test_a_context_of_a_wrong_type_is_a_type_error(context: Any) -> None:
    for config in (ServerConfig, ClientConfig):
        with pytest.raises(TypeError, match="context cannot be of the type"):
            config(context=context)


@pytest.mark.parametrize("fingerprints", [("ab" * 32,), (b"short",), (b"",)], ids=str)
def test_fingerprints_of_a_wrong_length_or_type_are_refused(fingerprints: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        TLSVerify(fingerprints=fingerprints)


def test_the_password_of_a_key_may_be_octets_and_is_not_shown() -> None:
    certificate = ClientCertificate("cert.pem", password=PASSWORD.encode())
    assert certificate.password == Secret(PASSWORD)
    assert PASSWORD not in repr(certificate)


def test_extensions_as_a_list_are_a_type_error_that_shows_a_mapping() -> None:
    with pytest.raises(
        TypeError, match=r'extensions cannot be of the type list; pass \{"DSN": ""\}'
    ):
        ServerConfig(extensions=["DSN"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "port"), [("mx.example", "25"), (None, 25), (b"mx.example", 25)])
def test_a_host_or_port_of_a_wrong_type_is_a_type_error(host: Any, port: Any) -> None:
    name = "port" if isinstance(port, str) else "host"
    with pytest.raises(TypeError, match=f"{name} cannot be "):
        make_target(host, port)


def test_a_text_in_place_of_an_enhanced_code_is_an_error_that_shows_where_it_goes() -> None:
    with pytest.raises(GrammarError, match=r"write Reply\(250, None, 'OK'\)"):
        Reply(250, "OK")


@pytest.mark.parametrize(
    ("config", "option", "wrong", "advice"),
    [
        (ClientConfig, "tls", True, '"implicit", "required", "opportunistic" or "none"'),
        (ClientConfig, "verify", False, r'"name", "none" or TLSVerify.by_ca\("ca.pem"\)'),
        (ClientConfig, "login", "ann", r'\("ann", "secret"\)'),
        (ClientConfig, "certificate", "own.pem", r'ClientCertificate\("own.pem"\)'),
        (ClientConfig, "context", True, "an ssl.SSLContext"),
        (ServerConfig, "context", "own.pem", "an ssl.SSLContext or a function"),
        (ServerConfig, "authenticator", {"ann": "x"}, r'PlainPasswords\(\{"ann": "secret"\}\)'),
        (Leniencies, "missing_domain", True, "Tolerance.ACCEPT or Tolerance.REPORT or "),
        (RcptParameters, "notify", "NEVER", "an iterable of Notify.NEVER or Notify.SUCCESS or "),
    ],
)
def test_an_option_of_a_wrong_type_is_a_type_error_that_shows_a_value(
    config: Any, option: str, wrong: object, advice: str
) -> None:
    with pytest.raises(TypeError, match=f"^{option} cannot be of the type .*; pass .*{advice}"):
        config(**{option: wrong})


def test_verify_with_a_path_is_an_error_that_shows_where_it_goes() -> None:
    with pytest.raises(ValueError, match=r'TLSVerify\.by_ca\("ca\.pem"\)'):
        ClientConfig(verify="ca.pem")  # type: ignore[arg-type]


@pytest.mark.parametrize("port", [True, False])
def test_a_truth_value_is_no_port(port: bool) -> None:
    for use in (
        lambda: make_target("mx.example", port),
        lambda: Server(Handler(), "127.0.0.1", port),
    ):
        with pytest.raises(TypeError, match=r"^port cannot be of the type bool"):
            use()
