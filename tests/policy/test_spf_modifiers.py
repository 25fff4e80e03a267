"""redirect= and exp= (RFC 7208 6)."""

from __future__ import annotations

import pytest

from smtpproto.dns import Status
from smtpproto.policy.spf_record import SPFResult
from smtpproto.testing import Mood
from smtpproto.testing.zone import Records

from .spf_zones import (
    ELSEWHERE,
    HERE,
    asked,
    check,
    result,
    txt,
    zone,
)

NONE, NEUTRAL, PASS, FAIL, SOFTFAIL, TEMPERROR, PERMERROR = SPFResult


# -- redirect and exp ------------------------------------------------------------------------------


@pytest.mark.req("RFC7208-6.1-01", "RFC7208-6.1-02")
@pytest.mark.parametrize(
    ("other", "expected"),
    [(txt("v=spf1 ~all"), SOFTFAIL), (txt("v=spf1"), NEUTRAL), (txt("v=spf1 moo"), PERMERROR),
     (txt("x"), PERMERROR), (None, PERMERROR)],
)  # fmt: skip
def test_redirect_takes_the_result_of_the_other_record(
    other: Records | None, expected: SPFResult
) -> None:
    places = {} if other is None else {"other_org": other}
    assert result("v=spf1 redirect=other.org ip4:192.0.2.2", **places) is expected
    assert result("v=spf1 redirect=other.org ip4:192.0.2.1", **places) is PASS


@pytest.mark.req("RFC7208-6.1-02")
def test_the_domain_after_redirect_is_the_other_one() -> None:
    places = {"example_org": ELSEWHERE, "other_org": {**txt("v=spf1 a -all"), **HERE}}
    assert result("v=spf1 redirect=other.org", **places) is PASS


@pytest.mark.req("RFC7208-6.1-01")
def test_redirect_to_what_is_not_a_name_is_a_permanent_error() -> None:
    assert result("v=spf1 redirect=x..org") is PERMERROR
    assert result("v=spf1 include:x..org") is PERMERROR


@pytest.mark.req("RFC7208-6.2-01")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (txt("See %{s}."), "See ann@example.org."), (txt("one", "two"), ""), (txt(), ""),
        (None, ""),
        (txt("%{x}"), ""), (txt("%"), ""), (txt("\x80"), ""), (txt("a\x07"), ""),
        (txt("a\r\nb"), ""),
        (txt("x" * 1000), "x" * 1000), (txt("x" * 1001), ""), (txt("%{h}" * 200), ""),
        ("failing", ""),
    ],
)  # fmt: skip
def test_an_explanation_with_faults_is_no_explanation(text: Records | None, expected: str) -> None:
    names = zone("v=spf1 -all exp=exp.org")
    if text == "failing":
        names.moods["exp.org"] = Mood(Status.FAILED)
    elif text is not None:
        names.records["exp.org"] = text
    found = check(names)
    assert (found.result, found.explanation) == (FAIL, expected)


@pytest.mark.req("RFC7208-6.2-04")
@pytest.mark.parametrize("helo", ["j\u00f6rg!", "a\r\nX-Evil: b", "a\x1b[2J"])
def test_an_explanation_is_printable_ascii_whatever_the_client_says(helo: str) -> None:
    names = zone("v=spf1 -all exp=exp.org", exp_org=txt("Hello %{h}"))
    assert check(names, helo=helo).explanation == ""


@pytest.mark.req("RFC7208-6.2-02", "RFC7208-6.2-03", "RFC7208-6.2-06")
@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("include:other.org -all exp=own.org", "own"),
        ("include:other.org -all", ""),
        ("redirect=other.org exp=own.org", "other"),
        ("redirect=silent.org exp=own.org", ""),
    ],
)
def test_the_explanation_is_that_of_the_record_that_decides(record: str, expected: str) -> None:
    names = zone(
        f"v=spf1 {record}",
        other_org=txt("v=spf1 -all exp=o.org"),
        silent_org=txt("v=spf1 -all"),
        own_org=txt("own"),
        o_org=txt("other"),
    )
    assert check(names).explanation == expected


@pytest.mark.req("RFC7208-6.2-01")
def test_an_explanation_at_what_is_not_a_name_is_not_looked_up() -> None:
    names = zone("v=spf1 -all exp=%{h}.org")
    found = check(names, helo="a..b")
    assert (found.result, found.explanation) == (FAIL, "")
    assert len(names.asked) == 1


@pytest.mark.req("RFC7208-6.2-05")
@pytest.mark.parametrize("qualifier", "+?~")
def test_no_explanation_is_looked_up_unless_the_check_fails(qualifier: str) -> None:
    names = zone(f"v=spf1 {qualifier}all exp=exp.org", exp_org=txt("no"))
    assert check(names).explanation == ""
    assert asked(names, "exp.org") == []
