"""Limits: values that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import Limits


@pytest.mark.req("RFC4954-9-02")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_limit_below_three_failed_logins_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="failed_logins"):
        Limits(failed_logins=number)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("recipients", 1),
        ("errors", 3),
        ("refused_recipients", 1),
        ("junk_commands", 3),
        ("discarded_content", 0),
        ("connections", 1),
        ("connections_per_network", 1),
        ("memory", 65536),
        ("content_rate", 1),
        ("failed_logins_per_network", 3),
        ("failed_login_period", 0),
    ],
)
def test_a_limit_has_a_least_value(name: str, least: int) -> None:
    assert getattr(Limits(**{name: least}), name) == least  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=name):
        Limits(**{name: least - 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("prefixes", [(33, 64), (32, 129), (-1, 64), (32, -1), (32,), ()])
def test_a_prefix_is_at_most_as_long_as_an_address(prefixes: Any) -> None:
    assert Limits(network_prefixes=(0, 128)).network_prefixes == (0, 128)
    with pytest.raises(ValueError, match="network_prefixes must be 0 to 32, and 0 to 128 bits"):
        Limits(network_prefixes=prefixes)


@pytest.mark.parametrize(
    "name",
    ["refused_recipients", "connections", "connections_per_network", "memory", "content_rate"],
)
def test_these_limits_can_be_left_to_the_library_or_switched_off_by_none(name: str) -> None:
    assert getattr(Limits(**{name: None}), name) is None  # type: ignore[arg-type]


@pytest.mark.req("RFC5321-4.5.3.1.7-01")
@pytest.mark.parametrize("number", [0, 1, 1000, 65535])
def test_a_limit_on_messages_below_64_kib_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="message_size"):
        Limits(message_size=number)
    assert Limits(message_size=65536).message_size == 65536
    assert (Limits().message_size or 0) >= 65536
