"""Each TLS mode of a client against each behaviour of a server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import pytest
import trustme
from attrs import frozen

from smtpproto import (
    ClientConfig,
    ConnectionLost,
    NotOffered,
    Refusal,
    RemoteProtocolError,
    SMTPError,
    TimedOut,
    TLSFailed,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from tests.support.certificates import (
    CA,
    NAME,
    expired,
    old_server_context,
    self_signed,
    server_context,
)
from tests.support.tls_client import AUTH, EHLO, MAIL, ONLY_QUIT, QUIT, UP_TO_STARTTLS, play_session
from tests.support.tls_server import TLSServer, is_tls
from tests.support.tls_sessions import SERVER_CONTEXT, TRUST

SERVERS: Mapping[str, Callable[[bool], TLSServer]] = {
    "agrees": lambda implicit: TLSServer(SERVER_CONTEXT, implicit=implicit),
    "does not offer": lambda _: TLSServer(SERVER_CONTEXT, keyword=b"HELP"),
    "is stripped": lambda _: TLSServer(SERVER_CONTEXT, keyword=b"XXXXXXXA"),
    "refuses": lambda _: TLSServer(SERVER_CONTEXT, starttls=b"454 4.7.0 not now\r\n"),
    "refuses for good": lambda _: TLSServer(SERVER_CONTEXT, starttls=b"502 5.5.1 no\r\n"),
    "closes politely": lambda _: TLSServer(SERVER_CONTEXT, starttls=b"421 4.3.2 closing\r\n"),
    "has another name": lambda implicit: TLSServer(
        server_context(CA.issue_cert("mx.example.net")), implicit=implicit
    ),
    "has expired": lambda implicit: TLSServer(server_context(expired(CA)), implicit=implicit),
    "has another CA": lambda implicit: TLSServer(
        server_context(trustme.CA().issue_cert(NAME)), implicit=implicit
    ),
    "signed itself": lambda implicit: TLSServer(server_context(self_signed()), implicit=implicit),
    "is old": lambda implicit: TLSServer(
        old_server_context(CA.issue_cert(NAME)), implicit=implicit
    ),
    "stalls": lambda implicit: TLSServer(SERVER_CONTEXT, handshake=b"stall", implicit=implicit),
    "closes": lambda implicit: TLSServer(SERVER_CONTEXT, handshake=b"close", implicit=implicit),
    "resets": lambda implicit: TLSServer(SERVER_CONTEXT, handshake=b"reset", implicit=implicit),
    "hangs up": lambda _: TLSServer(SERVER_CONTEXT, starttls=b""),
    "is injected into": lambda _: TLSServer(SERVER_CONTEXT, starttls=b"220 go\r\n250 evil\r\n"),
    "goes on in clear": lambda implicit: TLSServer(
        SERVER_CONTEXT, handshake=b"220 mx ESMTP\r\n", implicit=implicit
    ),
}


@frozen
class Expected:
    """What the server receives in clear and under TLS, and what the client raises."""

    clear: bytes
    hidden: bytes = b""
    error: type[SMTPError] | None = None
    text: str = ""


WITHOUT_TLS = Expected(EHLO + MAIL + QUIT)
OPPORTUNISTIC = {
    "agrees": Expected(UP_TO_STARTTLS, EHLO + MAIL + QUIT),
    "does not offer": WITHOUT_TLS,
    "is stripped": WITHOUT_TLS,
    "refuses": Expected(UP_TO_STARTTLS + MAIL + QUIT),
    "refuses for good": Expected(UP_TO_STARTTLS + MAIL + QUIT),
    "closes politely": Expected(UP_TO_STARTTLS, b"", Refusal, "421 4.3.2"),
    "has another name": Expected(UP_TO_STARTTLS, EHLO + MAIL + QUIT),
    "has expired": Expected(UP_TO_STARTTLS, EHLO + MAIL + QUIT),
    "has another CA": Expected(UP_TO_STARTTLS, EHLO + MAIL + QUIT),
    "signed itself": Expected(UP_TO_STARTTLS, EHLO + MAIL + QUIT),
    "is old": Expected(UP_TO_STARTTLS, b"", TLSFailed, "1.2 or later"),
    "stalls": Expected(UP_TO_STARTTLS, b"", TimedOut, "silent"),
    "closes": Expected(UP_TO_STARTTLS, b"", TLSFailed, "closed the connection"),
    "resets": Expected(UP_TO_STARTTLS, b"", ConnectionLost, "reset"),
    "hangs up": Expected(UP_TO_STARTTLS, b"", ConnectionLost, "closed the connection"),
    "is injected into": Expected(UP_TO_STARTTLS, b"", RemoteProtocolError, "injecting"),
    "goes on in clear": Expected(UP_TO_STARTTLS, b"", TLSFailed, "plain SMTP here: 220 mx ESMTP"),
}
REQUIRED = {
    **OPPORTUNISTIC,
    "agrees": Expected(UP_TO_STARTTLS, EHLO + AUTH + MAIL + QUIT),
    "does not offer": Expected(ONLY_QUIT, b"", NotOffered, "STARTTLS"),
    "is stripped": Expected(ONLY_QUIT, b"", NotOffered, "hides the offer"),
    "refuses": Expected(UP_TO_STARTTLS + QUIT, b"", Refusal, "454 4.7.0 not now"),
    "refuses for good": Expected(UP_TO_STARTTLS + QUIT, b"", Refusal, "502 5.5.1 no"),
    "has another name": Expected(UP_TO_STARTTLS, b"", TLSFailed, "Hostname mismatch"),
    "has expired": Expected(UP_TO_STARTTLS, b"", TLSFailed, "expired"),
    "has another CA": Expected(UP_TO_STARTTLS, b"", TLSFailed, "issuer"),
    "signed itself": Expected(UP_TO_STARTTLS, b"", TLSFailed, "self-signed"),
}
IMPLICIT = {
    name: Expected(b"", expected.hidden, expected.error, expected.text)
    for name, expected in REQUIRED.items()
    if name in ("agrees", "stalls", "closes", "resets", "goes on in clear", "is old")
    or name.startswith(("has", "signed"))
}
ROWS = [
    *(("none", name, WITHOUT_TLS) for name in SERVERS),
    *(("opportunistic", name, expected) for name, expected in OPPORTUNISTIC.items()),
    *(("required", name, expected) for name, expected in REQUIRED.items()),
    *(("implicit", name, expected) for name, expected in IMPLICIT.items()),
]
OPTIONS: Mapping[str, ClientOptions] = {
    "none": {},
    "opportunistic": {},
    "required": {"login": ("ann", "secret"), "verify": TRUST},
    "implicit": {"login": ("ann", "secret"), "verify": TRUST},
}


@pytest.mark.parametrize(("mode", "name", "expected"), ROWS, ids=[f"{a}, {b}" for a, b, _ in ROWS])
@pytest.mark.req(
    "RFC3207-4-03",
    "RFC3207-4-08",
    "RFC3207-6-01/client",
    "RFC3207-6-02/client",
    "RFC3207-6-05",
    "RFC3207-6-06",
    "RFC4954-14-01",
    "RFC4954-14-06",
    "RFC8314-3.3-01",
    "RFC8314-5-01",
    "RFC8314-5.1-01",
    "RFC4954-4-24/client",
)
def test_a_client_sends_only_what_its_tls_mode_allows(
    mode: str, name: str, expected: Expected
) -> None:
    server, error = SERVERS[name](mode == "implicit"), None
    try:
        play_session(server, TLSMode(mode), **OPTIONS[mode])
    except SMTPError as raised:
        error = raised
    assert server.clear == expected.clear
    assert server.hidden == expected.hidden
    assert is_tls(server.records)
    began = expected.clear is UP_TO_STARTTLS and name not in (
        "closes politely",
        "hangs up",
        "is injected into",
    )
    assert bool(server.records) == (began or mode == "implicit")
    assert server.closed
    assert type(error) is (expected.error or type(None))
    if error is not None:
        assert expected.text in str(error)
        assert error.phase == "TLS"
        assert error.command == ("" if mode == "implicit" else "STARTTLS")
        assert error.check
    if isinstance(error, TransportError):
        assert error.may_go_in_clear is (mode == "opportunistic")


def test_a_refused_starttls_that_is_ignored_is_logged_and_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto.client"):
        client = play_session(SERVERS["refuses"](False), TLSMode.OPPORTUNISTIC)
    assert client.tls_refused is not None
    assert client.tls_refused.code == 454
    assert caplog.messages == ["going on in clear: the server refused STARTTLS: 454 4.7.0 not now"]
    for name in ("agrees", "does not offer"):
        assert play_session(SERVERS[name](False), TLSMode.OPPORTUNISTIC).tls_refused is None


@pytest.mark.parametrize("name", ["has another name", "stalls", "resets"])
@pytest.mark.parametrize(
    ("options", "may"),
    [
        ({"verify": TRUST}, True),
        ({"verify": TRUST, "login": ("ann", "secret"), "login_in_clear": True}, True),
        ({"verify": TRUST, "login": ("ann", "secret")}, False),
    ],
    ids=["verified", "login in clear", "login"],
)
def test_after_failed_opportunistic_tls_a_client_may_go_on_in_clear_unless_it_logs_in(
    name: str, options: ClientOptions, may: bool
) -> None:
    server = SERVERS[name](False)
    with pytest.raises(TransportError) as caught:
        play_session(server, TLSMode.OPPORTUNISTIC, **options)
    assert caught.value.may_go_in_clear is may
    assert server.clear == UP_TO_STARTTLS


def test_opportunistic_tls_with_a_login_is_verified() -> None:
    server = SERVERS["has another CA"](False)
    with pytest.raises(TLSFailed):
        play_session(server, TLSMode.OPPORTUNISTIC, login=("ann", "secret"))
    assert (server.clear, server.hidden) == (UP_TO_STARTTLS, b"")


@pytest.mark.parametrize("end", ["at once", "after the handshake"])
def test_after_opportunistic_tls_that_is_cut_a_client_may_go_on_in_clear(end: str) -> None:
    """This holds even if the handshake was complete and the first command got no reply."""

    class SilentUnderTLS(TLSServer):
        def replies_to(self, octets: bytes) -> bytes:
            return b"" if self._tls is not None else super().replies_to(octets)

    server = (
        TLSServer(SERVER_CONTEXT, handshake=b"close")
        if end == "at once"
        else SilentUnderTLS(SERVER_CONTEXT)
    )
    client_config = ClientConfig(tls="opportunistic", verify=TRUST)
    with pytest.raises((TLSFailed, ConnectionLost)) as caught:
        run(start_client(Runtime(), server, NAME, client_config, TLSMode.OPPORTUNISTIC))
    assert caught.value.may_go_in_clear and caught.value.check
