"""Wrong arguments of the checks raise TypeError, which says what to pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from smtpproto.adapters.blocking import run
from smtpproto.policy import (
    MessageVerifier,
    SPFRequest,
    check_dmarc,
    check_helo,
    check_spf,
    verify_dkim,
)
from smtpproto.testing import Zone

from . import signing

DNS: Any = Zone({})
ZONES: Any = Zone
REQUEST: Any = SPFRequest(client="192.0.2.1", helo="a.test", sender=None, now=0)
KEYS: Any = signing.KEYS
WRONG: Any = None


def verifier() -> Any:
    found = MessageVerifier(REQUEST)
    found.feed(b"From: a@a.test\r\n\r\n")
    return found


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: verify_dkim(b"", KEYS, DNS, now=0), "resolver cannot be of the type Crypto"),
        (lambda: verify_dkim(b"", WRONG, KEYS, now=0), "resolver cannot be None; pass a resolver"),
        (lambda: verify_dkim(b"", ZONES, KEYS, now=0), "resolver cannot be of the type"),
        (lambda: verify_dkim(b"", DNS, WRONG, now=0), "keys cannot be None; pass CryptographyKeys"),
        (
            lambda: verify_dkim(b"", DNS, KEYS, now=0, limits=WRONG),
            "limits cannot be None; pass DKI",
        ),
        (lambda: verify_dkim(WRONG, DNS, KEYS, now=0), "a message cannot be None; pass its octets"),
        (lambda: check_spf(DNS, REQUEST), "request cannot be of the type Zone; pass SPFRequest"),
        (lambda: check_spf(WRONG, DNS), "request cannot be None; pass SPFRequest"),
        (lambda: check_helo(WRONG, DNS), "request cannot be None; pass SPFRequest"),
        (lambda: check_spf(REQUEST, WRONG), "resolver cannot be None; pass a resolver"),
        (lambda: check_dmarc(WRONG, None, [], DNS), "authors cannot be None; pass a domain"),
        (lambda: check_dmarc("a.test", REQUEST, [], DNS), "spf cannot be of the type SPFRequest"),
        (lambda: check_dmarc("a.test", None, WRONG, DNS), "dkim cannot be None; pass a list"),
        (lambda: check_dmarc("a.test", None, [REQUEST], DNS), "an element of dkim cannot be of"),
        (lambda: check_dmarc("a.test", None, DNS, WRONG), "dkim cannot be of the type Zone"),
        (lambda: check_dmarc("a.test", None, [], WRONG), "resolver cannot be None; pass a reso"),
        (lambda: MessageVerifier(DNS), "request cannot be of the type Zone; pass SPFRequest"),
        (lambda: MessageVerifier(KEYS), "request cannot be of the type Crypto"),
        (lambda: MessageVerifier(None, WRONG), "limits cannot be None; pass DKIMLimits"),
        (lambda: verifier().check(KEYS, DNS, now=0), "resolver cannot be of the type Crypto"),
        (lambda: verifier().check(DNS, WRONG, now=0), "keys cannot be None; pass CryptographyKeys"),
        (
            lambda: check_spf(evolve(REQUEST, sender=5), DNS),
            "sender cannot be of the type int; pass",
        ),
    ],
)
def test_a_wrong_argument_is_a_type_error_that_says_what_to_pass(
    call: Callable[[], Any], error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        run(call())
