"""Values that are made without ``__init__``, from what a parser has checked."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import pytest
from attrs import define, field, frozen

from smtpproto.option_types import checked, maker


def _refuse(_instance: object, _attribute: object, value: object) -> None:
    raise ValueError(f"checked: {value}")


@checked
@frozen
class _Base:
    verb: ClassVar[str] = "BASE"
    first: int
    second: str = "two"


@checked
@frozen
class _Value(_Base):
    _third: list[int] = field(factory=list, converter=list)
    fourth: int = field(default=4, kw_only=True, validator=_refuse)
    fifth: int = field(init=False, default=5)

    def __attrs_post_init__(self) -> None:
        raise ValueError("initialised")


@frozen
class _Plain:
    first: int = 1
    second: tuple[int, ...] = (2,)

    @cached_property
    def total(self) -> int:
        return self.first + sum(self.second)


def test_a_maker_takes_the_named_fields_in_this_order_and_gives_the_others_their_default() -> None:
    value = maker(_Value, "second", "first")("a", 1)
    assert type(value) is _Value
    assert (value.first, value.second, value._third, value.fourth, value.fifth) == (
        1,
        "a",
        [],
        4,
        5,
    )


def test_a_maker_runs_no_converter_no_validator_and_no_check_after_them() -> None:
    value: Any = maker(_Value, "first", "_third", "fourth")(1, (3,), "any")
    assert value._third == (3,)
    assert value.fourth == "any"
    with pytest.raises(ValueError, match="checked: 4"):
        _Value(1)


def test_a_made_value_is_equal_to_one_that_its_class_made() -> None:
    made, value = maker(_Plain, "first")(7), _Plain(7)
    assert made == value
    assert repr(made) == repr(value)
    assert hash(made) == hash(value)


def test_each_made_value_has_a_default_of_its_own_where_the_class_makes_one() -> None:
    make = maker(_Value, "first")
    assert make(1)._third is not make(1)._third


def test_a_maker_can_fill_a_cached_property_that_is_known() -> None:
    assert maker(_Plain, "first", "total")(7, 8).total == 8
    assert maker(_Plain, "first")(7).total == 9


@frozen
class _Whole:
    part: _Plain
    first: int
    other: str = "other"


def test_a_maker_makes_a_part_too_and_a_name_that_both_take_is_one_value() -> None:
    make = maker(_Whole, "first", part=maker(_Plain, "first", "total"))
    assert make(7, 8) == _Whole(_Plain(7), 7)
    assert make(7, 8).part.total == 8
    outer: Any = maker(_Value, "first", "second", fourth=make)(7, 8, "a")
    assert (outer.fourth, outer.first, outer.second) == (_Whole(_Plain(7), 7), 7, "a")


def test_a_made_value_is_frozen() -> None:
    with pytest.raises(AttributeError):
        maker(_Plain)().first = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ((), "_Value: first must be named"),
        (("first", "verb"), "_Value: verb has no slot"),
        (("first", "third"), "_Value: third has no slot"),
    ],
)
def test_names_that_do_not_make_a_whole_value_are_a_type_error(
    names: tuple[str, ...], error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        maker(_Value, *names)


@define(slots=False)
class _WithoutSlots:
    first: int = 1


@frozen
class _FromItself:
    first: int = 1
    second: int = field()

    @second.default
    def _second(self) -> int:
        return self.first


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (_WithoutSlots, "_WithoutSlots: first has no slot"),
        (_FromItself, "_FromItself: second must be named"),
    ],
)
def test_a_class_that_cannot_be_made_without_its_init_is_a_type_error(
    kind: Any, error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        maker(kind)
