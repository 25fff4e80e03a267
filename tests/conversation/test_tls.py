"""Each mode of TLS against whatever a server may do: what was said, where, and what is raised."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Unpack

import pytest
import trustme
from attrs import frozen

from smtpproto import (
    Client,
    ClientCertificate,
    ClientConfig,
    ConnectionLost,
    Envelope,
    LocalProtocolError,
    NotOffered,
    Refusal,
    RemoteProtocolError,
    SMTPError,
    TimedOut,
    TLSFailed,
    TLSMode,
    TLSVerify,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from tests.support.certificates import (
    NAME,
    der,
    expired,
    old_server_context,
    self_signed,
    server_context,
)
from tests.support.tls_server import TLSServer, is_tls

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
GOOD = server_context(CA.issue_cert(NAME))

EHLO = b"EHLO [192.0.2.2]\r\n"
STARTTLS = b"STARTTLS\r\n"
AUTH = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
MAIL = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nhi\r\n.\r\n"
QUIT = b"QUIT\r\n"

SERVERS: Mapping[str, Callable[[bool], TLSServer]] = {
    "agrees": lambda implicit: TLSServer(GOOD, implicit=implicit),
    "does not offer": lambda _: TLSServer(GOOD, keyword=b"HELP"),
    "is stripped": lambda _: TLSServer(GOOD, keyword=b"XXXXXXXA"),
    "refuses": lambda _: TLSServer(GOOD, starttls=b"454 4.7.0 not now\r\n"),
    "refuses for good": lambda _: TLSServer(GOOD, starttls=b"502 5.5.1 no\r\n"),
    "closes politely": lambda _: TLSServer(GOOD, starttls=b"421 4.3.2 closing\r\n"),
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
    "stalls": lambda implicit: TLSServer(GOOD, handshake=b"stall", implicit=implicit),
    "closes": lambda implicit: TLSServer(GOOD, handshake=b"close", implicit=implicit),
    "resets": lambda implicit: TLSServer(GOOD, handshake=b"reset", implicit=implicit),
    "hangs up": lambda _: TLSServer(GOOD, starttls=b""),
    "is injected into": lambda _: TLSServer(GOOD, starttls=b"220 go\r\n250 evil\r\n"),
    "goes on in clear": lambda implicit: TLSServer(
        GOOD, handshake=b"220 mx ESMTP\r\n", implicit=implicit
    ),
}


@frozen
class Said:
    """What a server hears in clear and under TLS, and what a client raises."""

    clear: bytes
    hidden: bytes = b""
    error: type[SMTPError] | None = None
    text: str = ""


NONE = Said(EHLO + MAIL + QUIT)
POLITE = EHLO + QUIT  # nothing was told, and RFC 5321 4.1.1.10 wants it
BEGUN = EHLO + STARTTLS

OPPORTUNISTIC = {
    "agrees": Said(BEGUN, EHLO + MAIL + QUIT),
    "does not offer": NONE,
    "is stripped": NONE,
    "refuses": Said(BEGUN + MAIL + QUIT),
    "refuses for good": Said(BEGUN + MAIL + QUIT),
    "closes politely": Said(BEGUN, b"", Refusal, "421 4.3.2"),
    "has another name": Said(BEGUN, EHLO + MAIL + QUIT),
    "has expired": Said(BEGUN, EHLO + MAIL + QUIT),
    "has another CA": Said(BEGUN, EHLO + MAIL + QUIT),
    "signed itself": Said(BEGUN, EHLO + MAIL + QUIT),
    "is old": Said(BEGUN, b"", TLSFailed, "1.2 or later"),
    "stalls": Said(BEGUN, b"", TimedOut, "silent"),
    "closes": Said(BEGUN, b"", TLSFailed, "closed the connection"),
    "resets": Said(BEGUN, b"", ConnectionLost, "reset"),
    "hangs up": Said(BEGUN, b"", ConnectionLost, "closed the connection"),
    "is injected into": Said(BEGUN, b"", RemoteProtocolError, "injecting"),
    "goes on in clear": Said(BEGUN, b"", TLSFailed, "plain SMTP here: 220 mx ESMTP"),
}
REQUIRED = {
    **OPPORTUNISTIC,
    "agrees": Said(BEGUN, EHLO + AUTH + MAIL + QUIT),
    "does not offer": Said(POLITE, b"", NotOffered, "STARTTLS"),
    "is stripped": Said(POLITE, b"", NotOffered, "hides the offer"),
    "refuses": Said(BEGUN + QUIT, b"", Refusal, "454 4.7.0 not now"),
    "refuses for good": Said(BEGUN + QUIT, b"", Refusal, "502 5.5.1 no"),
    "has another name": Said(BEGUN, b"", TLSFailed, "Hostname mismatch"),
    "has expired": Said(BEGUN, b"", TLSFailed, "expired"),
    "has another CA": Said(BEGUN, b"", TLSFailed, "issuer"),
    "signed itself": Said(BEGUN, b"", TLSFailed, "self-signed"),
}
IMPLICIT = {
    name: Said(b"", said.hidden, said.error, said.text)
    for name, said in REQUIRED.items()
    if name in ("agrees", "stalls", "closes", "resets", "goes on in clear", "is old")
    or name.startswith(("has", "signed"))
}
ROWS = [
    *(("none", name, NONE) for name in SERVERS),
    *(("opportunistic", name, said) for name, said in OPPORTUNISTIC.items()),
    *(("required", name, said) for name, said in REQUIRED.items()),
    *(("implicit", name, said) for name, said in IMPLICIT.items()),
]
OPTIONS: Mapping[str, ClientOptions] = {
    "none": {},
    "opportunistic": {},
    "required": {"login": ("ann", "secret"), "verify": TRUST},
    "implicit": {"login": ("ann", "secret"), "verify": TRUST},
}


def play(
    server: TLSServer, mode: TLSMode, name: str = NAME, **options: Unpack[ClientOptions]
) -> Client:
    """Send a message in a session."""

    async def main() -> Client:
        config = ClientConfig(**options)
        async with await start_client(Runtime(), server, name, config, mode) as client:
            await client.send(b"hi\r\n", Envelope("", "bob@example.org"))
            return client

    return run(main())


@pytest.mark.parametrize(("mode", "name", "said"), ROWS, ids=[f"{a}, {b}" for a, b, _ in ROWS])
@pytest.mark.req(
    "RFC3207-4-03",
    "RFC3207-4-08",
    "RFC3207-6-01",
    "RFC3207-6-02",
    "RFC3207-6-05",
    "RFC3207-6-06",
    "RFC4954-14-01",
    "RFC4954-14-06",
    "RFC8314-3.3-01",
    "RFC8314-5-01",
    "RFC8314-5.1-01",
    "RFC4954-4-24",
)
def test_what_is_said(mode: str, name: str, said: Said) -> None:
    server, error = SERVERS[name](mode == "implicit"), None
    try:
        play(server, TLSMode(mode), **OPTIONS[mode])
    except SMTPError as raised:
        error = raised
    assert server.clear == said.clear
    assert server.hidden == said.hidden
    assert is_tls(server.records)
    began = said.clear is BEGUN and name not in ("closes politely", "hangs up", "is injected into")
    assert bool(server.records) == (began or mode == "implicit")
    assert server.closed
    assert type(error) is (said.error or type(None))
    if error is not None:
        assert said.text in str(error)
        assert error.phase == "TLS"
        assert error.command == ("" if mode == "implicit" else "STARTTLS")
        assert error.check
    if isinstance(error, TransportError):
        assert error.may_go_in_clear is (mode == "opportunistic")


def test_a_refusal_that_is_passed_over_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto.client"):
        client = play(SERVERS["refuses"](False), TLSMode.OPPORTUNISTIC)
    assert client.tls_refused is not None
    assert client.tls_refused.code == 454
    assert caplog.messages == ["going on in clear: the server refused STARTTLS: 454 4.7.0 not now"]
    for name in ("agrees", "does not offer"):
        assert play(SERVERS[name](False), TLSMode.OPPORTUNISTIC).tls_refused is None


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
def test_opportunistic_tls_that_fails_may_give_way_unless_a_password_is_at_stake(
    name: str, options: ClientOptions, may: bool
) -> None:
    server = SERVERS[name](False)
    with pytest.raises(TransportError) as caught:
        play(server, TLSMode.OPPORTUNISTIC, **options)
    assert caught.value.may_go_in_clear is may
    assert server.clear == BEGUN


def test_opportunistic_tls_with_a_login_is_verified() -> None:
    server = SERVERS["has another CA"](False)
    with pytest.raises(TLSFailed):
        play(server, TLSMode.OPPORTUNISTIC, login=("ann", "secret"))
    assert (server.clear, server.hidden) == (BEGUN, b"")


# -- how the server is verified ------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
@pytest.mark.req("RFC7817-3-01", "RFC4954-14-02")
def test_a_name_to_verify_that_is_not_the_host(implicit: bool) -> None:
    said: list[str | None] = []
    context = server_context(CA.issue_cert("mail.example.net"))
    context.sni_callback = lambda tls, name, _: said.append(name)
    mode = TLSMode.IMPLICIT if implicit else TLSMode.REQUIRED
    play(TLSServer(context, implicit=implicit), mode, verify=TRUST, server_name="mail.example.net")
    assert said[0] == "mail.example.net"
    with pytest.raises(TLSFailed, match="Hostname mismatch"):
        play(TLSServer(context, implicit=implicit), mode, verify=TRUST)
    assert said[-1] == NAME


def test_login_goes_to_whom_a_fingerprint_names() -> None:
    leaf = self_signed("whatever.example")
    server = TLSServer(server_context(leaf))
    right = TLSVerify.by_fingerprint(leaf_fingerprint(leaf))
    client = play(server, TLSMode.REQUIRED, verify=right, login=("ann", "secret"))
    assert client.tls is not None and client.tls.verified
    assert AUTH in server.hidden
    wrong = TLSServer(server_context(leaf))
    with pytest.raises(TLSFailed, match="another fingerprint") as caught:
        other = TLSVerify.by_fingerprint("0" * 64)
        play(wrong, TLSMode.REQUIRED, verify=other, login=("ann", "secret"))
    assert (wrong.clear, wrong.hidden) == (BEGUN, b"")
    assert caught.value.command == "STARTTLS"


def leaf_fingerprint(leaf: trustme.LeafCert) -> str:
    return hashlib.sha256(der(leaf)).hexdigest()


def loose() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def by_ca_alone() -> ssl.SSLContext:
    context = loose()
    CA.configure_trust(context)
    return context


def unverified() -> ssl.SSLContext:
    context = loose()
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT, TLSMode.OPPORTUNISTIC])
@pytest.mark.parametrize(
    "options",
    [{"verify": "none"}, {"context": unverified()}, {"context": by_ca_alone()}],
    ids=["verify", "context", "context by CA alone"],
)
@pytest.mark.req("RFC4954-14-01", "RFC4954-14-06", "RFC3207-4.1-01", "RFC3207-4.1-02")
def test_no_password_for_whom_nothing_verified(mode: TLSMode, options: ClientOptions) -> None:
    """Though TLS is there, and whoever brought the context may have thought that to be enough."""
    implicit = mode is TLSMode.IMPLICIT
    options = {"login": ("ann", "secret"), **options}
    server = TLSServer(GOOD, implicit=implicit)
    with pytest.raises(LocalProtocolError, match="no login without verified TLS"):
        play(server, mode, **options)
    assert server.clear == (b"" if implicit else BEGUN)
    assert server.hidden == EHLO + QUIT
    server = TLSServer(GOOD, implicit=implicit)
    options["login_in_clear"] = True
    play(server, mode, **options)
    assert server.hidden == EHLO + AUTH + MAIL + QUIT


def test_a_context_that_verifies_is_trusted() -> None:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    server = TLSServer(GOOD)
    play(server, TLSMode.REQUIRED, login=("ann", "secret"), context=context)
    assert server.hidden == EHLO + AUTH + MAIL + QUIT


@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC])
def test_a_name_that_cannot_be_one_stops_before_starttls(mode: TLSMode) -> None:
    server = TLSServer(GOOD)
    with pytest.raises(LocalProtocolError, match="server_name"):
        play(server, mode, verify=TRUST, server_name=".example")
    assert server.clear == POLITE


# -- the wrong port ------------------------------------------------------------------------------


class Greeting(TLSServer):
    """A server that says *handshake* at once, TLS or not."""

    def __attrs_post_init__(self) -> None:
        self._begin()
        self._output = self.handshake


@pytest.mark.parametrize("octets", [b"\x15\x03\x03\0\2\2\x50", b"\x16\x03\x01\0\5", b"\x15"])
@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.OPPORTUNISTIC, TLSMode.REQUIRED])
def test_a_greeting_that_is_tls_is_named(octets: bytes, mode: TLSMode) -> None:
    server = Greeting(GOOD, handshake=octets)
    with pytest.raises(TLSFailed, match="the server speaks TLS here") as caught:
        play(server, mode)
    assert caught.value.phase == "greeting"
    assert "implicit" in caught.value.check
    assert not caught.value.may_go_in_clear
    assert server.clear + server.records == b""
    assert server.closed


@pytest.mark.parametrize("greeting", [b"220 mx ESMTP\r\n", b"554 5.7.1 Not you\r\n"])
def test_a_greeting_in_clear_where_tls_was_expected_is_named_at_once(greeting: bytes) -> None:
    server = Greeting(GOOD, handshake=greeting)
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        play(server, TLSMode.IMPLICIT)
    assert caught.value.phase == "TLS"
    assert "STARTTLS" in caught.value.check
    assert is_tls(server.records)


# -- the configuration ---------------------------------------------------------------------------


def test_a_context_excludes_other_rules() -> None:
    context = ssl.create_default_context()
    for verify in ("name", "none", TRUST, TLSVerify.by_fingerprint("0" * 64)):
        with pytest.raises(ValueError, match="rules of its own"):
            ClientConfig(context=context, verify=verify)
    with pytest.raises(ValueError, match="rules of its own"):
        ClientConfig(context=context, certificate=ClientCertificate("client.pem"))


def test_what_cannot_be_read_is_known_at_once() -> None:
    with pytest.raises(ValueError, match="cannot read CA certificates from nowhere"):
        ClientConfig(verify=TLSVerify.by_ca("nowhere"))
    with pytest.raises(ValueError, match="cannot read certificate and key of nowhere"):
        ClientConfig(certificate=ClientCertificate("nowhere"))
    with pytest.raises(ValueError, match='"name", "none"'):
        ClientConfig(verify="always")  # type: ignore[arg-type]


def test_contexts_are_made_once() -> None:
    config = ClientConfig(verify=TRUST)
    assert config.tls_context(TLSMode.REQUIRED) is config.tls_context(TLSMode.IMPLICIT)
    usual = ClientConfig()
    assert usual.tls_context(TLSMode.REQUIRED) is not usual.tls_context(TLSMode.OPPORTUNISTIC)
    assert usual == ClientConfig(timeouts=usual.timeouts)


@pytest.mark.parametrize(
    ("mode", "options", "verify"),
    [
        (TLSMode.REQUIRED, {}, TLSVerify.by_name()),
        (TLSMode.IMPLICIT, {}, TLSVerify.by_name()),
        (TLSMode.OPPORTUNISTIC, {}, TLSVerify.nothing()),
        (TLSMode.OPPORTUNISTIC, {"login": ("ann", "secret")}, TLSVerify.by_name()),
        (TLSMode.OPPORTUNISTIC, {"verify": "name"}, TLSVerify.by_name()),
        (TLSMode.REQUIRED, {"verify": "none"}, TLSVerify.nothing()),
    ],
)
@pytest.mark.req("RFC8314-3.3-02")
def test_how_servers_are_verified_unless_told(
    mode: TLSMode, options: ClientOptions, verify: TLSVerify
) -> None:
    config = ClientConfig(**options)
    assert config.verification(mode) == verify
    context = config.tls_context(mode)
    assert isinstance(context, ssl.SSLContext)
    required = ssl.CERT_REQUIRED if verify.at_all else ssl.CERT_NONE
    assert (context.verify_mode, context.check_hostname) == (required, verify.at_all)
