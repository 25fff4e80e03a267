"""The field Received-SPF (RFC 7208 9.1)."""

from __future__ import annotations

import email.message
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import Status
from smtpproto.mail.header import header_fields
from smtpproto.policy.received_spf import ReceivedSPF
from smtpproto.policy.spf_record import SPFResult
from smtpproto.testing import Mood, Zone

from .spf_zones import check, zone

TEXT = st.text(max_size=60) | st.text('a \\"()\r\n;=:é', max_size=200)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=90)
NAMES = ["receiver", "client_ip", "envelope_from", "helo", "identity", "mechanism", "problem"]


def fields(text: st.SearchStrategy[str]) -> st.SearchStrategy[ReceivedSPF]:
    parts = dict.fromkeys(["comment", *NAMES], text)
    return st.builds(ReceivedSPF, result=st.sampled_from(SPFResult), **parts)


def body(octets: bytes) -> str:
    [field] = header_fields(octets + b"\r\n")
    assert field.name == "Received-SPF"
    return field.body.decode()


WRITTEN = """\
Received-SPF: pass
 (mx.example.com: ip4:192.0.2.0/24 of example.org matches 192.0.2.1)
 receiver=mx.example.com; client-ip=192.0.2.1;
 envelope-from="ann@example.org"; helo=mx.example.net; identity=mailfrom;
 mechanism="ip4:192.0.2.0/24";
"""


@pytest.mark.req("RFC7208-9.1-01")
def test_the_field_of_a_check_says_what_was_checked_and_why() -> None:
    found = ReceivedSPF.of(check(zone("v=spf1 ip4:192.0.2.0/24")), "mx.example.com")
    assert bytes(found).decode().replace("\r\n", "\n") == WRITTEN


def test_the_field_tells_problems_and_that_nothing_matched() -> None:
    names = zone("v=spf1")
    assert ReceivedSPF.of(check(names), "x").mechanism == "default"
    names.moods["example.org"] = Mood(Status.FAILED)
    failed = ReceivedSPF.of(check(names), "x")
    assert (failed.mechanism, failed.problem[:19]) == ("", "the look-up of TXT ")
    assert ReceivedSPF.of(check(Zone()), "x").mechanism == ""


@given(fields(PRINTABLE))
def test_a_field_that_was_written_is_read_as_it_was(field: ReceivedSPF) -> None:
    assert ReceivedSPF.parse(body(bytes(field))) == field


@pytest.mark.req("RFC7208-9.1-02")
@given(fields(TEXT | st.text(max_size=2000)))
def test_no_text_leaves_its_place(field: ReceivedSPF) -> None:
    octets = bytes(field)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert not set(octets.replace(b"\r\n", b"")) & {*range(32), 127}
    read = ReceivedSPF.parse(body(octets))
    assert read.result is field.result
    for name in NAMES:
        assert bool(getattr(read, name)) == bool(getattr(field, name))


@pytest.mark.req("RFC7208-9.1-02")
@given(fields(TEXT))
def test_the_email_package_finds_one_field_without_defect(field: ReceivedSPF) -> None:
    message = email.message_from_bytes(bytes(field) + b"\r\n", policy=email.policy.SMTPUTF8)
    assert isinstance(message, email.message.EmailMessage)
    assert message.keys() == ["Received-SPF"] and not message.defects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass", ReceivedSPF(result=SPFResult.PASS)),
        (" (a) Pass (b (c) \\)) ", ReceivedSPF(result=SPFResult.PASS, comment="b (c) )")),
        (
            "FAIL client-ip=2001:db8::1;",
            ReceivedSPF(result=SPFResult.FAIL, client_ip="2001:db8::1"),
        ),
        ("none HELO = (x) a.b ; x-y=z", ReceivedSPF(result=SPFResult.NONE, helo="a.b")),
        ('none helo="a;\\"b"', ReceivedSPF(result=SPFResult.NONE, helo='a;"b')),
        ("none\r\n\thelo=a.b;\r\n ", ReceivedSPF(result=SPFResult.NONE, helo="a.b")),
    ],
)
def test_fields_of_others_are_read(text: str, expected: ReceivedSPF) -> None:
    assert ReceivedSPF.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "(pass)", "passed", "pass (", "pass (\x00)", "pass helo", "pass helo=", 'pass helo="',
     "pass helo=a helo=b", "pass ;", "pass helo=a;;", "pass\nhelo=a", "pass (" + "(" * 70000],
)  # fmt: skip
def test_what_is_no_field_is_an_error(text: str) -> None:
    with pytest.raises(GrammarError):
        ReceivedSPF.parse(text)


@given(st.text(max_size=30) | st.text('pass none=;()"\\\r\n', max_size=30))
def test_any_text_is_a_field_or_an_error_inside_it(text: str) -> None:
    try:
        ReceivedSPF.parse(text)
    except GrammarError as error:
        assert 0 <= error.offset <= len(text.encode("utf-8", "replace"))
