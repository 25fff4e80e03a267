"""Changes of a header section."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.filters import AddField, ChangeField, FieldEdit
from smtpproto.filters.header_edit import edited
from smtpproto.mail.header import split_fields

HEADER = b"A: 1\r\nB: 2\r\n\tfolded\r\na: 3\r\n"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (AddField("X", "y"), b"X: y\r\n" + HEADER),
        (AddField("X", " y\r\n z", 1), HEADER.replace(b"B:", b"X: y\r\n z\r\nB:")),
        (AddField("X", b"\ty", None), HEADER + b"X:\ty\r\n"),
        (AddField("X", "y", 99), HEADER + b"X: y\r\n"),
        (ChangeField("a", "4"), HEADER.replace(b"A: 1", b"a: 4")),
        (ChangeField("A", "4", 2), HEADER.replace(b"a: 3", b"A: 4")),
        (ChangeField("b", None), b"A: 1\r\na: 3\r\n"),
        (ChangeField("A", None, 3), HEADER),
        (ChangeField("A", "4", 3), HEADER + b"A: 4\r\n"),
    ],
)
def test_one_edit(edit: FieldEdit, expected: bytes) -> None:
    assert edited(HEADER, [edit]) == expected


def test_numbers_are_those_of_the_fields_as_the_filter_got_them() -> None:
    edits: list[FieldEdit] = [
        AddField("A", "0"),
        ChangeField("A", None, 1),
        ChangeField("A", None, 2),
    ]
    assert edited(HEADER, edits) == b"A: 0\r\nB: 2\r\n\tfolded\r\n"


def test_fields_are_added_above_a_line_that_readers_take_for_the_end() -> None:
    for at in (None, 9):
        edits: list[FieldEdit] = [AddField("X", "y", at), ChangeField("C", "z")]
        assert edited(b"A: 1\r\nno field\r\nB: 2\r\n", edits) == (
            b"A: 1\r\nX: y\r\nC: z\r\nno field\r\nB: 2\r\n"
        )


@pytest.mark.parametrize("header", [b"", b"A: 1", b"\tfolded\r\n", b":\r\n"])
def test_odd_sections_stay_and_get_new_fields(header: bytes) -> None:
    changed = edited(header, [AddField("X", "y")])
    assert changed == b"X: y\r\n" + header.removesuffix(b"\r\n") + (b"\r\n" if header else b"")


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\r b", "a\0", "a\r\n", b"\n"])
def test_a_value_cannot_become_another_field(value: bytes | str) -> None:
    with pytest.raises(GrammarError):
        AddField("X", value)
    with pytest.raises(GrammarError):
        ChangeField("X", value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\r\n"])
def test_only_names_of_fields_are_taken(name: str) -> None:
    with pytest.raises(GrammarError):
        AddField(name, "x")


def test_a_section_beyond_1_mib_is_refused() -> None:
    edits = [AddField("X", b"x" * 600_000)] * 2
    with pytest.raises(GrammarError, match="more than 1048576 octets"):
        edited(HEADER, edits)


@given(st.binary(max_size=60) | st.text("aB: \t\r\n", max_size=30).map(str.encode))
def test_splitting_loses_nothing(header: bytes) -> None:
    whole = b"\r\n".join(line for _, line in split_fields(header))
    assert whole == header.removesuffix(b"\r\n")
