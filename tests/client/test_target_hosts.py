"""The host that a client connects to: invalid hosts, and passwords that errors hide."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, GrammarError
from smtpproto.client.target import make_target

PASSWORD = "hunter2"


@pytest.mark.parametrize("host", ["", "localhost:2525", "[::1]", "[::1]:25", "::1:x", "mx:smtp"])
def test_a_host_that_is_empty_or_has_port_or_brackets_is_refused(host: str) -> None:
    with pytest.raises(GrammarError, match="without port and brackets") as caught:
        make_target(host)
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize("host", [" mx.test", "mx.test\n", "mx test", "mx\N{NO-BREAK SPACE}1"])
def test_a_host_with_a_blank_is_refused(host: str) -> None:
    with pytest.raises(GrammarError, match="leave out the blanks"):
        make_target(host)


@pytest.mark.parametrize("host", ["mx\0.test", "mx\x1bc", "mx\x7f", "mx\u200b", "\u202emx"])
def test_a_host_with_a_control_character_is_refused(host: str) -> None:
    with pytest.raises(GrammarError, match="leave out the control characters"):
        make_target(host)


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "192.0.2.1", "mx_1.example", "localhost"])
def test_names_and_bare_addresses_are_accepted_as_hosts(host: str) -> None:
    assert make_target(host).host == host


@pytest.mark.parametrize(
    "host",
    [
        f"ann:{PASSWORD}@mail.example.org",
        f"smtp:ann:{PASSWORD}@mail.example.org",
        f"smtps:/ann:{PASSWORD}@mail.example.org:465",
        f"ann:{PASSWORD}\N{LATIN SMALL LETTER E WITH ACUTE}@mail.example.org",
    ],
)
def test_a_url_without_its_scheme_is_refused_and_its_password_not_shown(host: str) -> None:
    with pytest.raises(GrammarError, match="smtp://") as caught:
        make_target(host)
    assert PASSWORD not in repr(caught.value) + str(caught.value)


def test_a_password_in_a_url_is_not_in_the_traceback() -> None:
    """The UnicodeDecodeError that caused the error holds the octets of the password."""
    with pytest.raises(GrammarError, match="UTF-8") as caught:
        make_target("smtp://ann:hunter2%ff@mx.example")
    assert caught.value.__suppress_context__


STRASSE = "stra\N{LATIN SMALL LETTER SHARP S}e.example"


@pytest.mark.parametrize("as_url", [True, False], ids=["URL", "option"])
def test_server_name_is_encoded_as_a_host_is(as_url: bool) -> None:
    """IDNA 2003 would make another domain of this one, which may have another owner."""
    with pytest.raises(GrammarError, match="no A-labels"):
        if as_url:
            make_target(f"smtp://mx.example?server_name={STRASSE}")
        else:
            ClientConfig(server_name=STRASSE)
    name = "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"
    assert ClientConfig(server_name=name).server_name == "xn--bcher-kva.example"
