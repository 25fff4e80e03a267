"""The SOLICIT parameter of MAIL (RFC 3865)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.parameters import MailParameters
from tests.support.parameters import assert_refused, parse_mail


@pytest.mark.req("RFC3865-2.2-01")
@pytest.mark.parametrize(
    ("text", "keywords"),
    [("a", ("a",)), ("org.example:ADV:ADLT", ("org.example:ADV:ADLT",)),
     ("a,B_1,c-", ("a", "B_1", "c-")), ("a,a", ("a", "a")), ("x" * 1000, ("x" * 1000,))],
)  # fmt: skip
def test_solicit_is_read_and_written(text: str, keywords: tuple[str, ...]) -> None:
    assert parse_mail(f"SOLICIT={text}") == MailParameters(solicit=keywords)
    assert str(parse_mail(f"SOLICIT={text}")) == f"SOLICIT={text}"


@pytest.mark.req("RFC3865-2.2-01")
@pytest.mark.parametrize(
    "text",
    ["SOLICIT", "SOLICIT=", "SOLICIT=,", "SOLICIT=a,", "SOLICIT=,a", "SOLICIT=1a", "SOLICIT=a;b",
     "SOLICIT=é", "SOLICIT=" + "x" * 1001],
)  # fmt: skip
def test_a_bad_solicit_is_refused_with_501(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize("keywords", [(), ("",), ("a", ""), ("a,b",), ("a b",), ("a\r\n",)])
def test_invalid_solicitations_cannot_be_built(keywords: tuple[str, ...]) -> None:
    with pytest.raises(GrammarError):
        MailParameters(solicit=keywords)
