"""Lists of tags and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.limits import TAG_LIST
from smtpproto.policy.tag_list import format_tag_list, parse_tag_list, without_blanks

NAMES = st.builds(str.__add__, st.sampled_from("aAzZ"), st.text("aZ09_", max_size=5))
VALUES = st.text("a!:<=~ \t", max_size=12).map(str.strip)
BLANKS = st.sampled_from(["", " ", "\t ", "\r\n ", " \r\n\t"])


@given(st.dictionaries(NAMES, VALUES, min_size=1))
def test_a_list_that_was_written_is_read_as_it_was(tags: dict[str, str]) -> None:
    assert list(parse_tag_list(format_tag_list(tags).encode()).items()) == list(tags.items())


@given(st.dictionaries(NAMES, VALUES, min_size=1), st.data())
def test_blanks_around_names_and_values_and_a_last_semicolon_mean_nothing(
    tags: dict[str, str], data: st.DataObject
) -> None:
    def blank() -> str:
        return data.draw(BLANKS)

    parts = [f"{blank()}{name}{blank()}={blank()}{value}{blank()}" for name, value in tags.items()]
    written = ";".join(parts) + data.draw(st.sampled_from(["", ";", "; ", ";\r\n "]))
    assert parse_tag_list(written.encode()) == tags


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not a tag with a value, or a second one: ''"),
        (b" ", "not a tag with a value, or a second one: ''"),
        (b";", "not a tag with a value, or a second one: ''"),
        (b"a=1;;b=2", "not a tag with a value, or a second one: ''"),
        (b"a=1; b", "not a tag with a value, or a second one: 'b'"),
        (b"a=1; 2=b", "not a tag with a value, or a second one: '2=b'"),
        (b"a b=1", "not a tag with a value, or a second one: 'a b=1'"),
        (b"a\x1b=1", r"not a tag with a value, or a second one: 'a\\x1b=1'"),
        ("ä=1".encode(), "not a tag with a value, or a second one: 'ä=1'"),
        pytest.param(
            b"a=1; b=2; a=1",
            "not a tag with a value, or a second one: 'a=1'",
            marks=pytest.mark.req("RFC6376-3.2-01"),
        ),
        (b"a=x\x00y;b=1", r"or a second one: 'a=x\\x00y'"),
        (b"b=1;a=x\r\ny", r"or a second one: 'a=x\\r\\ny'"),
        (b"a=x\ny", r"or a second one: 'a=x\\ny'"),
        (b"a=x\r y", r"or a second one: 'a=x\\r y'"),
        (b"a=x\r\n\r\n y", r"or a second one: 'a=x\\r\\n y'"),
        ("a=ü".encode(), "or a second one: 'a=ü'"),
        (b"a=\xff", "not UTF-8"),
        (b"a=" + b"x" * TAG_LIST, "more than"),
    ],
)
def test_anything_else_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        parse_tag_list(octets)


@pytest.mark.req("RFC6376-3.2-04")
def test_a_value_may_be_empty_and_may_have_equals_signs_and_blanks() -> None:
    assert parse_tag_list(b"p=; b=YQ= =\t x;") == {"p": "", "b": "YQ= =\t x"}


@pytest.mark.req("RFC6376-3.2-02")
def test_tags_that_differ_in_case_are_different_tags() -> None:
    assert parse_tag_list(b"a=1;A=2") == {"a": "1", "A": "2"}


def test_values_may_be_utf_8_where_that_is_asked_for() -> None:
    assert parse_tag_list("d=bücher.example".encode(), utf8=True) == {"d": "bücher.example"}


@given(st.binary(max_size=40) | st.text("ab=; \t\r\n;é").map(str.encode), st.booleans())
def test_nothing_but_a_grammar_error_is_raised(octets: bytes, utf8: bool) -> None:
    try:
        tags = parse_tag_list(octets, utf8=utf8)
    except GrammarError:
        return
    assert parse_tag_list(format_tag_list(tags).encode(), utf8=utf8) == tags


def test_blanks_are_removed_from_base64() -> None:
    assert without_blanks("YW Jj\t YQ==") == "YWJjYQ=="
