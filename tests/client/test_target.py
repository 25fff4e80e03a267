"""Where to connect: hosts, ports and URLs."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto import GrammarError, Login, TLSMode
from smtpproto.client.target import make_target, read_url

SECRET = "s3cr3t"


def _plain(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


words = st.text(st.characters(codec="utf-8"), min_size=1).filter(_plain)


ports = st.integers(1, 65535)


hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z][a-z0-9]{0,9}){1,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)


def quoted(text: str) -> str:
    return quote(text, safe="")


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# -- properties of any URL -----------------------------------------------------------------------


@given(words, words, hosts, ports)
def test_percent_encoded_credentials_are_decoded(
    user: str, password: str, host: str, port: int
) -> None:
    url = f"smtp://{quoted(user)}:{quoted(password)}@{bracketed(host)}:{port}"
    assert read_url(url) == (host, port, {"lmtp": False, "login": Login(user, password)})


@given(words.map(lambda text: "/" + text))
def test_percent_encoded_paths_are_decoded(path: str) -> None:
    assert read_url("lmtp://" + quote(path)) == (path, 0, {"lmtp": True})


@given(st.one_of(st.text(), st.text("smtp:/@[]?#%a1&=\n", max_size=30).map("smtp://".__add__)))
def test_any_text_is_a_url_or_raises_grammar_error(url: str) -> None:
    try:
        host, port, _ = read_url(url)
    except GrammarError:
        return
    assert host and (0 < port < 65536) != host.startswith("/")


pieces = st.text("a1:/@[]?#%&=\n\0é ", max_size=6) | st.sampled_from(["?tls=", "/?hello=", "%"])


@example("1?tls=", "", "")
@given(pieces, pieces, pieces)
def test_no_error_about_a_url_shows_the_password(before: str, after: str, end: str) -> None:
    url = f"smtp://ann:{before}{SECRET}{after}@mx.example{end}"
    try:
        make_target(url)
    except ValueError as error:
        assert SECRET not in f"{error} {error!r}"
        assert error.__suppress_context__ or error.__context__ is None


# -- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "mode", "lmtp"),
    [
        ("smtp://mx.example", "mx.example", 25, TLSMode.OPPORTUNISTIC, False),
        ("SMTP://mx.example/", "mx.example", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://ann:x@mx.example", "mx.example", 587, TLSMode.REQUIRED, False),
        ("smtp://ann:x@mx.example:25", "mx.example", 25, TLSMode.REQUIRED, False),
        ("smtp://mx.example:587", "mx.example", 587, TLSMode.REQUIRED, False),
        ("smtp://mx.example:465", "mx.example", 465, TLSMode.IMPLICIT, False),
        ("smtp://mx.example:24", "mx.example", 24, TLSMode.OPPORTUNISTIC, False),
        ("smtp://mx.example?tls=none", "mx.example", 25, TLSMode.NONE, False),
        ("smtps://mx.example", "mx.example", 465, TLSMode.IMPLICIT, False),
        ("smtps://mx.example:587", "mx.example", 587, TLSMode.IMPLICIT, False),
        ("smtps://ann:x@mx.example", "mx.example", 465, TLSMode.IMPLICIT, False),
        ("lmtp://mx.example", "mx.example", 24, TLSMode.OPPORTUNISTIC, True),
        ("lmtp://mx.example:2424", "mx.example", 2424, TLSMode.OPPORTUNISTIC, True),
        ("lmtp:///run/dovecot/lmtp", "/run/dovecot/lmtp", 0, TLSMode.NONE, True),
        ("smtp:///run/a%20b?tls=required", "/run/a b", 0, TLSMode.REQUIRED, False),
        ("smtp://[2001:db8::1]", "2001:db8::1", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://[fe80::1%25eth0]:26", "fe80::1%eth0", 26, TLSMode.OPPORTUNISTIC, False),
        ("smtp://192.0.2.1", "192.0.2.1", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://my_service", "my_service", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://bücher.example", "xn--bcher-kva.example", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://b%C3%BCcher.example", "xn--bcher-kva.example", 25, TLSMode.OPPORTUNISTIC, False),
        ("smtp://m%78.example", "mx.example", 25, TLSMode.OPPORTUNISTIC, False),
    ],
)
def test_a_url_sets_host_port_tls_mode_and_protocol(
    url: str, host: str, port: int, mode: TLSMode, lmtp: bool
) -> None:
    target = make_target(url)
    assert (target.host, target.port) == (host, port)
    assert target.config.tls_mode(port) is mode
    assert target.config.speaks_lmtp(port) is lmtp


def test_user_and_password_may_contain_encoded_delimiters() -> None:
    config = make_target("smtps://ann%40example.org:s%40c:r%3Aet@mail.example.org").config
    assert config.login == Login("ann@example.org", "s@c:r:et")
    assert "s@c" not in repr(config)


def test_a_url_may_set_hello() -> None:
    assert make_target("smtp://mx.example?hello=c.example&tls=none").config.hello == "c.example"


def test_verify_and_server_name_are_passed_on_as_text() -> None:
    _, _, options = read_url("smtp://mx.example?verify=no&server_name=b%2Ba.example")
    assert options == {"lmtp": False, "verify": "no", "server_name": "b+a.example"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://mx.example", "scheme"),
        ("://mx.example", "not a URL"),
        ("smtp://", "host"),
        ("smtp:///", "host"),
        ("lmtp://:24/run/x", "host"),
        ("lmtp://mx.example/run/x", "not both"),
        ("lmtp://%2Frun%2Fx", "not a host name"),
        ("smtp://ann@mx.example", "both"),
        ("smtp://ann:@mx.example", "both"),
        ("smtp://:x@mx.example", "both"),
        ("smtp://@mx.example", "both"),
        ("smtp://mx.example:0", "port"),
        ("smtp://mx.example:65536", "port"),
        ("smtp://mx.example:", "not a URL"),
        ("smtp://mx.example:smtp", "not a URL"),
        ("smtp://mx.example#top", "not a URL"),
        ("smtp://ann:x@y@mx.example", "not a URL"),
        ("smtp://mx..example", "host name"),
        ("smtp://mx example", "host name"),
        ("smtp://2001:db8::1", "not a URL"),
        ("smtp://[192.0.2.1]", "host name"),
        ("smtp://[::1", "not a URL"),
        ("smtp://faß.example", "host name"),  # IDNA 2003 and 2008 make different names of it
        ("smtp://mx.example?tls", "parameters"),
        ("smtp://mx.example?login=ann", "parameters"),
        ("smtp://mx.example?tls=none&tls=none", "twice"),
        ("smtps://mx.example?tls=none", "twice"),
        ("smtp://mx.example?tls=maybe", "maybe"),
        ("smtp://mx.example?hello=a..b", "label"),
        ("smtp://ann:%zz@mx.example", "hexadecimal"),
        ("smtp://ann:%ff@mx.example", "UTF-8"),
        ("smtp://ann:x%0d%0a@mx.example", "control"),
        ("smtp://ann:x%00@mx.example", "control"),
        ("smtp://mx.example\r\n", "control"),
        ("smtp://mx.example?hello=a%0d%0ab", "control"),
        ("lmtp:///run/%00", "control"),
    ],
)
def test_an_invalid_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_target(url)


@pytest.mark.parametrize(
    ("url", "port", "options"),
    [
        ("smtp://mx.example", 25, {}),
        ("smtp://ann:x@mx.example", None, {"login": ("bob", "y")}),
        ("smtps://mx.example", None, {"tls": TLSMode.IMPLICIT}),
        ("smtp://mx.example?hello=a.example", None, {"hello": "b.example"}),
        ("lmtp://mx.example", None, {"lmtp": True}),
    ],
)
def test_an_argument_that_the_url_already_sets_is_refused(
    url: str, port: int | None, options: dict[str, Any]
) -> None:
    """Neither of the two wins silently."""
    with pytest.raises(ValueError, match="already set by the URL"):
        make_target(url, port, options)  # type: ignore[arg-type]


def test_an_argument_of_none_counts_as_not_given() -> None:
    target = make_target(
        "smtps://ann:x@mx.example", None, {"login": None, "tls": None, "hello": None}
    )
    assert target == make_target("smtps://ann:x@mx.example")


# -- hosts and ports -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ({}, 587),
        ({"tls": TLSMode.IMPLICIT}, 465),
        ({"tls": TLSMode.NONE}, 587),
        ({"lmtp": True}, 24),
        ({"lmtp": False}, 587),
    ],
)
def test_the_default_port_follows_from_tls_and_lmtp(options: dict[str, Any], port: int) -> None:
    target = make_target("mx.example", None, options)  # type: ignore[arg-type]
    assert target.port == port
    assert make_target("mx.example", 2525, options).port == 2525  # type: ignore[arg-type]


def test_the_path_of_a_unix_socket_has_no_port() -> None:
    assert make_target("/run/x").port == make_target("/run/x", 0).port == 0
    with pytest.raises(ValueError, match="no port"):
        make_target("/run/x", 24)


def test_u_labels_of_a_host_become_a_labels() -> None:
    assert make_target("bücher.example").host == "xn--bcher-kva.example"
    with pytest.raises(GrammarError):
        make_target("faß.example")
