"""Received and Return-Path, compared with the grammar of RFC 5321 4.4."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.domain import AddressLiteral, Domain, Host, MalformedHost
from smtpproto.mail.trace_fields import Received, return_path
from smtpproto.testing.abnf import SMTPUTF8
from smtpproto.testing.strategies import forward_paths, hosts, reverse_paths

NOON = datetime(2026, 11, 30, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))
PLAIN: dict[str, Any] = {
    "hello": Domain("client.example"),
    "peer": "192.0.2.1",
    "by": Domain("mx.example.org"),
    "when": NOON,
}

# The names that IANA registers for "with" (Mail Transmission Types).
PROTOCOLS = [
    *("SMTP", "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA", "LMTP", "LMTPA", "LMTPS", "LMTPSA"),
    *("UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"),
    *("UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"),
]
_FWS = r"(?:\r\n)?[ \t]+"
_HOST = r"(?:\[[!-Z^-~]+\]|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)"
_DATE = (
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r" [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}"
)
STAMP = re.compile(
    rf"Received:{_FWS}from{_FWS}(?P<host>{_HOST})(?:{_FWS}\((?P<info>{_HOST})\))?"
    rf"{_FWS}by{_FWS}{_HOST}(?:{_FWS}\({_HOST}\))?{_FWS}with{_FWS}(?P<protocol>{'|'.join(PROTOCOLS)})"
    rf"(?:{_FWS}id{_FWS}(?P<id>[^\s;<>@]+))?(?:{_FWS}for{_FWS}(?P<for><.+>))?"
    rf"(?:{_FWS}tls{_FWS}(?P<tls>TLS[A-Z0-9_]+))?;{_FWS}(?P<date>{_DATE})\r\n"
)


def read(received: Received) -> dict[str, str | None]:
    """Return the clauses of the field, which must match the grammar."""
    assert SMTPUTF8.matches("Time-stamp-line", bytes(received))
    match = STAMP.fullmatch(bytes(received).decode())
    assert match is not None, bytes(received)
    return match.groupdict()


@pytest.mark.req("RFC5321-4.4-02", "RFC5321-4.4-03", "RFC5321-4.4-18", "RFC5321-4.4-19")
@given(
    hosts(),
    hosts(),
    st.ip_addresses(),
    st.none() | forward_paths(smtputf8=True),
    st.datetimes(datetime(1900, 1, 1), timezones=st.timezones()),
    st.fixed_dictionaries({}, optional=dict.fromkeys(
        ["extended", "lmtp", "secure", "authenticated", "utf8"], st.booleans())),
)  # fmt: skip
def test_a_received_field_matches_the_grammar_and_says_who_sent_what_to_whom(
    hello: Host,
    by: Host,
    peer: Any,
    recipient: ForwardPath | None,
    when: datetime,
    flags: dict[str, Any],
) -> None:
    options = PLAIN | {"hello": hello, "by": by, "peer": str(peer), "when": when}
    clauses = read(Received(**options, recipient=recipient, **flags))
    assert (clauses["host"], clauses["info"]) == (str(hello), str(AddressLiteral(peer)))
    if recipient is None or recipient.domain is None:  # <Postmaster> is no Path
        assert clauses["for"] is None
    else:
        assert clauses["for"] == bytes(recipient).decode()


@pytest.mark.req("RFC3848-1-01", "RFC6531-3.7.3-03", "RFC5321-4.4-20")
@pytest.mark.parametrize(
    ("flags", "protocol"),
    [
        ({"extended": False}, "SMTP"),
        ({"extended": False, "secure": True}, "SMTP"),
        ({}, "ESMTP"),
        ({"authenticated": True}, "ESMTPA"),
        ({"secure": True}, "ESMTPS"),
        ({"secure": True, "authenticated": True}, "ESMTPSA"),
        ({"lmtp": True}, "LMTP"),
        ({"lmtp": True, "secure": True, "authenticated": True}, "LMTPSA"),
        ({"utf8": True}, "UTF8SMTP"),
        ({"utf8": True, "secure": True}, "UTF8SMTPS"),
        ({"utf8": True, "lmtp": True, "authenticated": True}, "UTF8LMTPA"),
    ],
)
def test_the_protocol_follows_from_the_session(flags: dict[str, Any], protocol: str) -> None:
    assert read(Received(**PLAIN, **flags))["protocol"] == protocol


@pytest.mark.parametrize(
    ("hello", "peer", "sender"),
    [
        (Domain("a.example"), "", ("a.example", None)),
        (None, "192.0.2.1", ("[192.0.2.1]", "[192.0.2.1]")),
        (AddressLiteral(IPv4Address("192.0.2.1")), "", ("[192.0.2.1]", "[192.0.2.1]")),
        (MalformedHost(b"x (evil\r\n) [1]"), "2001:db8::1", ("[IPv6:2001:db8::1]",) * 2),
        (Domain("my_pc", loose=True), "fe80::1%eth0", ("[IPv6:fe80::1]",) * 2),
        (None, "", ("localhost", None)),
    ],
)
def test_a_name_or_address_that_cannot_be_written_is_left_out(
    hello: Any, peer: str, sender: tuple[str, str | None]
) -> None:
    clauses = read(Received(**(PLAIN | {"hello": hello, "peer": peer})))
    assert (clauses["host"], clauses["info"]) == sender


@pytest.mark.req("RFC8314-4.3-01")
def test_the_cipher_suite_is_written_under_its_registered_name_only() -> None:
    assert (
        read(Received(**PLAIN, cipher="TLS_AES_256_GCM_SHA384"))["tls"] == "TLS_AES_256_GCM_SHA384"
    )
    assert read(Received(**PLAIN, cipher="ECDHE-RSA-AES256-GCM-SHA384"))["tls"] is None


@pytest.mark.req("RFC5321-4.4-07", "RFC5321-4.4-08", "RFC5321-4.4-24")
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_the_date_has_four_digits_of_the_year_and_a_numeric_offset(when: datetime) -> None:
    date = read(Received(**(PLAIN | {"when": when})))["date"]
    assert date is not None and parsedate_to_datetime(date) == when.replace(microsecond=0)


def test_an_id_must_be_an_atom_and_the_time_needs_a_zone() -> None:
    assert read(Received(**PLAIN, id="4F2A"))["id"] == "4F2A"
    for wrong in ({"id": "a b"}, {"id": "a\r\nX: y"}, {"id": "a;"}, {"when": datetime(2026, 1, 1)}):
        with pytest.raises(GrammarError):
            Received(**(PLAIN | wrong))


@pytest.mark.req("RFC5321-4.4-18")
@given(reverse_paths(smtputf8=True))
def test_return_path_holds_the_reverse_path(sender: ReversePath) -> None:
    assert SMTPUTF8.matches("Return-path-line", return_path(sender))
    assert return_path(sender) == b"Return-Path: %s\r\n" % bytes(sender)
