"""Leaving a list with one click (RFC 8058)."""

from __future__ import annotations

import contextlib
import copy
from email import policy
from email.message import EmailMessage, Message
from email.policy import Policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.mail import is_one_click, offer_unsubscribe, one_click_url
from smtpproto.mail.email_object import write_email
from tests.policy.signing import sign, verify_one

URL = "https://example.org/leave?list=news&reader=0f3a%2F"
POST = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _offered(**options: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "news@example.org"
    message["List-Unsubscribe"] = "<mailto:old@example.org>"
    offer_unsubscribe(message, URL, **options)
    return message


@pytest.mark.req("RFC8058-3.1-01", "RFC8058-3.1-02", "RFC8058-5-01")
def test_both_fields_are_set_once() -> None:
    message = _offered(mailto="leave+news@example.org")
    offer_unsubscribe(message, URL, mailto="leave+news@example.org")
    assert message.get_all("List-Unsubscribe") == [f"<{URL}>, <mailto:leave+news@example.org>"]
    assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]


@pytest.mark.parametrize("options", [{}, {"mailto": "leave@example.org"}], ids=["url", "both"])
def test_what_is_offered_is_read(options: dict[str, str]) -> None:
    assert one_click_url(bytes(_offered(**options))) == URL


def sent(message: Message) -> bytes:
    return write_email(message, utf8=False, eight_bit=False)


@pytest.mark.parametrize("rules", [policy.SMTP, policy.default, policy.compat32, policy.SMTPUTF8])
def test_a_long_address_is_written_as_it_is(rules: Policy) -> None:
    message = Message(rules) if rules is policy.compat32 else EmailMessage(rules)
    message["From"] = "news@example.org"
    url = "https://example.org/" + "a" * 950
    for found in (message, copy.deepcopy(message)):
        offer_unsubscribe(found, url, mailto="leave@example.org")
        assert one_click_url(bytes(found)) == one_click_url(sent(found)) == url
        assert max(map(len, bytes(found).splitlines())) <= 998
    with pytest.raises(GrammarError, match="https://"):
        offer_unsubscribe(message, url + "a" * 10)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://",
        "https://a b",
        "https://a>b",
        "https://é",
        "https://a\r\nX: y",
    ],
)
def test_what_is_no_https_address_is_refused(url: str) -> None:
    with pytest.raises(GrammarError, match="https://"):
        offer_unsubscribe(EmailMessage(), url)


@pytest.mark.parametrize("mailto", ['"a b"@example.org', "a%b@example.org", "jörg@example.org"])
def test_an_address_that_would_need_encoding_is_refused(mailto: str) -> None:
    with pytest.raises(GrammarError, match="plain address"):
        offer_unsubscribe(EmailMessage(), URL, mailto=mailto)


@pytest.mark.req("RFC8058-3.1-01", "RFC8058-3.1-02")
@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"", "0 fields List-Unsubscribe, not one"),
        (b"List-Unsubscribe: <https://a.test/>\r\n", "0 fields List-Unsubscribe-Post"),
        (b"List-Unsubscribe: <https://a.test/>\r\n" * 2 + POST, "2 fields"),
        (b"List-Unsubscribe: <mailto:a@a.test>\r\n" + POST, "0 https: addresses"),
        (b"List-Unsubscribe: <https://a.test/>, <https://b.test/>\r\n" + POST, "2 https:"),
        (b"List-Unsubscribe: <https://a.test/>\r\nList-Unsubscribe-Post: yes\r\n", "does not say"),
    ],
)
def test_why_a_reader_cannot_leave_is_told(header: bytes, why: str) -> None:
    with pytest.raises(GrammarError, match=why):
        one_click_url(header)


@pytest.mark.req("RFC8058-4-01")
def test_both_fields_are_signed() -> None:
    signed = sign(bytes(_offered()).replace(b"\n", b"\r\n"))
    check = verify_one(signed)
    assert check.passed and check.signature is not None
    names = [it.lower() for it in check.signature.headers]
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(names)
    for old in (b"leave?list=news", b"=One-Click"):
        assert not verify_one(signed.replace(old, b"x")).passed


FORM = "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; charset=utf-8; boundary="a b\'1"'
PART = (
    b'--a b\'1\r\nContent-Disposition: form-data; name="%b"\r\n'
    b"Content-Type: text/plain\r\n\r\n%b\r\n"
)


@pytest.mark.req("RFC8058-3.2-01")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", FORM),
        (b"a=b&List-Unsubscribe=One-Click\r\n", FORM),
        (PART % (b"List-Unsubscribe", b"One-Click") + b"--a b'1--\r\n", MULTIPART),
        (
            PART % (b"a", b"b") + PART % (b"List-Unsubscribe", b"One-Click") + b"--a b'1--",
            MULTIPART,
        ),
    ],
)
def test_a_request_to_leave_is_read_in_both_forms(body: bytes, kind: str) -> None:
    assert is_one_click(body, kind)
    assert not is_one_click(body.replace(b"One-Click", b"Two-Clicks"), kind)
    assert not is_one_click(body.replace(b"List-Unsubscribe", b"List-Help"), kind)
    assert not is_one_click(body + b" " * 65536, kind)


@given(st.binary(max_size=80), st.text(max_size=80))
def test_any_request_is_read(body: bytes, kind: str) -> None:
    for content_type in (kind, FORM, MULTIPART):
        assert not is_one_click(body, content_type)


def test_names_and_folding_do_not_matter() -> None:
    header = b"LIST-UNSUBSCRIBE: (leave)\r\n <mailto:a@a.test>,\r\n\t< https://a.test/ >\r\n"
    header += b"list-unsubscribe-post: list-unsubscribe=one-click\r\n"
    assert one_click_url(header) == "https://a.test/"


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(GrammarError):
        one_click_url(b"List-Unsubscribe: " + octets + b"\r\n" + POST)
