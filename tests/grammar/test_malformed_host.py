"""The names of clients that are neither domains nor address literals."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import MalformedHost


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"my pc", "my%20pc"),
        (b"(none)", "%28none%29"),
        (b"a_b", "a_b"),
        (b"[2001:db8::1]", "[2001:db8::1]"),
        (b"100%", "100%25"),
        ("é".encode(), "%C3%A9"),
        (b"\xff", "%FF"),
        (b"x by mx.test; Mon", "x%20by%20mx.test%3B%20Mon"),
    ],
)
def test_a_malformed_host_is_shown_as_one_word(name: bytes, shown: str) -> None:
    assert str(MalformedHost(name)) == shown


@given(st.binary())
def test_the_word_can_be_read_back(name: bytes) -> None:
    host = MalformedHost(name)
    assert str(host).isascii()
    assert str(host).isprintable()
    assert unquote_to_bytes(str(host)) == bytes(host) == name


def test_malformed_hosts_compare_with_strings_without_regard_to_ascii_case() -> None:
    host = MalformedHost("MY PÜC".encode())
    assert host == MalformedHost("my pÜc".encode()) == "my PÜC"
    assert hash(host) == hash(MalformedHost("my pÜc".encode())) == hash("my pÜc")
    assert host != "my püc"
    assert host != "\ud800"
    assert host != b"MY"
    assert MalformedHost(b"\xff") != "\xff"
